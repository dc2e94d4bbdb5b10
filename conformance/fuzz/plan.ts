/** How much of each target a run tries. Pure. */

/** The same inputs in every run of the same sources, or new ones. */
export type Effort =
  | { readonly kind: "fixed"; readonly seed: number }
  | { readonly kind: "exploring"; readonly seed: number; readonly seconds: number };

/** What one target is given; it ends with whichever comes first. */
export interface Share {
  readonly seed: number;
  readonly executions: number | undefined;
  readonly secondsMax: number;
  /** An input that takes longer hangs somebody. */
  readonly inputSecondsMax: number;
}

/** The seed of `npm run conformance`: the same commit gives the same answer. */
export const FIXED_SEED = 1;

/**
 * Executions that take some 60 s where nothing else runs on the two cores; some 10 s for the small languages, whose
 * last new place is found in the first seconds. Twelve of the first are as many as are asked for.
 */
const FIXED: ReadonlyMap<string, number> = new Map([
  ["control_endpoint", 11_000_000],
  ["control_inbound", 10_500_000],
  ["control_outbound", 7_000_000],
  ["h1_body", 6_500_000],
  ["h1_request", 3_800_000],
  ["h1_response", 8_000_000],
  ["h1_to_h2", 4_600_000],
  ["h2_to_h1", 6_000_000],
  ["path_policy", 6_000_000],
  ["mesh-annotations", 1_300_000],
  ["mesh-csr", 11_500_000],
  ["mesh-manifest", 180_000],
  ["client_hello", 1_000_000],
  ["cookies", 3_500_000],
  ["detection", 1_500_000],
  ["header_values", 4_000_000],
  ["names", 4_000_000],
  ["token", 3_000_000],
  ["transport_header", 4_500_000],
  ["mesh-address", 2_800_000],
  ["mesh-authority", 3_400_000],
  ["mesh-token", 75_000],
]);

/** Only what hangs takes so long: a run that yields to all others takes much longer than it computes. */
const FIXED_SECONDS_MAX = 1_800;
/** A process that yields to all others may stand still for seconds; one that explores does not yield. */
const INPUT_SECONDS_MAX = { fixed: 120, exploring: 5 } as const;

/** What a run gives to one target. */
export function shareOf(target: string, effort: Effort): Share {
  switch (effort.kind) {
    case "fixed": {
      const executions = FIXED.get(target);
      if (executions === undefined)
        throw new Error(`conformance/fuzz/plan.ts names no executions of ${target}`);
      return {
        seed: effort.seed,
        executions,
        secondsMax: FIXED_SECONDS_MAX,
        inputSecondsMax: INPUT_SECONDS_MAX.fixed,
      };
    }
    case "exploring":
      return {
        seed: effort.seed,
        executions: undefined,
        secondsMax: effort.seconds,
        inputSecondsMax: INPUT_SECONDS_MAX.exploring,
      };
  }
}
