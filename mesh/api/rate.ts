/** A token bucket per workload, so that one that asks in a loop cannot starve the others. */

/** How many requests one workload may make. */
export interface Allowance {
  /** Requests at once: a start, a few restarts and a retry. */
  readonly burst: number;
  /** Time in which one more is earned. */
  readonly refillMs: number;
}

/** Enough for a proxy that restarts every few seconds, too little for a loop. */
export const ALLOWANCE: Allowance = { burst: 10, refillMs: 5_000 };

/** Most workloads remembered. Beyond it the one idle for longest is forgotten, which only gives it a full bucket. */
export const WORKLOADS_MAX = 20_000;

/** Counts requests of each key against an allowance. */
export class RateLimit {
  readonly #buckets = new Map<string, { readonly left: number; readonly atMs: number }>();
  readonly #allowance: Allowance;
  readonly #keysMax: number;

  constructor(allowance: Allowance = ALLOWANCE, keysMax: number = WORKLOADS_MAX) {
    this.#allowance = allowance;
    this.#keysMax = keysMax;
  }

  /** Whether `key` may make one more request at `nowMs`; if so, it is counted. */
  take(key: string, nowMs: number): boolean {
    const { burst, refillMs } = this.#allowance;
    const bucket = this.#buckets.get(key) ?? { left: burst, atMs: nowMs };
    // A clock that jumps back earns nothing and costs nothing.
    const earned = Math.max(0, nowMs - bucket.atMs) / refillMs;
    const left = Math.min(burst, bucket.left + earned);
    const isAllowed = left >= 1;
    // Taken out and put in again, so that the map's order is the order of last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, { left: isAllowed ? left - 1 : left, atMs: nowMs });
    if (this.#buckets.size > this.#keysMax) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return isAllowed;
  }
}
