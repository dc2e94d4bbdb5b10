/** ServiceProfiles as outbound policy: the same engine as for routes, so that breakers stay on. Pure. */
import { create } from "@bufbuild/protobuf";
import { extend } from "../api/extend.ts";
import { TimeoutsSchema } from "../api/gen/http_route_pb.ts";
import {
  OutboundExtensionSchema,
  OutboundRuleExtensionSchema,
} from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import {
  RequestConditionSchema,
  type RequestCondition as WireCondition,
} from "../api/gen/hauberk/proxy/v1/resilience_pb.ts";
import {
  HttpRoute_DistributionSchema,
  HttpRoute_FilterSchema,
  HttpRoute_RetrySchema,
  HttpRoute_RuleSchema,
  HttpRouteSchema,
  OpaqueRoute_DistributionSchema,
  OpaqueRoute_FilterSchema,
  type Backend,
  type HttpRoute as WireRoute,
  type HttpRoute_Distribution,
  type OpaqueRoute_Distribution,
  type OutboundPolicy,
} from "../api/gen/outbound_pb.ts";
import { resourceRef, wireDuration } from "../api/wire.ts";
import { parseAuthority } from "../model/authority.ts";
import {
  failureRanges,
  type ProfileRoute,
  type RequestCondition,
  type ServiceProfile,
} from "../model/profile.ts";
import { withSession } from "./affinity.ts";
import { RETRY_BACKOFF, RETRY_BODY_BYTES_MAX, timeoutsOf, type TrafficPolicy } from "./annotations.ts";
import { outboundHttpFilters } from "./filters.ts";
import { httpFailure, wireHttpMatch } from "./match.ts";
import type { Parent } from "./parent.ts";
import { withHedge } from "./resilience.ts";

/** A profile's retries are bounded by their budget; this only ends a request that never succeeds. */
const PROFILE_RETRIES_MAX = 10;

/** gRPC codes that count as failures: UNKNOWN, DEADLINE_EXCEEDED, PERMISSION_DENIED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const FAILING_CODES = [2, 4, 7, 13, 14, 15];

/** Where a profile's overrides send what it routes. */
export interface Split {
  readonly http: HttpRoute_Distribution;
  readonly opaque: OpaqueRoute_Distribution;
}

/** One override, resolved. */
export interface Share {
  readonly authority: string;
  readonly weight: number;
  readonly backend: Backend;
  /** Why its requests must fail if they must. */
  readonly problem: string | undefined;
}

/** The overrides of a profile; an authority without a port has the one that the client dialled. */
export function sharesOf(
  { dstOverrides }: ServiceProfile,
  {
    port,
    clusterDomain,
    resolve,
  }: {
    readonly port: number;
    readonly clusterDomain: string;
    readonly resolve: Parent["resolve"];
  },
): readonly Share[] {
  return dstOverrides.map(({ authority, weight }) => {
    const parsed = parseAuthority(
      /:\d+$/.test(authority) ? authority : `${authority}:${port}`,
      clusterDomain,
    );
    const named = parsed?.type === "service" && parsed.hostname === undefined ? parsed : undefined;
    const service = named?.service ?? { namespace: "", name: authority };
    const { backend, problem } = resolve({
      group: "",
      kind: "Service",
      ...service,
      port: named?.port ?? port,
    });
    const message = named === undefined ? `${authority} is no service of the cluster` : problem?.message;
    return { authority, weight, backend, problem: message };
  });
}

/** Shares as distributions; without any weight above zero, requests have no backend. */
export function splitOf(shares: readonly Share[]): Split {
  const weighted = shares.filter(({ weight }) => weight > 0);
  if (weighted.length === 0) {
    const kind = { case: "empty", value: {} } as const;
    return {
      http: create(HttpRoute_DistributionSchema, { kind }),
      opaque: create(OpaqueRoute_DistributionSchema, { kind }),
    };
  }
  const http = weighted.map(({ weight, backend, problem }) => ({
    weight,
    backend: {
      backend,
      filters: problem === undefined ? [] : [create(HttpRoute_FilterSchema, httpFailure(problem))],
    },
  }));
  const opaque = weighted.map(({ weight, backend, problem }) => {
    const filters =
      problem === undefined
        ? []
        : [create(OpaqueRoute_FilterSchema, { kind: { case: "invalid", value: { message: problem } } })];
    return { weight, backend: { backend, filters } };
  });
  return {
    http: create(HttpRoute_DistributionSchema, {
      kind: { case: "randomAvailable", value: { backends: http } },
    }),
    opaque: create(OpaqueRoute_DistributionSchema, {
      kind: { case: "randomAvailable", value: { backends: opaque } },
    }),
  };
}

function wireCondition(condition: RequestCondition): WireCondition {
  switch (condition.type) {
    case "all":
    case "any": {
      const value = { conditions: condition.of.map(wireCondition) };
      return create(RequestConditionSchema, { kind: { case: condition.type, value } });
    }
    case "not":
      return create(RequestConditionSchema, { kind: { case: "not", value: wireCondition(condition.of) } });
    case "path":
      return create(RequestConditionSchema, { kind: { case: "pathRegex", value: condition.regex } });
    case "method":
      return create(RequestConditionSchema, { kind: { case: "method", value: condition.method } });
  }
}

const ANY = wireHttpMatch({
  path: { type: "PathPrefix", value: "/" },
  headers: [],
  queryParams: [],
  method: undefined,
});

const DEFAULT_FAILURES = [{ min: 500, max: 599 }];

function profileRule(
  route: ProfileRoute,
  parent: Parent,
  { policy, backends }: { readonly policy: TrafficPolicy; readonly backends: HttpRoute_Distribution },
) {
  const failures = failureRanges(route.responseClasses);
  const timeouts = timeoutsOf(policy, route.timeoutMs) ?? create(TimeoutsSchema, {});
  const retry = route.isRetryable
    ? create(HttpRoute_RetrySchema, {
        maxRetries: PROFILE_RETRIES_MAX,
        maxRequestBytes: RETRY_BODY_BYTES_MAX,
        backoff: RETRY_BACKOFF,
        conditions: { statusRanges: failures.map(({ min, max }) => ({ start: min, end: max })) },
        ...(policy.retryTimeoutMs === undefined ? {} : { timeout: wireDuration(policy.retryTimeoutMs) }),
      })
    : undefined;
  const rule = create(HttpRoute_RuleSchema, {
    matches: [ANY],
    filters: outboundHttpFilters({ filters: [] }, parent, parent.faultsFor(undefined)),
    timeouts,
    backends,
    ...(retry === undefined ? {} : { retry }),
  });
  const isUsual =
    failures.length === 1 &&
    failures[0]?.min === DEFAULT_FAILURES[0]?.min &&
    failures[0]?.max === DEFAULT_FAILURES[0]?.max;
  const extended = extend(rule, OutboundRuleExtensionSchema, {
    condition: wireCondition(route.condition),
    ...(isUsual ? {} : { failures: { ranges: failures.map((range) => ({ ...range })) } }),
    ...(route.isRetryable ? { retryGrpcCodes: FAILING_CODES } : {}),
  });
  return withHedge(withSession(extended, parent.sessionFor(undefined)), policy.hedge);
}

/**
 * The routes of a profile, in its order: the first whose condition holds is taken. The order decides because all of them
 * match alike but for their conditions.
 *
 * A proxy that does not know conditions (Linkerd's own) follows the routes of the profile itself, and not these.
 */
export function profileRoutes(
  profile: ServiceProfile,
  parent: Parent,
  service: Backend,
): readonly WireRoute[] {
  const policy = parent.policyFor(undefined);
  const backends =
    parent.split?.http ??
    create(HttpRoute_DistributionSchema, {
      kind: { case: "firstAvailable", value: { backends: [{ backend: service }] } },
    });
  return profile.routes.map((route) =>
    create(HttpRouteSchema, {
      metadata: resourceRef({
        group: "linkerd.io",
        kind: "ServiceProfile",
        namespace: profile.meta.namespace,
        name: route.name,
      }),
      rules: [profileRule(route, parent, { policy, backends })],
    }),
  );
}

/** Marks a policy that has the profile's overrides already, so that they are not applied once more. */
export function withProfile(policy: OutboundPolicy): OutboundPolicy {
  return extend(policy, OutboundExtensionSchema, { hasProfile: true });
}
