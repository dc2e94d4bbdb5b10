/** What became of routes: `Accepted` and `ResolvedRefs` for each parent that is the mesh's business. Pure. */
import { byAge, keyOf, type Meta } from "../model/meta.ts";
import type { BackendRef, ByteRule, GrpcRoute, HttpRoute, ParentRef } from "../model/route.ts";
import { grpcRoutesOf, tcpRoutesOf, tlsRoutesOf } from "../state/derive.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { resolveBackend } from "./backend.ts";
import { ACCEPTED, refused, RESOLVED, type Condition, type ObjectStatus } from "./condition.ts";
import { isOutboundOnly } from "./filters.ts";

type RouteKind = "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute";

/** The part of a route that its status depends on. */
interface Route {
  readonly kind: RouteKind;
  readonly group: string;
  readonly meta: Meta;
  readonly parents: readonly ParentRef[];
  readonly backends: readonly Omit<BackendRef<unknown>, "filters">[];
  /** What mirrors name. */
  readonly mirrored: readonly Omit<BackendRef<unknown>, "filters" | "weight">[];
  readonly unsupported: readonly string[];
  /** On a Server, besides. */
  readonly unsupportedInbound: readonly string[];
}

function routeOf(kind: RouteKind, route: HttpRoute | GrpcRoute): Route {
  const filters = route.rules.flatMap((rule) => [
    ...rule.filters,
    ...rule.backends.flatMap((backend) => backend.filters),
  ]);
  return {
    kind,
    group: route.group,
    meta: route.meta,
    parents: route.parents,
    backends: route.rules.flatMap((rule) => rule.backends),
    mirrored: filters.flatMap((filter) => (filter.type === "RequestMirror" ? [filter.mirror.backend] : [])),
    unsupportedInbound: filters.filter(isOutboundOnly).map(({ type }) => `filter ${type} on a Server`),
    unsupported: [
      ...filters.flatMap((filter) => (filter.type === "Unsupported" ? [`filter ${filter.name}`] : [])),
      ...route.rules.flatMap(({ unsupported }) => unsupported),
    ],
  };
}

function byteRouteOf(
  kind: RouteKind,
  route: Pick<Route, "group" | "meta" | "parents"> & { readonly rules: readonly ByteRule[] },
): Route {
  const backends = route.rules.flatMap((rule) => rule.backends);
  return {
    kind,
    group: route.group,
    meta: route.meta,
    parents: route.parents,
    backends,
    mirrored: [],
    unsupported: [],
    unsupportedInbound: [],
  };
}

/** Why a parent does not take a route. */
interface Refusal {
  readonly reason: "NoMatchingParent" | "NotAllowedByListeners";
  readonly message: string;
}

function without(message: string): Refusal {
  return { reason: "NoMatchingParent", message };
}

/** Whether and why a parent does not take a route; nothing is said of parents that are no business of the mesh. */
export function parentRefused(
  route: { readonly kind: RouteKind; readonly meta: Meta },
  parent: ParentRef,
  snapshot: Snapshot,
): Refusal | undefined {
  const { namespace, name } = parent;
  switch (`${parent.group}/${parent.kind}`) {
    case "/Service": {
      const service = snapshot.Service.get(keyOf(parent));
      if (service === undefined) return without(`Service ${namespace}/${name} not found`);
      const hasPort = parent.port === undefined || service.ports.some(({ port }) => port === parent.port);
      return hasPort ? undefined : without(`Service ${namespace}/${name} has no port ${parent.port}`);
    }
    case "policy.linkerd.io/Server":
      if (route.kind === "TLSRoute" || route.kind === "TCPRoute")
        return { reason: "NotAllowedByListeners", message: `a Server takes no ${route.kind}` };
      if (route.meta.namespace !== namespace) {
        const message = `a Server takes routes of its own namespace ${namespace} only`;
        return { reason: "NotAllowedByListeners", message };
      }
      return snapshot.Server.has(keyOf(parent))
        ? undefined
        : without(`Server ${namespace}/${name} not found`);
    case "policy.linkerd.io/EgressNetwork":
      if (parent.port === undefined)
        return without("a route of an EgressNetwork must name its port; without, it has no effect");
      return snapshot.EgressNetwork.has(keyOf(parent))
        ? undefined
        : without(`EgressNetwork ${namespace}/${name} not found`);
    default:
      return undefined;
  }
}

/** Whether the parent is the mesh's business; a Gateway's routes are its controller's. */
export function isMeshParent({ group, kind }: ParentRef): boolean {
  return ["/Service", "policy.linkerd.io/Server", "policy.linkerd.io/EgressNetwork"].includes(
    `${group}/${kind}`,
  );
}

function refsResolved(route: Route, parent: ParentRef, snapshot: Snapshot): Condition {
  if (parent.kind === "Server") return RESOLVED;
  for (const backend of [...route.backends, ...route.mirrored]) {
    if (backend.kind === "EgressNetwork" && parent.kind === "EgressNetwork" && backend.name === parent.name)
      continue;
    const resolved = resolveBackend(backend, snapshot);
    if (!resolved.ok) return { type: "ResolvedRefs", status: "False", ...resolved.problem };
  }
  return RESOLVED;
}

interface Attached {
  readonly meta: Meta;
  readonly parents: readonly ParentRef[];
}

/** Whether `other` holds for the same clients, at a port that is all or some of this attachment's. */
function holds(other: Attached, route: Route, parent: ParentRef): boolean {
  if (other.meta === route.meta || other.meta.namespace !== route.meta.namespace) return false;
  return other.parents.some(
    ({ group, kind, namespace, name, port }) =>
      group === parent.group &&
      kind === parent.kind &&
      namespace === parent.namespace &&
      name === parent.name &&
      (port === undefined || port === parent.port),
  );
}

/** The kinds that go before each: of several on one port, the most specific holds it (GEP-1426). */
function displacedBy(route: Route, parent: ParentRef, snapshot: Snapshot): Condition | undefined {
  if (parent.kind === "Server" || route.kind === "GRPCRoute") return undefined;
  const others: readonly (readonly [string, readonly Attached[]])[] = [
    ["GRPCRoute", grpcRoutesOf(snapshot, parent)],
    ...(route.kind === "TCPRoute"
      ? [
          ["TLSRoute", tlsRoutesOf(snapshot, parent)] as const,
          ["TCPRoute", tcpRoutesOf(snapshot, parent).filter((other) => byAge(other, route) < 0)] as const,
        ]
      : []),
  ];
  for (const [kind, routes] of others) {
    const holder = routes.find((other) => holds(other, route, parent));
    if (holder === undefined) continue;
    const message = `${kind} ${keyOf(holder.meta)} holds the port; of several kinds the most specific has effect`;
    return refused("RouteReasonConflicted", message);
  }
  return undefined;
}

function unsupportedIn(route: Route, { kind }: ParentRef): Condition | undefined {
  const inbound = kind === "Server" ? route.unsupportedInbound : [];
  const [what] = [...route.unsupported, ...inbound];
  return what === undefined
    ? undefined
    : refused("UnsupportedValue", `${what} is not supported; requests that meet its rule get 500`);
}

function accepted(route: Route, parent: ParentRef, snapshot: Snapshot): Condition {
  const refusal = parentRefused(route, parent, snapshot);
  if (refusal !== undefined) return refused(refusal.reason, refusal.message);
  return displacedBy(route, parent, snapshot) ?? unsupportedIn(route, parent) ?? ACCEPTED;
}

function statusesOfRoute(route: Route, snapshot: Snapshot): readonly ObjectStatus[] {
  return route.parents.filter(isMeshParent).map((parent) => ({
    group: route.group,
    kind: route.kind,
    namespace: route.meta.namespace,
    name: route.meta.name,
    parent: {
      group: parent.group,
      kind: parent.kind,
      namespace: parent.namespace,
      name: parent.name,
      ...(parent.port === undefined ? {} : { port: parent.port }),
      ...(parent.sectionName === undefined ? {} : { sectionName: parent.sectionName }),
    },
    conditions: [accepted(route, parent, snapshot), refsResolved(route, parent, snapshot)],
  }));
}

/** Of every route, for every parent in the mesh. */
export function routeStatuses(snapshot: Snapshot): readonly ObjectStatus[] {
  const routes = [
    ...[...snapshot.HTTPRoute.values()].map((route) => routeOf("HTTPRoute", route)),
    ...[...snapshot.GRPCRoute.values()].map((route) => routeOf("GRPCRoute", route)),
    ...[...snapshot.TLSRoute.values()].map((route) => byteRouteOf("TLSRoute", route)),
    ...[...snapshot.TCPRoute.values()].map((route) => byteRouteOf("TCPRoute", route)),
  ];
  return routes.flatMap((route) => statusesOfRoute(route, snapshot));
}
