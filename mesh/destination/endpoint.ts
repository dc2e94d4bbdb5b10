/** One address as clients are told of it: identity, hints and labels. Pure. */
import { create } from "@bufbuild/protobuf";
import {
  Http2ClientParamsSchema,
  ProtocolHintSchema,
  TlsIdentitySchema,
  WeightedAddrSchema,
  type Http2ClientParams,
  type ProtocolHint,
  type TlsIdentity,
  type WeightedAddr,
} from "../api/gen/destination_pb.ts";
import { resourceRef, wireDuration, wireTcpAddress } from "../api/wire.ts";
import type { IpAddress } from "../model/address.ts";
import { workloadIdentity } from "../model/identity.ts";
import type { MeshSettings } from "../model/settings.ts";
import {
  CONTROL_PLANE_NS_LABEL,
  ZONE_LABEL,
  isMeshed,
  PROXY_INBOUND_PORT,
  type ExternalWorkload,
  type Pod,
} from "../model/workload.ts";
import { isOpaque, isSkippedInbound, serversOf, type Target } from "../state/derive.ts";
import type { Snapshot } from "../state/snapshot.ts";

/** Equal for all; Linkerd's number, so that mixed fleets weigh alike. */
const ENDPOINT_WEIGHT = 10_000;

/** Pings on idle connections, so that a peer that vanished is noticed before the next request. */
const KEEP_ALIVE_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 3_000;

const HTTP2: Http2ClientParams = create(Http2ClientParamsSchema, {
  keepAlive: {
    interval: wireDuration(KEEP_ALIVE_MS),
    timeout: wireDuration(KEEP_ALIVE_TIMEOUT_MS),
    whileIdle: true,
  },
});

/** What an address is resolved in the light of. */
export interface Context {
  readonly snapshot: Snapshot;
  readonly settings: MeshSettings;
  /** Zone of the client, when its node is known. */
  readonly clientZone: string | undefined;
  /** The client's; a ServiceProfile there stands before the service's own. */
  readonly clientNamespace?: string | undefined;
}

/** The part of a context that an endpoint's message depends on. Kept by answers, so it holds nothing that changes often. */
export interface Surroundings {
  readonly snapshot: Pick<Snapshot, "Server" | "Namespace" | "Node">;
  readonly settings: MeshSettings;
  readonly clientZone: string | undefined;
}

/** The surroundings of what is resolved in a context. */
export function surroundingsOf({ snapshot, settings, clientZone }: Context): Surroundings {
  const { Server, Namespace, Node } = snapshot;
  return { snapshot: { Server, Namespace, Node }, settings, clientZone };
}

/** What lies at an address. */
export type Occupant =
  | { readonly type: "pod"; readonly pod: Pod }
  | { readonly type: "workload"; readonly workload: ExternalWorkload }
  | { readonly type: "unknown" };

const OWNER_KINDS = [
  "deployment",
  "replicaset",
  "replicationcontroller",
  "statefulset",
  "daemonset",
  "job",
  "cronjob",
] as const;

/** `dst_deployment` and its like: from the injector's labels, else from the owner reference. */
function ownerLabels(pod: Pod): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const kind of OWNER_KINDS) {
    const name = pod.meta.labels[`linkerd.io/proxy-${kind}`];
    if (name !== undefined) labels[kind === "job" ? "k8s_job" : kind] = name;
  }
  const { owner } = pod.meta;
  if (Object.keys(labels).length > 0 || owner === undefined) return labels;
  const hash = pod.meta.labels["pod-template-hash"];
  if (owner.kind === "ReplicaSet" && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return { deployment: owner.name.slice(0, -hash.length - 1) };
  }
  return { [owner.kind === "Job" ? "k8s_job" : owner.kind.toLowerCase()]: owner.name };
}

function zoneLabels(zone: string | undefined, clientZone: string | undefined): Record<string, string> {
  const locality =
    zone === undefined || clientZone === undefined ? "unknown" : zone === clientZone ? "local" : "remote";
  return { ...(zone === undefined ? {} : { zone }), zone_locality: locality };
}

/**
 * The zone of a pod: its node's, or the pod's own label where no such Node is known. Kubernetes 1.35 copies the node's
 * label to its pods; manifests without nodes write it themselves.
 */
export function zoneOf(pod: Pod, snapshot: Pick<Snapshot, "Node">): string | undefined {
  const node = pod.nodeName === undefined ? undefined : snapshot.Node.get(pod.nodeName);
  return node?.zone ?? pod.meta.labels[ZONE_LABEL];
}

function podLabels(pod: Pod, { snapshot, clientZone }: Surroundings): Record<string, string> {
  const hash = pod.meta.labels["pod-template-hash"];
  const controlPlane = pod.meta.labels[CONTROL_PLANE_NS_LABEL];
  const zone = zoneOf(pod, snapshot);
  return {
    ...ownerLabels(pod),
    pod: pod.meta.name,
    serviceaccount: pod.serviceAccount,
    ...(controlPlane === undefined ? {} : { control_plane_ns: controlPlane }),
    ...(hash === undefined ? {} : { pod_template_hash: hash }),
    ...zoneLabels(zone, clientZone),
  };
}

/** Whether the endpoint's own proxy treats `port` as opaque. */
function isOpaqueAt(target: Target, port: number, { snapshot, settings }: Surroundings): boolean {
  const servers = serversOf(snapshot, target, port);
  if (servers.some(({ proxyProtocol }) => proxyProtocol === "opaque")) return true;
  return isOpaque(snapshot, target, { port, fallback: settings.opaquePorts });
}

function hint(opaque: boolean, inboundPort: number): ProtocolHint {
  return create(ProtocolHintSchema, {
    protocol: opaque ? { case: "opaque", value: {} } : { case: "h2", value: {} },
    opaqueTransport: { inboundPort },
  });
}

/** How a client is to know a pod: by its service account's name, if it has a proxy that gets to see the port. */
function podIdentity(pod: Pod, port: number, { snapshot, settings }: Surroundings): TlsIdentity | undefined {
  if (!isMeshed(pod, settings.controlPlaneNamespace) || pod.hostNetwork) return undefined;
  if (isSkippedInbound(snapshot, pod, port)) return undefined;
  const account = { namespace: pod.meta.namespace, name: pod.serviceAccount };
  const identity = workloadIdentity(account, settings);
  if (identity === undefined) return undefined;
  return create(TlsIdentitySchema, {
    strategy: { case: "dnsLikeIdentity", value: { name: identity.dnsName } },
  });
}

function workloadTls({ identity, serverName }: ExternalWorkload): TlsIdentity {
  const server = { serverName: { name: serverName } };
  if (/^[a-z][a-z0-9+.-]*:\/\//.test(identity)) {
    return create(TlsIdentitySchema, {
      strategy: { case: "uriLikeIdentity", value: { uri: identity } },
      ...server,
    });
  }
  return create(TlsIdentitySchema, {
    strategy: { case: "dnsLikeIdentity", value: { name: identity } },
    ...server,
  });
}

function podAddr(pod: Pod, port: number, context: Surroundings) {
  const { namespace, name } = pod.meta;
  const base = {
    metricLabels: podLabels(pod, context),
    resourceRef: resourceRef({ group: "core", kind: "Pod", namespace, name }),
  };
  const tlsIdentity = podIdentity(pod, port, context);
  if (tlsIdentity === undefined) return base;
  const opaque = isOpaqueAt({ of: "Pod", meta: pod.meta, ports: pod.ports }, port, context);
  return { ...base, tlsIdentity, protocolHint: hint(opaque, PROXY_INBOUND_PORT), http2: HTTP2 };
}

function workloadAddr(workload: ExternalWorkload, port: number, context: Surroundings) {
  const { meta, ports } = workload;
  const inbound = ports.find(({ name }) => name === "linkerd-proxy")?.port ?? PROXY_INBOUND_PORT;
  return {
    metricLabels: { external_workload: meta.name, ...zoneLabels(undefined, context.clientZone) },
    resourceRef: resourceRef({
      group: "workload.linkerd.io",
      kind: "ExternalWorkload",
      namespace: meta.namespace,
      name: meta.name,
    }),
    tlsIdentity: workloadTls(workload),
    protocolHint: hint(isOpaqueAt({ of: "ExternalWorkload", meta, ports }, port, context), inbound),
    http2: HTTP2,
  };
}

/** The address of `occupant`. */
export function weightedAddr(
  { ip, port, occupant }: { readonly ip: IpAddress; readonly port: number; readonly occupant: Occupant },
  context: Surroundings,
): WeightedAddr {
  const head = { addr: wireTcpAddress(ip, port), weight: ENDPOINT_WEIGHT };
  switch (occupant.type) {
    case "pod":
      return create(WeightedAddrSchema, { ...head, ...podAddr(occupant.pod, port, context) });
    case "workload":
      return create(WeightedAddrSchema, { ...head, ...workloadAddr(occupant.workload, port, context) });
    case "unknown":
      return create(WeightedAddrSchema, { ...head, metricLabels: zoneLabels(undefined, context.clientZone) });
  }
}
