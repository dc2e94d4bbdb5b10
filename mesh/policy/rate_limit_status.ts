/** What became of rate limits: their conditions, and what is worth a word. Pure. */
import { byAge, keyOf } from "../model/meta.ts";
import type { Server } from "../model/policy.ts";
import type { RateLimitPolicy } from "../model/rate_limit.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { hasRequests, POLICIES_MAX, policiesOf, serversOfPolicy } from "./rate_limit.ts";
import { ACCEPTED, refused, type Condition, type ObjectStatus, type Warning } from "./condition.ts";

/** Of `HTTPLocalRateLimitPolicy`: a Server has one, the eldest. */
export function localRateLimitStatuses(snapshot: Snapshot): readonly ObjectStatus[] {
  const taken = new Set<string>();
  return [...snapshot.HTTPLocalRateLimitPolicy.values()].toSorted(byAge).map((policy) => {
    const { namespace, name } = policy.meta;
    const key = keyOf({ namespace, name: policy.server });
    const accepted = () => {
      if (!snapshot.Server.has(key)) return refused("NoMatchingTarget", `Server ${key} not found`);
      if (taken.has(key))
        return refused("RateLimitReasonAlreadyExists", `an older policy already limits Server ${key}`);
      taken.add(key);
      return ACCEPTED;
    };
    return {
      group: "policy.linkerd.io",
      kind: "HTTPLocalRateLimitPolicy",
      namespace,
      name,
      parent: { group: "policy.linkerd.io", kind: "Server", namespace, name: policy.server },
      conditions: [accepted()],
    };
  });
}

function targetProblem({ meta, target }: RateLimitPolicy, snapshot: Snapshot): Condition | undefined {
  const key = keyOf({ namespace: meta.namespace, name: target.name });
  const found = () => {
    switch (target.kind) {
      case "Server":
        return snapshot.Server.has(key);
      case "HTTPRoute":
        return snapshot.HTTPRoute.has(`${target.group}/${key}`);
      case "GRPCRoute":
        return snapshot.GRPCRoute.has(key);
    }
  };
  return found() ? undefined : refused("NoMatchingTarget", `${target.kind} ${key} not found`);
}

function serverProblem(
  policy: RateLimitPolicy,
  servers: readonly Server[],
  snapshot: Snapshot,
): Condition | undefined {
  const [server] = servers;
  if (server === undefined) {
    const { kind, name } = policy.target;
    return refused("NoMatchingTarget", `${kind} ${name} attaches to no Server of this namespace`);
  }
  if (!servers.some(({ proxyProtocol }) => hasRequests(proxyProtocol))) {
    const { meta, proxyProtocol } = server;
    return refused(
      "UnsupportedProtocol",
      `Server ${meta.name} speaks ${proxyProtocol}, which has no requests`,
    );
  }
  const full = servers.find((one) => policiesOf(one, snapshot).indexOf(policy) >= POLICIES_MAX);
  if (full === undefined) return undefined;
  return refused("TooManyPolicies", `Server ${full.meta.name} has ${POLICIES_MAX} older policies already`);
}

/** Of `HTTPRateLimitPolicy`: several may limit a Server, and requests must pass all. */
export function rateLimitStatuses(snapshot: Snapshot): readonly ObjectStatus[] {
  return [...snapshot.HTTPRateLimitPolicy.values()].toSorted(byAge).map((policy) => {
    const { meta, target } = policy;
    const { namespace, name } = meta;
    const problem =
      targetProblem(policy, snapshot) ?? serverProblem(policy, serversOfPolicy(policy, snapshot), snapshot);
    return {
      group: "policy.hauberk.io",
      kind: "HTTPRateLimitPolicy",
      namespace,
      name,
      parent: { group: target.group, kind: target.kind, namespace, name: target.name },
      conditions: [problem ?? ACCEPTED],
    };
  });
}

/** Linkerd's kind on a port without requests, which Linkerd accepts and does not enforce. */
export function rateLimitWarnings(snapshot: Snapshot): readonly Warning[] {
  return [...snapshot.HTTPLocalRateLimitPolicy.values()].flatMap(({ meta, server }) => {
    const found = snapshot.Server.get(keyOf({ namespace: meta.namespace, name: server }));
    if (found === undefined || hasRequests(found.proxyProtocol)) return [];
    return [
      {
        kind: "HTTPLocalRateLimitPolicy",
        namespace: meta.namespace,
        name: meta.name,
        message: `has no effect: Server ${server} speaks ${found.proxyProtocol}, which has no requests`,
      },
    ];
  });
}
