/** What became of routes and policies: the conditions that a cluster would write into their `status`. Pure. */
import type { KeySets } from "../model/jwks.ts";
import { byAge, keyOf, type Meta } from "../model/meta.ts";
import type { AuthorizationPolicy } from "../model/policy.ts";
import type { BackendRef, ByteRule, GrpcRoute, HttpRoute, ParentRef } from "../model/route.ts";
import type { MeshSettings } from "../model/settings.ts";
import { serversOf } from "../state/derive.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { BadAnnotation } from "./annotation_reader.ts";
import { affinityOf } from "./affinity.ts";
import { failureAccrual, trafficPolicy } from "./annotations.ts";
import { isKnownAppProtocol } from "./app_protocol.ts";
import { resolvePolicy, type InboundContext } from "./authz.ts";
import { resolveBackend } from "./backend.ts";
import { isOutboundOnly } from "./filters.ts";
import { profileWarnings } from "./profile_status.ts";
import { treatmentOf } from "./resilience.ts";
import { localRateLimitStatuses, rateLimitStatuses, rateLimitWarnings } from "./rate_limit_status.ts";
import { shadowedRoutes } from "./shadowed.ts";
import type { Condition, ObjectStatus, Warning } from "./condition.ts";

const ACCEPTED: Condition = { type: "Accepted", status: "True", reason: "Accepted", message: "" };
const RESOLVED: Condition = { type: "ResolvedRefs", status: "True", reason: "ResolvedRefs", message: "" };

function refused(reason: string, message: string): Condition {
  return { type: "Accepted", status: "False", reason, message };
}

/** The part of a route that its status depends on. */
interface Route {
  readonly kind: "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute";
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

function routeOf(kind: Route["kind"], route: HttpRoute | GrpcRoute): Route {
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
  kind: Route["kind"],
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

function parentAccepted(route: Route, parent: ParentRef, snapshot: Snapshot): Condition | undefined {
  const { namespace, name } = parent;
  switch (`${parent.group}/${parent.kind}`) {
    case "/Service": {
      const service = snapshot.Service.get(keyOf(parent));
      if (service === undefined) return refused("NoMatchingParent", `Service ${namespace}/${name} not found`);
      const hasPort = parent.port === undefined || service.ports.some(({ port }) => port === parent.port);
      return hasPort
        ? undefined
        : refused("NoMatchingParent", `Service ${namespace}/${name} has no port ${parent.port}`);
    }
    case "policy.linkerd.io/Server":
      if (route.kind === "TLSRoute" || route.kind === "TCPRoute")
        return refused("NotAllowedByListeners", `a Server takes no ${route.kind}`);
      if (route.meta.namespace !== namespace) {
        return refused(
          "NotAllowedByListeners",
          `a Server takes routes of its own namespace ${namespace} only`,
        );
      }
      return snapshot.Server.has(keyOf(parent))
        ? undefined
        : refused("NoMatchingParent", `Server ${namespace}/${name} not found`);
    case "policy.linkerd.io/EgressNetwork":
      if (parent.port === undefined)
        return refused(
          "NoMatchingParent",
          "a route of an EgressNetwork must name its port; without, it has no effect",
        );
      return snapshot.EgressNetwork.has(keyOf(parent))
        ? undefined
        : refused("NoMatchingParent", `EgressNetwork ${namespace}/${name} not found`);
    default:
      return undefined;
  }
}

/** Whether the parent is the mesh's business; a Gateway's routes are its controller's. */
function isOurs({ group, kind }: ParentRef): boolean {
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

function routeStatuses(route: Route, snapshot: Snapshot): ObjectStatus[] {
  const unsupported = ({ kind }: ParentRef) => {
    const inbound = kind === "Server" ? route.unsupportedInbound : [];
    const [what] = [...route.unsupported, ...inbound];
    return what === undefined
      ? undefined
      : refused("UnsupportedValue", `${what} is not supported; requests that meet its rule get 500`);
  };
  return route.parents.filter(isOurs).map((parent) => ({
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
    },
    conditions: [
      parentAccepted(route, parent, snapshot) ?? unsupported(parent) ?? ACCEPTED,
      refsResolved(route, parent, snapshot),
    ],
  }));
}

function targetAccepted({ meta, target }: AuthorizationPolicy, snapshot: Snapshot): Condition {
  const key = keyOf({ namespace: meta.namespace, name: target.name });
  const found = () => {
    switch (target.kind) {
      case "Namespace":
        return target.name === meta.namespace;
      case "Server":
        return snapshot.Server.has(key);
      case "HTTPRoute":
        return snapshot.HTTPRoute.has(`${target.group}/${key}`);
      case "GRPCRoute":
        return snapshot.GRPCRoute.has(key);
    }
  };
  return found() ? ACCEPTED : refused("NoMatchingParent", `${target.kind} ${key} not found`);
}

function policyStatus(policy: AuthorizationPolicy, context: InboundContext): ObjectStatus {
  const { snapshot } = context;
  const { meta, target } = policy;
  const resolved = resolvePolicy(policy, context);
  return {
    group: "policy.linkerd.io",
    kind: "AuthorizationPolicy",
    namespace: meta.namespace,
    name: meta.name,
    parent: { group: target.group, kind: target.kind, namespace: meta.namespace, name: target.name },
    conditions: [
      targetAccepted(policy, snapshot),
      resolved.ok ? RESOLVED : { type: "ResolvedRefs", status: "False", ...resolved.problem },
    ],
  };
}

function faultStatuses(snapshot: Snapshot): ObjectStatus[] {
  return [...snapshot.HTTPFaultInjection.values()].map(({ meta, target }) => {
    const { namespace, name } = meta;
    const parent = { group: target.group, kind: target.kind, namespace, name: target.name };
    const key = keyOf(parent);
    const found = () => {
      switch (target.kind) {
        case "Service":
          return target.group === "" && snapshot.Service.has(key);
        case "HTTPRoute":
          return snapshot.HTTPRoute.has(`${target.group}/${key}`);
        case "GRPCRoute":
          return snapshot.GRPCRoute.has(key);
      }
    };
    const condition = found() ? ACCEPTED : refused("TargetNotFound", `${target.kind} ${key} not found`);
    const conditions = [condition];
    return { group: "policy.hauberk.io", kind: "HTTPFaultInjection", namespace, name, parent, conditions };
  });
}

/** The conditions of everything that attaches to something. */
export function statusesOf(
  snapshot: Snapshot,
  settings: MeshSettings,
  keySets?: KeySets,
): readonly ObjectStatus[] {
  const context: InboundContext = { snapshot, settings, ...(keySets === undefined ? {} : { keySets }) };
  const routes = [
    ...[...snapshot.HTTPRoute.values()].map((route) => routeOf("HTTPRoute", route)),
    ...[...snapshot.GRPCRoute.values()].map((route) => routeOf("GRPCRoute", route)),
    ...[...snapshot.TLSRoute.values()].map((route) => byteRouteOf("TLSRoute", route)),
    ...[...snapshot.TCPRoute.values()].map((route) => byteRouteOf("TCPRoute", route)),
  ];
  return [
    ...routes.flatMap((route) => routeStatuses(route, snapshot)),
    ...[...snapshot.AuthorizationPolicy.values()].map((policy) => policyStatus(policy, context)),
    ...localRateLimitStatuses(snapshot),
    ...rateLimitStatuses(snapshot),
    ...faultStatuses(snapshot),
  ];
}

function annotationWarnings(kind: string, meta: Meta): readonly Warning[] {
  const bad: readonly BadAnnotation[] = [
    ...trafficPolicy(meta).bad,
    ...failureAccrual(meta).bad,
    ...treatmentOf({ meta, prefersZone: false }, undefined).bad,
    ...affinityOf(meta).bad,
  ];
  return bad.map(({ name, value }) => ({
    kind,
    namespace: meta.namespace,
    name: meta.name,
    message: `annotation ${name}=${JSON.stringify(value)} is not understood and has no effect`,
  }));
}

/** Two Servers for one port of one pod, which a cluster's admission would refuse. */
function serverConflicts(snapshot: Snapshot): readonly Warning[] {
  const seen = new Set<string>();
  const warnings: Warning[] = [];
  for (const { meta, ports } of snapshot.Pod.values()) {
    for (const { port } of ports) {
      const [first, ...others] = serversOf(snapshot, { of: "Pod", meta, ports }, port).toSorted(byAge);
      for (const { meta: other } of others) {
        if (seen.has(keyOf(other))) continue;
        seen.add(keyOf(other));
        const message = `selects port ${port} of Pod ${keyOf(meta)}, which Server ${first?.meta.name} already holds`;
        warnings.push({ kind: "Server", namespace: other.namespace, name: other.name, message });
      }
    }
  }
  return warnings;
}

/** What is accepted and yet worth a word. */
export function warningsOf(snapshot: Snapshot): readonly Warning[] {
  const services = [...snapshot.Service.values()];
  return [
    ...services.flatMap(({ meta }) => annotationWarnings("Service", meta)),
    ...[...snapshot.HTTPRoute.values()].flatMap(({ meta }) => annotationWarnings("HTTPRoute", meta)),
    ...[...snapshot.GRPCRoute.values()].flatMap(({ meta }) => annotationWarnings("GRPCRoute", meta)),
    ...services.flatMap(({ meta, ports }) =>
      ports.flatMap(({ port, appProtocol }) =>
        appProtocol === undefined || isKnownAppProtocol(appProtocol)
          ? []
          : [
              {
                kind: "Service",
                namespace: meta.namespace,
                name: meta.name,
                message: `appProtocol ${JSON.stringify(appProtocol)} of port ${port} is not known; the protocol is detected`,
              },
            ],
      ),
    ),
    ...serverConflicts(snapshot),
    ...profileWarnings(snapshot),
    ...rateLimitWarnings(snapshot),
    ...shadowedRoutes(snapshot),
  ];
}
