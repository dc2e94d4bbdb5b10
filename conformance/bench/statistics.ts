/** Medians, confidence intervals and orders. Pure; randomness comes in as a function. */

/** A source of numbers from 0 (included) to 1 (excluded). */
export type Random = () => number;

/** Resamples of a bootstrap: the interval's ends then move by less than a hundredth from seed to seed. */
const RESAMPLES = 2_000;

/** A median with its 95 % confidence interval, over `count` rounds. */
export type Estimate = {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
};

/** A generator whose sequence follows from `seed` (mulberry32): a run can be repeated in the same order. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The items in random order (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const left = [...items];
  const out: T[] = [];
  while (left.length > 0) out.push(...left.splice(Math.floor(random() * left.length), 1));
  return out;
}

/** The middle of the values, or the mean of the two in the middle; undefined when there are none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}

/** The median and the interval in which it lies in 95 of 100 resamples (percentile bootstrap). */
export function estimate(values: readonly number[], random: Random): Estimate | undefined {
  const middle = median(values);
  if (middle === undefined) return undefined;
  const medians: number[] = [];
  for (let index = 0; index < RESAMPLES; index += 1) {
    const resample = values.map(() => values[Math.floor(random() * values.length)] ?? middle);
    medians.push(median(resample) ?? middle);
  }
  medians.sort((a, b) => a - b);
  const low = medians[Math.floor(RESAMPLES * 0.025)] ?? middle;
  const high = medians[Math.ceil(RESAMPLES * 0.975) - 1] ?? middle;
  return { median: middle, low, high, count: values.length };
}
