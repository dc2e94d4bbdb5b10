/** Retry budgets, hedging, limits, penalties and zones of a service: what its annotations and profile ask for. Pure. */
import { extend } from "../api/extend.ts";
import type { Backend, GrpcRoute_Rule, HttpRoute_Rule } from "../api/gen/outbound_pb.ts";
import {
  BackendExtensionSchema,
  OutboundRuleExtensionSchema,
} from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import { wireDuration } from "../api/wire.ts";
import { parseDurationMs } from "../model/duration.ts";
import type { RetryBudget, ServiceProfile } from "../model/profile.ts";
import type { Service } from "../model/service.ts";
import { ratio, Reader, wholeNumber, type BadAnnotation } from "./annotation_reader.ts";

/** Attempts beside one that is not answered. */
export interface Hedge {
  readonly afterMs: number;
  readonly limit: number;
  readonly anyMethod: boolean;
}

/** More attempts at once than this are no answer to a slow endpoint. */
const HEDGE_LIMIT_MAX = 5;

/** Reads `hauberk.io/hedge-*`. */
export function hedgeOf(reader: Reader): Hedge | undefined {
  const afterMs = reader.read("hauberk.io/hedge-after", (text) => {
    const ms = parseDurationMs(text);
    return ms === 0 ? undefined : ms;
  });
  const limit = reader.read("hauberk.io/hedge-limit", (text) => {
    const number = wholeNumber(HEDGE_LIMIT_MAX)(text);
    return number === 0 ? undefined : number;
  });
  const methods = reader.read("hauberk.io/hedge-methods", (text) =>
    text === "idempotent" || text === "all" ? text : undefined,
  );
  if (afterMs === undefined) return undefined;
  return { afterMs, limit: limit ?? 1, anyMethod: methods === "all" };
}

/** A rule with its hedge, if it has one. */
export function withHedge<R extends HttpRoute_Rule | GrpcRoute_Rule>(rule: R, hedge: Hedge | undefined): R {
  if (hedge === undefined) return rule;
  return extend(rule, OutboundRuleExtensionSchema, {
    hedge: { afterMs: BigInt(hedge.afterMs), limit: hedge.limit, anyMethod: hedge.anyMethod },
  });
}

/** An HTTP rule whose retry also names these gRPC codes. */
export function withGrpcCodes(rule: HttpRoute_Rule, codes: readonly number[]): HttpRoute_Rule {
  if (codes.length === 0 || rule.retry === undefined) return rule;
  return extend(rule, OutboundRuleExtensionSchema, { retryGrpcCodes: [...codes] });
}

/** What a service says of how it is to be treated. */
export interface Treatment {
  readonly budget: RetryBudget | undefined;
  readonly maxConnections: number | undefined;
  readonly maxPendingRequests: number | undefined;
  readonly maxConcurrentRequests: number | undefined;
  readonly penalty: { readonly penaltyMs: number; readonly maxRetryAfterMs: number } | undefined;
  readonly zones: { readonly maxInFlight: number; readonly latencyRatio: number } | undefined;
  readonly bad: readonly BadAnnotation[];
}

const LIMIT_MAX = 1_000_000;
/** What a profile's budget is where annotations give only a part. */
const BUDGET: RetryBudget = { retryRatio: 0.2, minRetriesPerSecond: 10, ttlMs: 10_000 };
const PENALTY_MS = 5_000;
const RETRY_AFTER_MAX_MS = 300_000;
/** Requests in flight per endpoint, and as many times the usual latency, that the own zone is left for. */
const ZONE_IN_FLIGHT = 16;
const ZONE_LATENCY_RATIO = 2;

const BALANCER = "balancer.alpha.linkerd.io/";

function trueOrFalse(text: string): boolean | undefined {
  return text === "true" ? true : text === "false" ? false : undefined;
}

function above(min: number, parse: (text: string) => number | undefined) {
  return (text: string): number | undefined => {
    const value = parse(text);
    return value === undefined || value < min ? undefined : value;
  };
}

function budgetOf(reader: Reader): RetryBudget | undefined {
  const retryRatio = reader.read("hauberk.io/retry-budget-ratio", ratio);
  const minRetriesPerSecond = reader.read("hauberk.io/retry-budget-min-per-second", wholeNumber(LIMIT_MAX));
  const ttlMs = reader.read("hauberk.io/retry-budget-ttl", above(1, parseDurationMs));
  if (retryRatio === undefined && minRetriesPerSecond === undefined && ttlMs === undefined) return undefined;
  return {
    retryRatio: retryRatio ?? BUDGET.retryRatio,
    minRetriesPerSecond: minRetriesPerSecond ?? BUDGET.minRetriesPerSecond,
    ttlMs: ttlMs ?? BUDGET.ttlMs,
  };
}

function penaltyOf(reader: Reader): Treatment["penalty"] {
  const penalises = reader.read(`${BALANCER}penalize-failures`, trueOrFalse);
  const penaltyMs = reader.read(`${BALANCER}load-biaser-penalty`, above(1, parseDurationMs));
  const maxRetryAfterMs = reader.read(`${BALANCER}load-biaser-max-retry-after`, above(1, parseDurationMs));
  if (penalises !== true) return undefined;
  return { penaltyMs: penaltyMs ?? PENALTY_MS, maxRetryAfterMs: maxRetryAfterMs ?? RETRY_AFTER_MAX_MS };
}

/** Reads a service's annotations; `profile`'s retry budget stands before theirs. */
export function treatmentOf(
  { meta, prefersZone }: Pick<Service, "meta" | "prefersZone">,
  profile: ServiceProfile | undefined,
): Treatment {
  const reader = new Reader(meta);
  const budget = budgetOf(reader);
  const maxInFlight = reader.read("hauberk.io/zone-max-in-flight", above(1, wholeNumber(LIMIT_MAX)));
  const latencyRatio = reader.read("hauberk.io/zone-latency-ratio", above(1, ratio));
  return {
    budget: profile?.retryBudget ?? budget,
    maxConnections: reader.read("hauberk.io/max-connections", above(1, wholeNumber(LIMIT_MAX))),
    maxPendingRequests: reader.read("hauberk.io/max-pending-requests", wholeNumber(LIMIT_MAX)),
    maxConcurrentRequests: reader.read(
      "hauberk.io/max-concurrent-requests",
      above(1, wholeNumber(LIMIT_MAX)),
    ),
    penalty: penaltyOf(reader),
    zones: prefersZone
      ? { maxInFlight: maxInFlight ?? ZONE_IN_FLIGHT, latencyRatio: latencyRatio ?? ZONE_LATENCY_RATIO }
      : undefined,
    bad: reader.bad,
  };
}

/** A backend with what its service says; one of which nothing is said stays as it is. */
export function treated(backend: Backend, treatment: Treatment): Backend {
  const { budget, maxConnections, maxPendingRequests, maxConcurrentRequests, zones } = treatment;
  const isLimited = [maxConnections, maxPendingRequests, maxConcurrentRequests].some(
    (max) => max !== undefined,
  );
  if (budget === undefined && zones === undefined && !isLimited) return backend;
  return extend(backend, BackendExtensionSchema, {
    ...(budget === undefined
      ? {}
      : {
          retryBudget: {
            retryRatio: budget.retryRatio,
            minRetriesPerSecond: budget.minRetriesPerSecond,
            ttlMs: BigInt(budget.ttlMs),
          },
        }),
    ...(isLimited
      ? {
          limits: {
            ...(maxConnections === undefined ? {} : { maxConnections }),
            ...(maxPendingRequests === undefined ? {} : { maxPendingRequests }),
            ...(maxConcurrentRequests === undefined ? {} : { maxConcurrentRequests }),
          },
        }
      : {}),
    ...(zones === undefined ? {} : { zones: { ...zones } }),
  });
}

/** The load measure of a balancer with a penalty for endpoints that refuse work. */
export function penaltyLoad(
  penalty: NonNullable<Treatment["penalty"]>,
  { defaultRttMs, decayMs }: { readonly defaultRttMs: number; readonly decayMs: number },
) {
  return {
    case: "penaltyPeakEwma",
    value: {
      defaultRtt: wireDuration(defaultRttMs),
      decay: wireDuration(decayMs),
      penalty: wireDuration(penalty.penaltyMs),
      maxRetryAfter: wireDuration(penalty.maxRetryAfterMs),
      penaltyDecay: wireDuration(decayMs),
    },
  } as const;
}
