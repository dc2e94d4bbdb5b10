/** Every check by its name. Pure. */
import type { Evidence } from "../evidence/evidence.ts";
import { run, type CheckResult } from "./check.ts";
import { IDENTITY_CHECKS } from "./identity.ts";
import { RELEASE_CHECKS } from "./release.ts";
import { TRAFFIC_CHECKS } from "./traffic.ts";

const CHECKS = [...TRAFFIC_CHECKS, ...IDENTITY_CHECKS, ...RELEASE_CHECKS] as const;

/** The names of all checks. */
export const CHECK_IDS: ReadonlySet<string> = new Set(CHECKS.map(({ id }) => id));

/** Makes every check, in the order of the report. */
export function runAll(evidence: Evidence): readonly CheckResult[] {
  return CHECKS.map((check) => run(check, evidence));
}
