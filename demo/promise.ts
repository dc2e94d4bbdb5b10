/** One promise of the demo and what was measured of it. */
export interface Kept {
  readonly promise: string;
  readonly measured: string;
  readonly passed: boolean;
}

/** What a person reads at the end. */
export function renderSummary(kept: readonly Kept[], seconds: number): string {
  const width = Math.max(0, ...kept.map(({ promise }) => promise.length));
  const lines = kept.map(
    ({ promise, measured, passed }) => `${passed ? "√" : "×"} ${promise.padEnd(width)}  ${measured}`,
  );
  const failed = kept.filter(({ passed }) => !passed).length;
  const verdict =
    failed === 0
      ? `All ${kept.length} promises were kept, in ${Math.round(seconds)} s.`
      : `${failed} of ${kept.length} promises were broken.`;
  return [...lines, "", verdict].join("\n");
}

/** `100% of 480` or `99.79% of 480 (1 failed: 502 ...)`. */
export function success({
  ok,
  failed,
  errors,
}: {
  readonly ok: number;
  readonly failed: number;
  readonly errors: readonly string[];
}): string {
  const all = ok + failed;
  if (failed === 0) return `100% of ${all} requests`;
  return `${((ok / Math.max(1, all)) * 100).toFixed(2)}% of ${all} requests (${failed} failed: ${errors.join("; ").slice(0, 200)})`;
}
