/** What became of routes and policies: the conditions that a cluster would write into their `status`. Pure. */
import type { KeySets } from "../model/jwks.ts";
import { byAge, keyOf, type Meta } from "../model/meta.ts";
import type { AuthorizationPolicy } from "../model/policy.ts";
import type { MeshSettings } from "../model/settings.ts";
import { serversOf } from "../state/derive.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { BadAnnotation } from "./annotation_reader.ts";
import { affinityOf } from "./affinity.ts";
import { failureAccrual, trafficPolicy } from "./annotations.ts";
import { isKnownAppProtocol } from "./app_protocol.ts";
import { resolvePolicy, type InboundContext } from "./authz.ts";
import { resolveBackend } from "./backend.ts";
import { insideCluster } from "./finding_networks.ts";
import { profileWarnings } from "./profile_status.ts";
import { treatmentOf } from "./resilience.ts";
import { routeStatuses } from "./route_status.ts";
import { localRateLimitStatuses, rateLimitStatuses, rateLimitWarnings } from "./rate_limit_status.ts";
import { shadowedRoutes } from "./shadowed.ts";
import { ACCEPTED, refused, RESOLVED, type Condition, type ObjectStatus, type Warning } from "./condition.ts";

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

/** Linkerd's words for a network that speaks for the cluster's own addresses. */
function egressStatuses(snapshot: Snapshot, { clusterNetworks }: MeshSettings): ObjectStatus[] {
  return [...snapshot.EgressNetwork.values()].map(({ meta, networks }) => {
    const { namespace, name } = meta;
    const inside = insideCluster(networks ?? [], clusterNetworks, []);
    const condition =
      inside.length === 0
        ? ACCEPTED
        : refused("EgressNetReasonOverlap", inside.map(({ message }) => message).join("; "));
    return { group: "policy.linkerd.io", kind: "EgressNetwork", namespace, name, conditions: [condition] };
  });
}

/** Of authorizations that ask a service: whether it is there. */
function backendStatuses(snapshot: Snapshot): ObjectStatus[] {
  return [...snapshot.ExternalAuthorization.values()].map((external) => {
    const { namespace, name } = external.meta;
    const resolved = resolveBackend({ group: "", kind: "Service", ...external.backend }, snapshot);
    const condition: Condition = resolved.ok
      ? RESOLVED
      : { type: "ResolvedRefs", status: "False", ...resolved.problem };
    const conditions = [ACCEPTED, condition];
    return { group: "policy.hauberk.io", kind: "ExternalAuthorization", namespace, name, conditions };
  });
}

/** The conditions of everything that attaches to something. */
export function statusesOf(
  snapshot: Snapshot,
  settings: MeshSettings,
  keySets?: KeySets,
): readonly ObjectStatus[] {
  const context: InboundContext = { snapshot, settings, ...(keySets === undefined ? {} : { keySets }) };
  return [
    ...routeStatuses(snapshot),
    ...[...snapshot.AuthorizationPolicy.values()].map((policy) => policyStatus(policy, context)),
    ...localRateLimitStatuses(snapshot),
    ...rateLimitStatuses(snapshot),
    ...faultStatuses(snapshot),
    ...egressStatuses(snapshot, settings),
    ...backendStatuses(snapshot),
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
