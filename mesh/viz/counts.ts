/** Requests of one kind since a proxy's start: outcomes, and how many took at most so many milliseconds. */
export interface Counts {
  readonly success: number;
  readonly failure: number;
  /** Cumulative, by upper bound in milliseconds; `Infinity` counts all. */
  readonly buckets: ReadonlyMap<number, number>;
}

/** Nothing counted. */
export const NO_COUNTS: Counts = { success: 0, failure: 0, buckets: new Map() };

/** What two proxies, or two series of one, counted together. */
export function sum(one: Counts, other: Counts): Counts {
  return {
    success: one.success + other.success,
    failure: one.failure + other.failure,
    buckets: combine(one.buckets, other.buckets, (a, b) => a + b),
  };
}

/** What was counted between two looks at one proxy. A proxy that began anew counts from nothing. */
export function since(later: Counts, earlier: Counts): Counts {
  const restarted = later.success + later.failure < earlier.success + earlier.failure;
  if (restarted) return later;
  return {
    success: Math.max(0, later.success - earlier.success),
    failure: Math.max(0, later.failure - earlier.failure),
    buckets: combine(later.buckets, earlier.buckets, (a, b) => Math.max(0, a - b)),
  };
}

function combine(
  one: ReadonlyMap<number, number>,
  other: ReadonlyMap<number, number>,
  join: (a: number, b: number) => number,
): ReadonlyMap<number, number> {
  const bounds = new Set([...one.keys(), ...other.keys()]);
  return new Map([...bounds].map((bound) => [bound, join(one.get(bound) ?? 0, other.get(bound) ?? 0)]));
}

/**
 * The `q`-quantile in milliseconds, by linear interpolation within its bucket as Prometheus'
 * `histogram_quantile` does. `undefined`: nothing was counted. In the last bucket: its lower bound.
 */
export function quantileMs({ buckets }: Counts, q: number): number | undefined {
  const bounds = [...buckets.keys()].toSorted((a, b) => a - b);
  const total = Math.max(0, ...buckets.values());
  if (total === 0) return undefined;
  const rank = q * total;
  let lower = 0;
  let below = 0;
  for (const bound of bounds) {
    const upTo = buckets.get(bound) ?? 0;
    if (upTo >= rank && upTo > below) {
      if (bound === Number.POSITIVE_INFINITY) return lower;
      return lower + (bound - lower) * ((rank - below) / (upTo - below));
    }
    if (bound !== Number.POSITIVE_INFINITY) lower = bound;
    below = Math.max(below, upTo);
  }
  return lower;
}
