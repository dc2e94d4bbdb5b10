/** Retries, timeouts and circuit breaking as annotations write them. Pure; what cannot be read comes back in `bad`. */
import { create } from "@bufbuild/protobuf";
import { TimeoutsSchema, type Timeouts } from "../api/gen/http_route_pb.ts";
import {
  FailureAccrualSchema,
  GrpcRoute_RetrySchema,
  HttpRoute_RetrySchema,
  type FailureAccrual,
  type GrpcRoute_Retry,
  type HttpRoute_Retry,
} from "../api/gen/outbound_pb.ts";
import { wireDuration } from "../api/wire.ts";
import { parseDurationMs } from "../model/duration.ts";
import type { Meta } from "../model/meta.ts";
import { ratio, Reader, wholeNumber, type BadAnnotation } from "./annotation_reader.ts";
import { hedgeOf, type Hedge } from "./resilience.ts";

/** Bodies up to this size are kept for a retry. */
export const RETRY_BODY_BYTES_MAX = 64 * 1024;

const RETRY_LIMIT_DEFAULT = 1;

/** Pauses between tries double from the first to the last; a server's `Retry-After` counts within them. */
export const RETRY_BACKOFF = {
  minBackoff: wireDuration(25),
  maxBackoff: wireDuration(1_000),
  jitterRatio: 0.5,
  respectRetryAfterHint: true,
};

interface StatusRange {
  readonly start: number;
  readonly end: number;
}

type GrpcCondition = "cancelled" | "deadineExceeded" | "internal" | "resourceExhausted" | "unavailable";

/** What one object's annotations ask for. */
export interface TrafficPolicy {
  /** Whether any annotation of the group is present: then none of the parent's counts. */
  readonly isPresent: boolean;
  readonly httpRetry: readonly StatusRange[] | undefined;
  readonly grpcRetry: readonly GrpcCondition[] | undefined;
  readonly retryLimit: number;
  readonly retryTimeoutMs: number | undefined;
  readonly requestMs: number | undefined;
  readonly responseMs: number | undefined;
  readonly idleMs: number | undefined;
  readonly hedge: Hedge | undefined;
  readonly bad: readonly BadAnnotation[];
}

/** The spelling of the wire's field, a typing slip of the API included. */
const GRPC_CONDITIONS: ReadonlyMap<string, GrpcCondition> = new Map([
  ["cancelled", "cancelled"],
  ["deadline-exceeded", "deadineExceeded"],
  ["internal", "internal"],
  ["resource-exhausted", "resourceExhausted"],
  ["unavailable", "unavailable"],
]);

const GRPC_NUMBERS: Readonly<Record<GrpcCondition, number>> = {
  cancelled: 1,
  deadineExceeded: 4,
  resourceExhausted: 8,
  internal: 13,
  unavailable: 14,
};

function statusRange(text: string): StatusRange | undefined {
  if (text === "5xx") return { start: 500, end: 599 };
  if (text === "gateway-error") return { start: 502, end: 504 };
  const [, first, last = first] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(text) ?? [];
  if (first === undefined || last === undefined || Number(last) < Number(first)) return undefined;
  return { start: Number(first), end: Number(last) };
}

/** Retries and timeouts of a Service or route. */
export function trafficPolicy(meta: Meta): TrafficPolicy {
  const reader = new Reader(meta);
  const names = ["http", "grpc", "limit", "timeout"].map((name) => `retry.linkerd.io/${name}`);
  names.push(...["request", "response", "idle"].map((name) => `timeout.linkerd.io/${name}`));
  return {
    isPresent: names.some((name) => reader.has(name)),
    httpRetry: reader.list("retry.linkerd.io/http", statusRange),
    grpcRetry: reader.list("retry.linkerd.io/grpc", (text) => GRPC_CONDITIONS.get(text)),
    retryLimit: reader.read("retry.linkerd.io/limit", wholeNumber(1_000)) ?? RETRY_LIMIT_DEFAULT,
    retryTimeoutMs: reader.read("retry.linkerd.io/timeout", parseDurationMs),
    requestMs: reader.read("timeout.linkerd.io/request", parseDurationMs),
    responseMs: reader.read("timeout.linkerd.io/response", parseDurationMs),
    idleMs: reader.read("timeout.linkerd.io/idle", parseDurationMs),
    hedge: hedgeOf(reader),
    bad: reader.bad,
  };
}

/** The route's own policy if it has one, else its parent's: they are never mixed. Hedging is a policy of its own. */
export function effectivePolicy(route: Meta | undefined, parent: Meta): TrafficPolicy {
  const own = route === undefined ? undefined : trafficPolicy(route);
  const inherited = trafficPolicy(parent);
  const policy = own?.isPresent === true ? own : inherited;
  return { ...policy, hedge: own?.hedge ?? inherited.hedge };
}

/** The rule's timeouts; what the route's spec says comes before annotations. 0 is no timeout. */
export function timeoutsOf(policy: TrafficPolicy, specRequestMs: number | undefined): Timeouts | undefined {
  const request = specRequestMs ?? policy.requestMs;
  const fields = {
    ...(request === undefined || request === 0 ? {} : { request: wireDuration(request) }),
    ...(policy.responseMs === undefined ? {} : { response: wireDuration(policy.responseMs) }),
    ...(policy.idleMs === undefined ? {} : { idle: wireDuration(policy.idleMs) }),
  };
  return Object.keys(fields).length === 0 ? undefined : create(TimeoutsSchema, fields);
}

function retryFields(policy: TrafficPolicy, attemptMs: number | undefined) {
  const timeout = policy.retryTimeoutMs ?? (attemptMs === 0 ? undefined : attemptMs);
  return {
    maxRetries: policy.retryLimit,
    maxRequestBytes: RETRY_BODY_BYTES_MAX,
    backoff: RETRY_BACKOFF,
    ...(timeout === undefined ? {} : { timeout: wireDuration(timeout) }),
  };
}

export function httpRetryOf(
  policy: TrafficPolicy,
  attemptMs: number | undefined,
): HttpRoute_Retry | undefined {
  if ((policy.httpRetry ?? policy.grpcRetry) === undefined || policy.retryLimit === 0) return undefined;
  const statusRanges = (policy.httpRetry ?? []).map(({ start, end }) => ({ start, end }));
  return create(HttpRoute_RetrySchema, { ...retryFields(policy, attemptMs), conditions: { statusRanges } });
}

/** The numbers of the codes that calls on an HTTP rule are retried for: there the wire has no word for them. */
export function grpcCodesOf({ grpcRetry }: TrafficPolicy): readonly number[] {
  return (grpcRetry ?? []).map((condition) => GRPC_NUMBERS[condition]);
}

export function grpcRetryOf(policy: TrafficPolicy): GrpcRoute_Retry | undefined {
  if (policy.grpcRetry === undefined || policy.retryLimit === 0) return undefined;
  const conditions = Object.fromEntries(policy.grpcRetry.map((condition) => [condition, true]));
  return create(GrpcRoute_RetrySchema, { ...retryFields(policy, undefined), conditions });
}

const CONSECUTIVE = "balancer.linkerd.io/failure-accrual-consecutive-";
const SUCCESS_RATE = "balancer.alpha.linkerd.io/failure-accrual-success-rate-";

/** Circuit breaking of a Service; none unless its annotation asks for it. */
export function failureAccrual(meta: Meta): {
  readonly accrual: FailureAccrual | undefined;
  readonly bad: readonly BadAnnotation[];
} {
  const reader = new Reader(meta);
  const mode = reader.read("balancer.linkerd.io/failure-accrual", (text) =>
    text === "consecutive" || text === "unified" ? text : undefined,
  );
  if (mode === undefined) return { accrual: undefined, bad: reader.bad };
  const minMs = reader.read(`${CONSECUTIVE}min-penalty`, parseDurationMs) ?? 1_000;
  const maxMs = reader.read(`${CONSECUTIVE}max-penalty`, parseDurationMs) ?? 60_000;
  const backoff = {
    minBackoff: wireDuration(minMs),
    maxBackoff: wireDuration(Math.max(minMs, maxMs)),
    jitterRatio: reader.read(`${CONSECUTIVE}jitter-ratio`, ratio) ?? 0.5,
    respectRetryAfterHint:
      reader.read("balancer.alpha.linkerd.io/failure-accrual-honor-retry-after", (text) =>
        text === "true" || text === "false" ? text === "true" : undefined,
      ) ?? false,
  };
  const maxFailures = reader.read(`${CONSECUTIVE}max-failures`, wholeNumber(1_000_000)) ?? 7;
  const minReady = reader.read("hauberk.io/failure-accrual-min-ready-endpoints", wholeNumber(1_000_000));
  const ejection = minReady === undefined ? {} : { ejection: { minReadyEndpoints: minReady } };
  const accrual =
    mode === "consecutive"
      ? create(FailureAccrualSchema, {
          ...ejection,
          kind: { case: "consecutiveFailures", value: { maxFailures, backoff } },
        })
      : create(FailureAccrualSchema, {
          ...ejection,
          kind: {
            case: "unified",
            value: {
              successRateThreshold: reader.read(`${SUCCESS_RATE}threshold`, ratio) ?? 0.8,
              decay: wireDuration(reader.read(`${SUCCESS_RATE}window`, parseDurationMs) ?? 10_000),
              minRequests: reader.read(`${SUCCESS_RATE}min-requests`, wholeNumber(1_000_000)) ?? 5,
              maxConsecutiveFailures: maxFailures,
              backoff,
            },
          },
        });
  return { accrual, bad: reader.bad };
}
