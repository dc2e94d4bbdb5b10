/** What the gate says of a release before it is let out: that it verified it, and how it did in the suites. Pure. */
import type { Digest } from "../oci/model.ts";
import { z } from "zod";

/** The level of SLSA's build track that is claimed. 3 is not: nothing here shows that a builder's runs are isolated from each other. */
export type Level = 1 | 2;

/** What the gate looked at. */
export interface Looked {
  readonly gateId: string;
  readonly version: string;
  /** RFC 3339. */
  readonly at: string;
  /** Where the artifact will be had, as `oci://HOST/PATH`. */
  readonly resourceUri: string;
  /** Digest of the trust file by which it verified. */
  readonly policy: Digest;
  /** The builder's statements. */
  readonly inputs: readonly Digest[];
  readonly level: Level;
}

const sha256 = (digest: Digest) => ({ sha256: digest.slice("sha256:".length) });

/** SLSA verification summary v1, of the shape that slsa-verifier takes. */
export function summary(looked: Looked): Record<string, unknown> {
  return {
    verifier: { id: looked.gateId, version: { hauberk: looked.version } },
    timeVerified: looked.at,
    resourceUri: looked.resourceUri,
    policy: { uri: `${looked.gateId}/trust.json`, digest: sha256(looked.policy) },
    inputAttestations: looked.inputs.map((digest) => ({ digest: sha256(digest) })),
    verificationResult: "PASSED",
    verifiedLevels: [`SLSA_BUILD_LEVEL_${looked.level}`],
    slsaVersion: "1.2",
    dependencyLevels: { SLSA_BUILD_LEVEL_0: 1 },
  };
}

/** The report of `npm run conformance`, as far as it is used. */
export const Report = z.array(
  z.object({
    suite: z.string(),
    cases: z.array(z.unknown()),
    asUsual: z.int(),
    excused: z.int(),
    findings: z.array(z.object({ case: z.string(), problem: z.string() })),
  }),
);
export type Report = z.infer<typeof Report>;

/** in-toto test result v0.1: a suite with cases that are excused for a stated reason warns, one with findings fails. */
export function testResult(report: Report, digest: Digest): Record<string, unknown> {
  const line = (one: Report[number]) => `${one.suite}: ${one.asUsual} of ${one.cases.length} as required`;
  const failed = report.filter(({ findings }) => findings.length > 0);
  const passed = report.filter(({ findings, excused }) => findings.length === 0 && excused === 0);
  const warned = report.filter(({ findings, excused }) => findings.length === 0 && excused > 0);
  return {
    result: failed.length > 0 || report.length === 0 ? "FAILED" : "PASSED",
    configuration: [{ name: "conformance/report.json", digest: sha256(digest) }],
    passedTests: passed.map(line),
    warnedTests: warned.map((one) => `${line(one)}, ${one.excused} otherwise for a stated reason`),
    failedTests: failed.map(
      (one) => `${line(one)}: ${one.findings.map((finding) => finding.case).join(", ")}`,
    ),
  };
}

/** The suites' outcomes as a channel tells them. */
export function scoresOf(
  report: Report,
): Record<string, { readonly asRequired: number; readonly cases: number }> {
  return Object.fromEntries(
    report.map(({ suite, asUsual, cases }) => [suite, { asRequired: asUsual, cases: cases.length }]),
  );
}
