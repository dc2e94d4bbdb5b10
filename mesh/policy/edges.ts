/** Edges between clients and ports: those that are possible, their verdicts, and what a change does to them. Pure. */
import { compare, keyOf } from "../model/meta.ts";
import { httpRoutesOf, serversOf } from "../state/derive.ts";
import type { InboundContext } from "./authz.ts";
import {
  clientOf,
  describeAsker,
  judgeAt,
  PROXY_PORTS,
  workloadOf,
  type Asker,
  type PortJudge,
  type WorkloadPort,
} from "./question.ts";
import { describeGround, type Asked, type Verdict } from "./verdict.ts";
import type { AskedRequest } from "./verdict_match.ts";

/** A client and one port of a workload, with the request that stands for its traffic. */
export interface Edge {
  readonly from: Asker;
  readonly to: WorkloadPort;
  readonly asked: Asked;
  /** Whether traffic was seen on it. */
  readonly isObserved: boolean;
}

/** An edge and what becomes of it. */
export interface JudgedEdge {
  readonly from: string;
  /** `namespace/Kind/name`, and the port. */
  readonly to: string;
  readonly request: string;
  readonly isObserved: boolean;
  readonly verdict: Verdict | undefined;
}

/** An edge whose verdict a change turns. */
export interface ChangedEdge {
  readonly from: string;
  readonly to: string;
  readonly request: string;
  readonly isObserved: boolean;
  readonly before: string;
  readonly after: string;
  /** Whether somebody was let in before who is not any more. */
  readonly isLoss: boolean;
}

/** Most edges that are judged at once: accounts × ports × routes of a large cluster. */
export const EDGES_MAX = 200_000;

const ANY_REQUEST: AskedRequest = {
  method: "GET",
  authority: "",
  path: "/",
  query: "",
  headers: new Map(),
};

/** A request of each route that attaches to the port's Server and that a plain request can stand for. */
function requestsOf(
  { snapshot }: InboundContext,
  { of, workload, port }: WorkloadPort,
): readonly AskedRequest[] {
  const found =
    of === "Pod" ? snapshot.Pod.get(keyOf(workload)) : snapshot.ExternalWorkload.get(keyOf(workload));
  const servers = found === undefined ? [] : serversOf(snapshot, { of, ...found }, port);
  const routes = servers.flatMap(({ meta: { namespace, name } }) =>
    httpRoutesOf(snapshot, { group: "policy.linkerd.io", kind: "Server", namespace, name }),
  );
  const requests = routes.flatMap(({ hosts, rules }) =>
    rules.flatMap(({ matches }) =>
      matches.flatMap(({ path, method, headers, queryParams }): readonly AskedRequest[] => {
        const isPlain =
          path.type !== "RegularExpression" &&
          queryParams.length === 0 &&
          headers.every(({ type }) => type === "Exact");
        if (!isPlain) return [];
        const [host] = hosts;
        const authority = host === undefined ? "" : host.type === "exact" ? host.host : `a.${host.suffix}`;
        const named = new Map(headers.map(({ name, value }) => [name, [value]]));
        return [{ method: method ?? "GET", authority, path: path.value, query: "", headers: named }];
      }),
    ),
  );
  const all = [ANY_REQUEST, ...requests].map((request) => [describeRequest(request), request] as const);
  return [...new Map(all).values()];
}

/** As tables write a request. */
export function describeRequest({ method, authority, path, headers }: AskedRequest): string {
  const named = [...headers].map(([name, values]) => `${name}: ${values.join(",")}`).join(", ");
  return `${method} ${authority}${path}${named === "" ? "" : ` {${named}}`}`;
}

function describeAsked(asked: Asked): string {
  return asked.type === "bytes" ? "bytes" : describeRequest(asked.request);
}

/** One pod of each controller: its others are alike. */
function representatives({ snapshot }: InboundContext): readonly WorkloadPort[] {
  const seen = new Set<string>();
  const ports: WorkloadPort[] = [];
  for (const pod of snapshot.Pod.values()) {
    const { kind, name } = workloadOf(pod);
    for (const { port, protocol } of pod.ports) {
      const key = `${pod.meta.namespace}/${kind}/${name}:${port}`;
      if (pod.isFinished || protocol !== "TCP" || PROXY_PORTS.has(port) || seen.has(key)) continue;
      seen.add(key);
      ports.push({ of: "Pod", workload: pod.meta, port });
    }
  }
  for (const { meta, ports: own } of snapshot.ExternalWorkload.values())
    for (const { port } of own) ports.push({ of: "ExternalWorkload", workload: meta, port });
  return ports;
}

/** Everybody who could ask: each account that something runs as, and somebody without the mesh. */
function askers({ snapshot }: InboundContext): readonly Asker[] {
  const accounts = new Map(
    [...snapshot.Pod.values()]
      .filter(({ isFinished }) => !isFinished)
      .map(({ meta, serviceAccount }) => {
        const account = { namespace: meta.namespace, name: serviceAccount };
        return [keyOf(account), account] as const;
      }),
  );
  return [
    ...[...accounts.values()].map((account): Asker => ({ type: "account", account })),
    { type: "unmeshed" },
  ];
}

/** Every edge that the objects make possible. */
export function declaredEdges(context: InboundContext): readonly Edge[] {
  const all = askers(context);
  const edges: Edge[] = [];
  for (const to of representatives(context)) {
    for (const request of requestsOf(context, to)) {
      for (const from of all) {
        if (edges.length >= EDGES_MAX)
          throw new RangeError(`more than ${EDGES_MAX} edges are possible; ask about one namespace`);
        edges.push({ from, to, asked: { type: "request", request }, isObserved: false });
      }
    }
  }
  return edges;
}

/** What becomes of each edge; nothing of those whose workload is not there. */
export function judgeEdges(edges: readonly Edge[], context: InboundContext): readonly JudgedEdge[] {
  const judges = new Map<string, PortJudge | undefined>();
  const at = (to: WorkloadPort) => {
    const key = `${to.of}/${keyOf(to.workload)}:${to.port}`;
    const known = judges.has(key) ? judges.get(key) : judgeAt(to, context);
    judges.set(key, known);
    return known;
  };
  return edges.map(({ from, to, asked, isObserved }) => {
    const client = clientOf({ from, ip: undefined }, context);
    const verdict = client === undefined ? undefined : at(to)?.judge(client, asked);
    return {
      from: describeAsker(from),
      to: `${describeWorkload(to, context)}:${to.port}`,
      request: describeAsked(asked),
      isObserved,
      verdict,
    };
  });
}

function describeWorkload({ of, workload }: WorkloadPort, { snapshot }: InboundContext): string {
  const pod = of === "Pod" ? snapshot.Pod.get(keyOf(workload)) : undefined;
  if (pod === undefined) return `${workload.namespace}/${of}/${workload.name}`;
  const { kind, name } = workloadOf(pod);
  return `${workload.namespace}/${kind}/${name}`;
}

/** A verdict in a word or two. */
export function describeVerdict(verdict: Verdict | undefined): string {
  if (verdict === undefined) return "gone";
  switch (verdict.type) {
    case "denied":
      return `denied (${verdict.reason})`;
    case "allowed": {
      const by = `by ${describeGround(verdict.by)}`;
      if (verdict.isAudited) return `audited ${by}`;
      if (verdict.provided.length > 0) return `allowed ${by} if ${verdict.provided.join(" and ")} is met`;
      return `allowed ${by}`;
    }
  }
}

function isLetIn(verdict: Verdict | undefined): boolean {
  return verdict?.type === "allowed";
}

/** Whether two verdicts differ in what the client gets: not in which object gives it. */
function differs(before: Verdict | undefined, after: Verdict | undefined): boolean {
  if (before?.type === "allowed" && after?.type === "allowed")
    return before.isAudited !== after.isAudited || before.provided.join() !== after.provided.join();
  if (before?.type === "denied" && after?.type === "denied") return before.reason !== after.reason;
  return before?.type !== after?.type;
}

/** The edges whose verdict differs, observed ones first. */
export function changedEdges(
  edges: readonly Edge[],
  before: InboundContext,
  after: InboundContext,
): readonly ChangedEdge[] {
  const then = judgeEdges(edges, after);
  const changed = judgeEdges(edges, before).flatMap((edge, at): readonly ChangedEdge[] => {
    const next = then[at]?.verdict;
    if (!differs(edge.verdict, next)) return [];
    const { from, to, request, isObserved, verdict } = edge;
    const isLoss = isLetIn(verdict) && !isLetIn(next);
    const words = { before: describeVerdict(verdict), after: describeVerdict(next) };
    return [{ from, to, request, isObserved, ...words, isLoss }];
  });
  return changed.toSorted(
    (a, b) =>
      Number(b.isObserved) - Number(a.isObserved) ||
      compare(a.to, b.to) ||
      compare(a.from, b.from) ||
      compare(a.request, b.request),
  );
}
