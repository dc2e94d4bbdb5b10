/** A ServiceProfile as a Linkerd proxy follows it; Hauberk's own takes it from the outbound policy. Pure. */
import { create } from "@bufbuild/protobuf";
import {
  RequestMatchSchema,
  ResponseMatchSchema,
  RouteSchema,
  WeightedDstSchema,
  type RequestMatch,
  type ResponseMatch,
  type Route,
  type WeightedDst,
} from "../api/gen/destination_pb.ts";
import { resourceRef, wireDuration, wireMethod } from "../api/wire.ts";
import { parseAuthority } from "../model/authority.ts";
import type {
  ProfileRoute,
  RequestCondition,
  ResponseCondition,
  RetryBudget,
  ServiceProfile,
} from "../model/profile.ts";

/** What a peer takes when no profile says otherwise: a fifth of the requests, ten a second, over ten seconds. */
const BUDGET: RetryBudget = { retryRatio: 0.2, minRetriesPerSecond: 10, ttlMs: 10_000 };

function requestMatch(condition: RequestCondition): RequestMatch {
  switch (condition.type) {
    case "all":
    case "any": {
      const value = { matches: condition.of.map(requestMatch) };
      return create(RequestMatchSchema, { match: { case: condition.type, value } });
    }
    case "not":
      return create(RequestMatchSchema, { match: { case: "not", value: requestMatch(condition.of) } });
    case "path":
      return create(RequestMatchSchema, { match: { case: "path", value: { regex: condition.regex } } });
    case "method": {
      return create(RequestMatchSchema, { match: { case: "method", value: wireMethod(condition.method) } });
    }
  }
}

function responseMatch(condition: ResponseCondition): ResponseMatch {
  switch (condition.type) {
    case "all":
    case "any": {
      const value = { matches: condition.of.map(responseMatch) };
      return create(ResponseMatchSchema, { match: { case: condition.type, value } });
    }
    case "not":
      return create(ResponseMatchSchema, { match: { case: "not", value: responseMatch(condition.of) } });
    case "status": {
      const { min, max } = condition;
      return create(ResponseMatchSchema, { match: { case: "status", value: { min, max } } });
    }
  }
}

function wireRoute(route: ProfileRoute): Route {
  return create(RouteSchema, {
    condition: requestMatch(route.condition),
    responseClasses: route.responseClasses.map(({ condition, isFailure }) => ({
      condition: responseMatch(condition),
      isFailure,
    })),
    metricsLabels: { route: route.name },
    isRetryable: route.isRetryable,
    ...(route.timeoutMs === undefined ? {} : { timeout: wireDuration(route.timeoutMs) }),
  });
}

function wireOverride(
  { authority, weight }: ServiceProfile["dstOverrides"][number],
  { port, clusterDomain }: { readonly port: number; readonly clusterDomain: string },
): WeightedDst {
  const full = /:\d+$/.test(authority) ? authority : `${authority}:${port}`;
  const parsed = parseAuthority(full, clusterDomain);
  const backendRef =
    parsed?.type === "service"
      ? { backendRef: resourceRef({ group: "core", kind: "Service", ...parsed.service, port: parsed.port }) }
      : {};
  return create(WeightedDstSchema, { authority: full, weight, ...backendRef });
}

/** The budget of a profile, or the one that holds without. */
export function wireBudget(profile: ServiceProfile | undefined) {
  const { retryRatio, minRetriesPerSecond, ttlMs } = profile?.retryBudget ?? BUDGET;
  return { retryRatio, minRetriesPerSecond, ttl: wireDuration(ttlMs) };
}

/** What a profile adds to the answer for a service. */
export function wireProfile(
  profile: ServiceProfile | undefined,
  options: { readonly port: number; readonly clusterDomain: string },
) {
  return {
    retryBudget: wireBudget(profile),
    routes: (profile?.routes ?? []).map(wireRoute),
    dstOverrides: (profile?.dstOverrides ?? []).map((one) => wireOverride(one, options)),
  };
}
