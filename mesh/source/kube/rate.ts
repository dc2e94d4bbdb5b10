/** How often an API server is asked: a bucket that calls are taken from and that fills up with time. */
import { setTimeout as sleep } from "node:timers/promises";

/** A limit: in the long run `perSecond` calls a second, `burst` at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What is left: at `atMs`, `calls` may be made at once; below zero, some wait. */
export interface Bucket {
  readonly calls: number;
  readonly atMs: number;
}

/** Takes one call out, and says how long it has to wait. Pure. */
export function take(
  bucket: Bucket | undefined,
  { perSecond, burst }: Rate,
  nowMs: number,
): { readonly bucket: Bucket; readonly waitMs: number } {
  const filled =
    bucket === undefined
      ? burst
      : Math.min(burst, bucket.calls + ((nowMs - bucket.atMs) * perSecond) / 1_000);
  const calls = filled - 1;
  return { bucket: { calls, atMs: nowMs }, waitMs: calls >= 0 ? 0 : (-calls * 1_000) / perSecond };
}

/** Waits for a turn; turns come in the order in which they were asked for. */
export function turns(rate: Rate): (signal: AbortSignal | undefined) => Promise<void> {
  let bucket: Bucket | undefined;
  return async (signal) => {
    const taken = take(bucket, rate, performance.now());
    bucket = taken.bucket;
    if (taken.waitMs > 0) await sleep(taken.waitMs, undefined, { signal });
  };
}
