/** Least privilege from what was seen: Servers, and policies that let in those clients and nobody else. Pure. */
import { compare, keyOf } from "../model/meta.ts";
import { selects } from "../model/selector.ts";
import type { Pod } from "../model/workload.ts";
import { serversOf } from "../state/derive.ts";
import type { InboundContext } from "./authz.ts";
import { judgeEdges } from "./edges.ts";
import { accountOfIdentity, edgesOf, type ObservedEdge } from "./observed.ts";
import { workloadOf } from "./question.ts";

/** An object as it is written. */
export interface SuggestedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

export interface Suggestion {
  readonly objects: readonly SuggestedObject[];
  /** What was seen and cannot be let in by an identity. */
  readonly notes: readonly string[];
}

export interface SuggestOptions {
  /** `audit` lets everybody in and counts whom it would not: for the first days of a policy. */
  readonly accessPolicy: "deny" | "audit";
}

/** All that was seen at one port of one controller. */
interface Port {
  readonly pod: Pod;
  readonly port: number;
  readonly workload: string;
  readonly edges: readonly ObservedEdge[];
}

/** Labels that come and go with each rollout or pod. */
const PASSING_LABELS =
  /^(pod-template-hash|controller-revision-hash|pod-template-generation|job-name|controller-uid|batch\.kubernetes\.io\/.*|statefulset\.kubernetes\.io\/.*|apps\.kubernetes\.io\/.*|linkerd\.io\/.*)$/;

function portsOf(observed: readonly ObservedEdge[], { snapshot }: InboundContext): readonly Port[] {
  const ports = new Map<string, Port>();
  for (const edge of observed) {
    const pod = snapshot.Pod.get(keyOf({ namespace: edge.namespace, name: edge.pod }));
    if (pod === undefined || edge.allowed === 0) continue;
    const { kind, name } = workloadOf(pod);
    const key = `${edge.namespace}/${kind}/${name}:${edge.port}`;
    const known = ports.get(key);
    const edges = [...(known?.edges ?? []), edge];
    ports.set(key, { pod: known?.pod ?? pod, port: edge.port, workload: name, edges });
  }
  return [...ports].toSorted(([a], [b]) => compare(a, b)).map(([, port]) => port);
}

/** The labels of the Service in front of the pod, or the pod's own that last. */
function selectorOf({ meta }: Pod, { snapshot }: InboundContext): Readonly<Record<string, string>> {
  const selectors = [...snapshot.Service.values()]
    .filter((service) => service.meta.namespace === meta.namespace)
    .map(({ selector }) => selector ?? {})
    .filter((selector) => Object.keys(selector).length > 0)
    .filter((matchLabels) => selects({ matchLabels, matchExpressions: [] }, meta.labels));
  const [first] = selectors.toSorted((a, b) => Object.keys(b).length - Object.keys(a).length);
  if (first !== undefined) return first;
  return Object.fromEntries(Object.entries(meta.labels).filter(([name]) => !PASSING_LABELS.test(name)));
}

const LINKERD = "policy.linkerd.io";

function object(
  kind: string,
  version: string,
  meta: SuggestedObject["metadata"],
  spec: SuggestedObject["spec"],
): SuggestedObject {
  return { apiVersion: `${LINKERD}/${version}`, kind, metadata: meta, spec };
}

/** Who the clients are: accounts if all of them are of this mesh, else names. */
function identitiesOf(clients: readonly string[], { settings }: InboundContext): SuggestedObject["spec"] {
  const accounts = clients.flatMap((client) => accountOfIdentity(client, settings) ?? []);
  if (accounts.length < clients.length) return { identities: [...clients] };
  const identityRefs = accounts.map(({ namespace, name }) => ({ kind: "ServiceAccount", name, namespace }));
  return { identityRefs };
}

function nameOf({ workload, port, pod }: Port): string {
  const named = pod.ports.find((one) => one.port === port)?.name ?? "";
  return `${workload}-${named === "" ? port : named}`.slice(0, 63).replace(/[^a-z0-9]+$/, "");
}

function suggestPort(at: Port, context: InboundContext, { accessPolicy }: SuggestOptions): Suggestion {
  const { pod, port, edges } = at;
  const { namespace } = pod.meta;
  const clients = [...new Set(edges.map(({ client }) => client))]
    .filter((client) => client !== "")
    .toSorted();
  const plain = edges.filter(({ client }) => client === "").reduce((sum, { allowed }) => sum + allowed, 0);
  const where = `${namespace}/${at.workload} port ${port}`;
  const notes =
    plain === 0
      ? []
      : [`${where}: ${plain} requests or connections came without an identity; they would be denied`];
  const [existing] = serversOf(context.snapshot, { of: "Pod", meta: pod.meta, ports: pod.ports }, port);
  const name = existing?.meta.name ?? nameOf(at);
  const isHttp = edges.some(({ protocol }) => protocol === "http");
  const named = pod.ports.find((one) => one.port === port)?.name ?? "";
  const server =
    existing === undefined
      ? [
          object(
            "Server",
            "v1beta3",
            { name, namespace },
            {
              podSelector: { matchLabels: selectorOf(pod, context) },
              port: named === "" ? port : named,
              proxyProtocol: isHttp ? "unknown" : "opaque",
              accessPolicy,
            },
          ),
        ]
      : [];
  if (clients.length === 0) return { objects: server, notes };
  const allowed = `${name}-clients`;
  return {
    objects: [
      ...server,
      object(
        "MeshTLSAuthentication",
        "v1alpha1",
        { name: allowed, namespace },
        identitiesOf(clients, context),
      ),
      object(
        "AuthorizationPolicy",
        "v1alpha1",
        { name: allowed, namespace },
        {
          targetRef: { group: LINKERD, kind: "Server", name },
          requiredAuthenticationRefs: [{ group: LINKERD, kind: "MeshTLSAuthentication", name: allowed }],
        },
      ),
    ],
    notes,
  };
}

/** What only a default let in: where a policy already speaks for a client, nothing wider is to be written. */
function byDefault(observed: readonly ObservedEdge[], context: InboundContext): readonly ObservedEdge[] {
  const allowed = observed.filter((edge) => edge.allowed > 0);
  const judged = judgeEdges(edgesOf(allowed, context), context);
  return allowed.filter((_edge, at) => {
    const verdict = judged[at]?.verdict;
    return verdict?.type !== "allowed" || verdict.by.kind === "default";
  });
}

/** Policies for everything that was let in and that no policy speaks of yet. */
export function suggestPolicies(
  observed: readonly ObservedEdge[],
  context: InboundContext,
  options: SuggestOptions,
): Suggestion {
  const all = portsOf(byDefault(observed, context), context).map((port) =>
    suggestPort(port, context, options),
  );
  return { objects: all.flatMap(({ objects }) => objects), notes: all.flatMap(({ notes }) => notes) };
}
