/** Who may call what, asked in the words of objects: a client, a workload or service, a port, a request. Pure. */
import { formatIp, parseIp, type IpAddress } from "../model/address.ts";
import { workloadIdentity } from "../model/identity.ts";
import { keyOf, type NamespacedName } from "../model/meta.ts";
import { selects } from "../model/selector.ts";
import type { ContainerPort, ExternalWorkload, Pod } from "../model/workload.ts";
import { slicesOf } from "../state/derive.ts";
import type { InboundContext } from "./authz.ts";
import { inboundPolicy } from "./inbound.ts";
import {
  judgeOf,
  serverGround,
  type Asked,
  type AskingClient,
  type Ground,
  type Judge,
  type Verdict,
} from "./verdict.ts";

/** Who asks: a service account of the mesh, an identity by its name, or somebody without mesh TLS. */
export type Asker =
  | { readonly type: "account"; readonly account: NamespacedName }
  | { readonly type: "identity"; readonly identity: string }
  | { readonly type: "unmeshed" };

/** What is asked: a port by number or name. A Service's port is the Service's, not the workload's. */
export interface Destination extends NamespacedName {
  readonly kind: "Pod" | "ExternalWorkload" | "Service" | "Server" | "Workload";
  readonly port: number | string | undefined;
}

export interface Question {
  readonly from: Asker;
  /** Where the client is; absent: where its pod is, or else somewhere in the cluster. */
  readonly ip: IpAddress | undefined;
  readonly to: Destination;
  readonly asked: Asked;
}

/** A port of one workload. */
export interface WorkloadPort {
  readonly of: "Pod" | "ExternalWorkload";
  readonly workload: NamespacedName;
  readonly port: number;
}

/** What one workload does. */
export interface Answer extends WorkloadPort {
  readonly server: Ground;
  readonly verdict: Verdict;
}

/** Ports of the proxy itself: what happens there is no traffic of the application's. */
export const PROXY_PORTS: ReadonlySet<number> = new Set([4140, 4143, 4190, 4191]);

type Candidate = { readonly of: WorkloadPort["of"]; readonly object: Pod | ExternalWorkload };

function candidates({ snapshot }: InboundContext, namespace: string): readonly Candidate[] {
  const pods = [...snapshot.Pod.values()].filter((pod) => !pod.isFinished);
  return [
    ...pods.map((object) => ({ of: "Pod" as const, object })),
    ...[...snapshot.ExternalWorkload.values()].map((object) => ({ of: "ExternalWorkload" as const, object })),
  ].filter(({ object }) => object.meta.namespace === namespace);
}

function numberOf(port: number | string, ports: readonly ContainerPort[]): number | undefined {
  return typeof port === "number" ? port : ports.find(({ name }) => name === port)?.port;
}

function portsOf({ of, object }: Candidate, port: Destination["port"]): readonly WorkloadPort[] {
  const { namespace, name } = object.meta;
  const numbers =
    port === undefined
      ? object.ports
          .filter(({ protocol, port: own }) => protocol === "TCP" && !PROXY_PORTS.has(own))
          .map((one) => one.port)
      : [numberOf(port, object.ports)].filter((number) => number !== undefined);
  return numbers.map((number) => ({ of, workload: { namespace, name }, port: number }));
}

/** The controller that a pod belongs to: a ReplicaSet's name ends in the hash of its template. */
export function workloadOf({ meta }: { readonly meta: Pod["meta"] }): {
  readonly kind: string;
  readonly name: string;
} {
  const { owner, name, labels } = meta;
  if (owner === undefined) return { kind: "Pod", name };
  const hash = labels["pod-template-hash"];
  if (owner.kind === "ReplicaSet" && hash !== undefined && owner.name.endsWith(`-${hash}`))
    return { kind: "Deployment", name: owner.name.slice(0, -hash.length - 1) };
  return owner;
}

function ofService(to: Destination, context: InboundContext): readonly WorkloadPort[] {
  const { snapshot } = context;
  const service = snapshot.Service.get(keyOf(to));
  if (service === undefined) return [];
  const wanted = service.ports.filter(
    ({ port, name }) => to.port === undefined || port === to.port || (name !== "" && name === to.port),
  );
  return slicesOf(snapshot, to).flatMap(({ ports, endpoints }) =>
    endpoints.flatMap(({ target }) => {
      if (target === undefined) return [];
      const { kind, namespace, name } = target;
      return ports
        .filter((port) => wanted.some((one) => one.name === port.name))
        .map(({ port }) => ({ of: kind, workload: { namespace, name }, port }));
    }),
  );
}

function ofServer(to: Destination, context: InboundContext): readonly WorkloadPort[] {
  const server = context.snapshot.Server.get(keyOf(to));
  if (server === undefined) return [];
  return candidates(context, to.namespace)
    .filter(({ of, object }) => of === server.of && selects(server.selector, object.meta.labels))
    .flatMap((candidate) => portsOf(candidate, server.port));
}

/** The workloads' ports that a destination stands for, each once; none if it is not there or has no such port. */
export function portsAt(to: Destination, context: InboundContext): readonly WorkloadPort[] {
  const found = () => {
    switch (to.kind) {
      case "Service":
        return ofService(to, context);
      case "Server":
        return ofServer(to, context);
      case "Pod":
      case "ExternalWorkload":
        return candidates(context, to.namespace)
          .filter(({ of, object }) => of === to.kind && object.meta.name === to.name)
          .flatMap((candidate) => portsOf(candidate, to.port));
      case "Workload":
        return candidates(context, to.namespace)
          .filter(({ object }) => workloadOf(object).name === to.name)
          .flatMap((candidate) => portsOf(candidate, to.port));
    }
  };
  const all = found().map((one) => [`${one.of}/${keyOf(one.workload)}:${one.port}`, one] as const);
  return [...new Map(all).values()];
}

/** Where an account's pod is; else the first address of the cluster's networks. */
function addressOf(from: Asker, { snapshot, settings }: InboundContext): IpAddress {
  const pod =
    from.type === "account"
      ? [...snapshot.Pod.values()].find(
          ({ meta, serviceAccount, ips }) =>
            meta.namespace === from.account.namespace &&
            serviceAccount === from.account.name &&
            ips.length > 0,
        )
      : undefined;
  const known = parseIp(pod?.ips[0] ?? "");
  if (known !== undefined) return known;
  const [network] = settings.clusterNetworks;
  return network === undefined
    ? { family: 4, bits: 0n }
    : { family: network.address.family, bits: network.address.bits + 1n };
}

/** The client, as a proxy would see it; `undefined` for an account that can have no identity. */
export function clientOf(
  { from, ip }: Pick<Question, "from" | "ip">,
  context: InboundContext,
): AskingClient | undefined {
  const address = ip ?? addressOf(from, context);
  switch (from.type) {
    case "unmeshed":
      return { ip: address, tls: { type: "none" } };
    case "identity":
      return { ip: address, tls: { type: "mesh", identity: from.identity } };
    case "account": {
      const identity = workloadIdentity(from.account, context.settings)?.dnsName;
      return identity === undefined ? undefined : { ip: address, tls: { type: "mesh", identity } };
    }
  }
}

/** Who judges at one port of one workload, and by which Server. */
export interface PortJudge extends WorkloadPort {
  readonly server: Ground;
  readonly judge: Judge;
}

/** The judge of a port; `undefined` for a workload that is not there. */
export function judgeAt(target: WorkloadPort, context: InboundContext): PortJudge | undefined {
  const { of, workload, port } = target;
  const server = inboundPolicy({ workload: { ...workload, of }, port }, context);
  if (server === undefined) return undefined;
  return { ...target, server: serverGround(server, workload.namespace), judge: judgeOf(server) };
}

/** What every workload behind the destination does; none if there is no such port, or the client cannot be. */
export function ask(question: Question, context: InboundContext): readonly Answer[] {
  const client = clientOf(question, context);
  if (client === undefined) return [];
  return portsAt(question.to, context).flatMap((target) => {
    const at = judgeAt(target, context);
    if (at === undefined) return [];
    return [{ ...target, server: at.server, verdict: at.judge(client, question.asked) }];
  });
}

/** As it is written in tests and tables. */
export function describeAsker(from: Asker, ip?: IpAddress): string {
  const at = ip === undefined ? "" : ` at ${formatIp(ip)}`;
  switch (from.type) {
    case "account":
      return `${keyOf(from.account)}${at}`;
    case "identity":
      return `${from.identity}${at}`;
    case "unmeshed":
      return `unmeshed${at}`;
  }
}
