/** Durations as users write them. All results are whole milliseconds. */

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** Linkerd's annotations: one whole number and one of `ms|s|m|h|d`; no fractions, nothing else. */
export function parseDurationMs(text: string): number | undefined {
  const [, digits, unit] = /^(\d{1,10})(ms|s|m|h|d)$/.exec(text) ?? [];
  const unitMs = unit === undefined ? undefined : UNIT_MS.get(unit);
  if (digits === undefined || unitMs === undefined) return undefined;
  const ms = Number(digits) * unitMs;
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/**
 * Go's durations, as in `1.5s` or `1m30s`; not negative, rounded down to whole milliseconds. One that cannot be told to the
 * millisecond is refused.
 */
export function parseGoDurationMs(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(\d{1,12}(\.\d{1,9})?(ns|us|µs|ms|s|m|h)){1,8}$/.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g)) {
    const unitMs = unit === "ns" ? 1e-6 : unit === "us" || unit === "µs" ? 1e-3 : UNIT_MS.get(unit ?? "");
    sum += Number(amount) * (unitMs ?? 0);
  }
  const ms = Math.floor(sum + 1e-9);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** The Gateway API's durations (GEP-2257): up to four of `<1-5 digits><h|m|s|ms>`, as in `1h30m` or `500ms`. */
export function parseGatewayDurationMs(text: string): number | undefined {
  if (!/^(\d{1,5}(h|m|s|ms)){1,4}$/.test(text)) return undefined;
  let sum = 0;
  for (const [, digits, unit] of text.matchAll(/(\d{1,5})(ms|h|m|s)/g)) {
    sum += Number(digits) * (UNIT_MS.get(unit ?? "") ?? 0);
  }
  return sum;
}
