/** Figures of peers, each by itself and in relation to another's. Pure. */

import type { Figures, Result } from "./results.ts";
import { estimate, seeded } from "./statistics.ts";
import type { Estimate } from "./statistics.ts";

/** The name under which connections without proxies are measured. */
export const DIRECT = "direct";

/** The figures of one peer in one scenario, by round. */
export function rounds(results: readonly Result[], peer: string): ReadonlyMap<number, Figures> {
  return new Map(
    results
      .filter((one) => one.peer === peer && one.error === undefined)
      .map((one) => [one.round, one.figures]),
  );
}

/** A figure of one peer over its rounds. */
export function of(results: readonly Result[], peer: string, figure: string): Estimate | undefined {
  const values = [...rounds(results, peer).values()]
    .map((figures) => figures[figure])
    .filter((value) => value !== undefined);
  return estimate(values, seeded(1));
}

/** A ratio over the rounds that allow one, and how many there were. */
export type Ratio = { readonly estimate: Estimate; readonly of: number };

/**
 * The ratio of a figure to another peer's within each round; with `added`, above the direct connection. A round in which the
 * direct connection was no faster than the other peer has nothing to divide by: it is left out, and `of` tells that it was.
 */
export function ratio(
  results: readonly Result[],
  peer: string,
  other: string,
  figure: string,
  added = false,
): Ratio | undefined {
  const [ours, theirs, direct] = [rounds(results, peer), rounds(results, other), rounds(results, DIRECT)];
  const values: number[] = [];
  let both = 0;
  for (const [round, figures] of ours) {
    const base = added ? direct.get(round)?.[figure] : 0;
    const [a, b] = [figures[figure], theirs.get(round)?.[figure]];
    if (a === undefined || b === undefined || base === undefined) continue;
    both += 1;
    if (b - base > 0) values.push((a - base) / (b - base));
  }
  const found = estimate(values, seeded(1));
  return found === undefined ? undefined : { estimate: found, of: both };
}

/** A ratio with what it rests on, where that is not every round. */
export function shownRatio({ estimate: found, of: all }: Ratio): string {
  const rest = found.count === all ? "" : ` in ${found.count} of ${all} rounds`;
  return `${shown(found)}${rest}`;
}

/** An estimate with as many digits as it deserves. */
export function shown({ median, low, high, count }: Estimate): string {
  return count === 1 ? number(median) : `${number(median)} (${number(low)}–${number(high)})`;
}

function number(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US").replaceAll(",", " ");
  if (size >= 100) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
}
