/** Joins over a snapshot: what belongs to what. Computed once per map of objects, however often it is asked for. */
import { serviceName } from "../model/authority.ts";
import { keyOf, type Meta, type NamespacedName } from "../model/meta.ts";
import type { Server } from "../model/policy.ts";
import { hasPort, parsePorts, SKIP_PORTS_DEFAULT, type PortSet } from "../model/ports.ts";
import type { GrpcRoute, HttpRoute, ParentRef, TcpRoute, TlsRoute } from "../model/route.ts";
import type { ServiceProfile } from "../model/profile.ts";
import { selects } from "../model/selector.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { EndpointSlice, Service } from "../model/service.ts";
import type { ContainerPort, ExternalWorkload, Pod } from "../model/workload.ts";
import { indexed, type IndexOf } from "./shards.ts";
import type { Snapshot } from "./snapshot.ts";

/** A function of one map of objects, remembered for as long as the map lives. */
function once<K extends object, V>(compute: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    const entry = known.get(key) ?? { value: compute(key) };
    known.set(key, entry);
    return entry.value;
  };
}

/**
 * Objects by some key of theirs, each list in the order of names. Nearly every list is of one: such a one is kept as itself,
 * since a hundred thousand arrays of one object take more memory than the objects' own fields.
 */
type Lists<V> = Map<string, V | readonly V[]>;

function isMany<V>(found: V | readonly V[] | undefined): found is readonly V[] {
  return Array.isArray(found);
}

function listOf<V>(lists: Lists<V>, key: string): readonly V[] {
  const found = lists.get(key);
  if (found === undefined) return [];
  return isMany(found) ? found : [found];
}

function keepList<V>(lists: Lists<V>, key: string, list: readonly V[]): void {
  const [first, second] = list;
  if (first === undefined) lists.delete(key);
  else lists.set(key, second === undefined ? first : list);
}

/** The list with one more, in the order of names. */
function ordered<V extends { readonly meta: Meta }>(list: readonly V[], value: V): readonly V[] {
  const name = keyOf(value.meta);
  const at = list.findIndex(({ meta }) => keyOf(meta) > name);
  return at === -1 ? [...list, value] : list.toSpliced(at, 0, value);
}

function listed<V extends { readonly meta: Meta }>(
  keysOf: (value: V) => readonly string[],
): IndexOf<V, Lists<V>> {
  return {
    create: () => new Map(),
    add: (lists, value) => {
      for (const key of keysOf(value)) {
        if (!lists.has(key)) {
          lists.set(key, value);
          continue;
        }
        keepList(lists, key, ordered(listOf(lists, key), value));
      }
    },
    remove: (lists, value) => {
      for (const key of keysOf(value)) {
        const rest = listOf(lists, key).filter((other) => other !== value);
        keepList(lists, key, rest);
      }
    },
  };
}

const serviceByIp = indexed(listed((service: Service) => service.clusterIps));

/** Of two pods with one address, the one that has it now: not the one that is going, else the younger. */
function isLaterHolder(pod: Pod, holder: Pod): boolean {
  if (pod.isTerminating !== holder.isTerminating) return holder.isTerminating;
  return pod.meta.createdMs > holder.meta.createdMs;
}

// Pods on the host's network share its address; a finished pod's address may be another's by now.
const podByIp = indexed(listed((pod: Pod) => (pod.hostNetwork || pod.isFinished ? [] : pod.ips)));

const workloadByIp = indexed(listed((workload: ExternalWorkload) => workload.ips));

const slicesByService = indexed(
  listed((slice: EndpointSlice) => [keyOf({ namespace: slice.meta.namespace, name: slice.service })]),
);

/** Slices by what their endpoints are. Each kind and namespace has a map of its own, whose keys are the names that endpoints have anyway. */
type Targets = Map<string, Lists<EndpointSlice>>;

function placeOf(kind: "Pod" | "ExternalWorkload", namespace: string): string {
  return `${kind}/${namespace}`;
}

const slicesByTarget = indexed<EndpointSlice, Targets>({
  create: () => new Map(),
  add: (targets, slice) =>
    eachTarget(slice, (place, name) => {
      const lists = targets.get(place) ?? new Map<string, EndpointSlice | readonly EndpointSlice[]>();
      targets.set(place, lists);
      const before = listOf(lists, name);
      if (!before.includes(slice)) keepList(lists, name, ordered(before, slice));
    }),
  remove: (targets, slice) =>
    eachTarget(slice, (place, name) => {
      const lists = targets.get(place);
      if (lists === undefined) return;
      keepList(
        lists,
        name,
        listOf(lists, name).filter((other) => other !== slice),
      );
      if (lists.size === 0) targets.delete(place);
    }),
});

function eachTarget({ endpoints }: EndpointSlice, visit: (place: string, name: string) => void): void {
  for (const { target } of endpoints)
    if (target !== undefined) visit(placeOf(target.kind, target.namespace), target.name);
}

/** The slices that have the workload as an endpoint. */
export function slicesWith(
  snapshot: Snapshot,
  kind: "Pod" | "ExternalWorkload",
  { namespace, name }: NamespacedName,
): readonly EndpointSlice[] {
  const lists = slicesByTarget(snapshot.EndpointSlice).get(placeOf(kind, namespace));
  return lists === undefined ? [] : listOf(lists, name);
}

const serversByNamespace = indexed(listed((server: Server) => [server.meta.namespace]));

function parentKey({
  group,
  kind,
  namespace,
  name,
}: Pick<ParentRef, "group" | "kind" | "namespace" | "name">): string {
  return `${group}/${kind}/${namespace}/${name}`;
}

function byParent<R extends { readonly parents: readonly ParentRef[] }>(routes: ReadonlyMap<string, R>) {
  const index = new Map<string, Set<R>>();
  for (const route of routes.values()) {
    for (const parent of route.parents) {
      const key = parentKey(parent);
      index.set(key, (index.get(key) ?? new Set<R>()).add(route));
    }
  }
  return index;
}

const httpByParent = once((routes: ReadonlyMap<string, HttpRoute>) => byParent(routes));
const grpcByParent = once((routes: ReadonlyMap<string, GrpcRoute>) => byParent(routes));
const tlsByParent = once((routes: ReadonlyMap<string, TlsRoute>) => byParent(routes));
const tcpByParent = once((routes: ReadonlyMap<string, TcpRoute>) => byParent(routes));

export function findServiceByIp(snapshot: Snapshot, ip: string): Service | undefined {
  return listOf(serviceByIp(snapshot.Service), ip)[0];
}

export function findPodByIp(snapshot: Snapshot, ip: string): Pod | undefined {
  return listOf(podByIp(snapshot.Pod), ip).reduce<Pod | undefined>(
    (holder, pod) => (holder === undefined || isLaterHolder(pod, holder) ? pod : holder),
    undefined,
  );
}

export function findWorkloadByIp(snapshot: Snapshot, ip: string): ExternalWorkload | undefined {
  return listOf(workloadByIp(snapshot.ExternalWorkload), ip)[0];
}

export function slicesOf(snapshot: Snapshot, service: NamespacedName): readonly EndpointSlice[] {
  return listOf(slicesByService(snapshot.EndpointSlice), keyOf(service));
}

/** Routes with a parentRef to the named object, whatever port or section they name. */
export function httpRoutesOf(
  snapshot: Snapshot,
  parent: Parameters<typeof parentKey>[0],
): readonly HttpRoute[] {
  return [...(httpByParent(snapshot.HTTPRoute).get(parentKey(parent)) ?? [])];
}

export function grpcRoutesOf(
  snapshot: Snapshot,
  parent: Parameters<typeof parentKey>[0],
): readonly GrpcRoute[] {
  return [...(grpcByParent(snapshot.GRPCRoute).get(parentKey(parent)) ?? [])];
}

export function tlsRoutesOf(
  snapshot: Snapshot,
  parent: Parameters<typeof parentKey>[0],
): readonly TlsRoute[] {
  return [...(tlsByParent(snapshot.TLSRoute).get(parentKey(parent)) ?? [])];
}

export function tcpRoutesOf(
  snapshot: Snapshot,
  parent: Parameters<typeof parentKey>[0],
): readonly TcpRoute[] {
  return [...(tcpByParent(snapshot.TCPRoute).get(parentKey(parent)) ?? [])];
}

/** A workload as inbound policy sees it. */
export interface Target {
  readonly of: Server["of"];
  readonly meta: Meta;
  readonly ports: readonly ContainerPort[];
}

function portMatches(server: Server, target: Target, port: number): boolean {
  if (typeof server.port === "number") return server.port === port;
  return target.ports.some((candidate) => candidate.name === server.port && candidate.port === port);
}

/** The Servers that select `port` of `target`. Usually one; more than one is a conflict. */
export function serversOf(
  snapshot: Pick<Snapshot, "Server">,
  target: Target,
  port: number,
): readonly Server[] {
  return listOf(serversByNamespace(snapshot.Server), target.meta.namespace).filter(
    (server) =>
      server.of === target.of &&
      selects(server.selector, target.meta.labels) &&
      portMatches(server, target, port),
  );
}

const podsByNamespace = indexed<Pod, Map<string, Set<Pod>>>({
  create: () => new Map(),
  add: (byNamespace, pod) => {
    const { namespace } = pod.meta;
    byNamespace.set(namespace, (byNamespace.get(namespace) ?? new Set()).add(pod));
  },
  remove: (byNamespace, pod) => void byNamespace.get(pod.meta.namespace)?.delete(pod),
});

const podsOfServer = once((server: Server) =>
  once((pods: ReadonlyMap<string, Pod>) => {
    const inNamespace = podsByNamespace(pods).get(server.meta.namespace) ?? [];
    return [...inNamespace].filter((pod) => !pod.isFinished && selects(server.selector, pod.meta.labels))
      .length;
  }),
);

const externalsOfServer = once((server: Server) =>
  once(
    (workloads: ReadonlyMap<string, ExternalWorkload>) =>
      [...workloads.values()].filter(
        ({ meta }) => meta.namespace === server.meta.namespace && selects(server.selector, meta.labels),
      ).length,
  ),
);

/** How many workloads a Server selects, whatever their ports. */
export function countSelected(server: Server, snapshot: Snapshot): number {
  return server.of === "Pod"
    ? podsOfServer(server)(snapshot.Pod)
    : externalsOfServer(server)(snapshot.ExternalWorkload);
}

/** An annotation of the object, or else of its namespace. */
export function annotationOf(
  snapshot: Pick<Snapshot, "Namespace">,
  meta: Meta,
  name: string,
): string | undefined {
  return meta.annotations[name] ?? snapshot.Namespace.get(meta.namespace)?.meta.annotations[name];
}

/** Whether `port` of the object is opaque; its annotation replaces the default list. */
export function isOpaque(
  snapshot: Pick<Snapshot, "Namespace">,
  {
    meta,
    ports,
  }: { readonly meta: Meta; readonly ports: readonly { readonly name: string; readonly port: number }[] },
  { port, fallback }: { readonly port: number; readonly fallback: PortSet },
): boolean {
  const text = annotationOf(snapshot, meta, "config.linkerd.io/opaque-ports");
  if (text === undefined) return hasPort(fallback, port);
  return hasPort(
    parsePorts(text, new Map(ports.map(({ name, port: number }) => [name, number]))).ports,
    port,
  );
}

/** The profile that a client of `namespace` has of a service: its own before the service's. */
export function profileFor(
  snapshot: Snapshot,
  service: Meta,
  { clusterDomain, namespace }: { readonly clusterDomain: string; readonly namespace: string },
): ServiceProfile | undefined {
  const name = serviceName(service, clusterDomain);
  return (
    snapshot.ServiceProfile.get(keyOf({ namespace, name })) ??
    snapshot.ServiceProfile.get(keyOf({ namespace: service.namespace, name }))
  );
}

/** Whether the service's port is opaque to clients: by ServiceProfile, annotation, namespace or default list. */
export function isServicePortOpaque(
  snapshot: Snapshot,
  service: Service,
  { port, settings }: { readonly port: number; readonly settings: MeshSettings },
): boolean {
  const name = serviceName(service.meta, settings.clusterDomain);
  const profile = snapshot.ServiceProfile.get(keyOf({ namespace: service.meta.namespace, name }));
  if (profile !== undefined && hasPort(profile.opaquePorts, port)) return true;
  return isOpaque(snapshot, service, { port, fallback: settings.opaquePorts });
}

/** Whether connections to `port` of the pod bypass its proxy. */
export function isSkippedInbound(snapshot: Pick<Snapshot, "Namespace">, pod: Pod, port: number): boolean {
  const text = annotationOf(snapshot, pod.meta, "config.linkerd.io/skip-inbound-ports") ?? SKIP_PORTS_DEFAULT;
  return hasPort(parsePorts(text).ports, port);
}

/** Builds the indexes of what there may be very much of, so that the first question does not wait for them. */
export function prepare({ EndpointSlice, ExternalWorkload, Pod, Service }: Snapshot): void {
  slicesByTarget(EndpointSlice);
  slicesByService(EndpointSlice);
  podByIp(Pod);
  workloadByIp(ExternalWorkload);
  serviceByIp(Service);
}
