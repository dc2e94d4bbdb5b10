/** The retry stanza of an HTTPRoute's rule, which comes before the annotations. Pure. */
import { create } from "@bufbuild/protobuf";
import { HttpRoute_RetrySchema, type HttpRoute_Retry } from "../api/gen/outbound_pb.ts";
import { wireDuration } from "../api/wire.ts";
import type { RouteRetry } from "../model/route.ts";
import { RETRY_BACKOFF, RETRY_BODY_BYTES_MAX } from "./annotations.ts";

/** The longest pause, in first pauses. */
const BACKOFF_GROWTH_MAX = 10;
const JITTER_RATIO = 0.5;

/** `attemptMs`: how long one attempt may take; 0 is no limit. */
export function routeRetry(retry: RouteRetry, attemptMs: number | undefined): HttpRoute_Retry | undefined {
  const { codes, attempts, backoffMs } = retry;
  if (attempts === 0) return undefined;
  return create(HttpRoute_RetrySchema, {
    maxRetries: attempts,
    maxRequestBytes: RETRY_BODY_BYTES_MAX,
    conditions: { statusRanges: codes.map((code) => ({ start: code, end: code })) },
    ...(attemptMs === undefined || attemptMs === 0 ? {} : { timeout: wireDuration(attemptMs) }),
    backoff:
      backoffMs === undefined || backoffMs === 0
        ? RETRY_BACKOFF
        : {
            minBackoff: wireDuration(backoffMs),
            maxBackoff: wireDuration(backoffMs * BACKOFF_GROWTH_MAX),
            jitterRatio: JITTER_RATIO,
            respectRetryAfterHint: true,
          },
  });
}
