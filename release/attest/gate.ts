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

const Suite = z.object({
  suite: z.string(),
  cases: z.array(z.unknown()),
  asUsual: z.int(),
  excused: z.int(),
  findings: z.array(z.object({ case: z.string(), problem: z.string() })),
});

/** The report of `npm run conformance`, as far as it is used: what was tested, and how it did. */
export const Report = z.object({
  tested: z.object({
    programs: z.array(z.object({ name: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })).min(1),
    source: z.object({ commit: z.string(), isClean: z.boolean() }),
  }),
  suites: z.array(Suite),
});
export type Report = z.infer<typeof Report>;

/** What is in a release, of the things that a report may speak of. */
export interface Released {
  readonly commit: string;
  /** SHA-256 in hexadecimal of the data plane's binary on each platform; empty if the release has no data plane. */
  readonly proxies: ReadonlyMap<string, string>;
}

/** The program by whose bytes a report and a release are held against each other. */
export const TESTED_PROGRAM = "hauberk-proxy";

/**
 * The platforms whose very binary was tested, and why the report is of something else; no reason if it is of this release. What
 * is a bundle of scripts is held by its commit: the suites run it from the tree.
 */
export function coverageOf({ tested }: Report, { commit, proxies }: Released) {
  const { programs, source } = tested;
  const digests = programs.filter(({ name }) => name === TESTED_PROGRAM).map(({ sha256 }) => sha256);
  const platforms = [...proxies].flatMap(([platform, sha256]) =>
    digests.includes(sha256) ? [platform] : [],
  );
  const reasons: string[] = [];
  if (proxies.size > 0 && platforms.length === 0)
    reasons.push(
      `${TESTED_PROGRAM} sha256:${digests.join(", ") || "none"} was tested; it is in no image of this release`,
    );
  if (source.commit !== commit)
    reasons.push(`the tree of commit ${source.commit} was tested, and the release is of ${commit}`);
  if (!source.isClean) reasons.push("the tree that was tested had changes that no commit has");
  return { platforms, reasons };
}

const line = (one: z.infer<typeof Suite>) =>
  `${one.suite}: ${one.asUsual} of ${one.cases.length} as required`;

/** in-toto test result v0.1: a suite with cases that are excused for a stated reason warns, one with findings fails. */
export function testResult(
  { tested, suites }: Report,
  digest: Digest,
  /** Platforms whose binary was built and not run. */
  untested: readonly string[] = [],
): Record<string, unknown> {
  const failed = suites.filter(({ findings }) => findings.length > 0);
  const passed = suites.filter(({ findings, excused }) => findings.length === 0 && excused === 0);
  const warned = suites.filter(({ findings, excused }) => findings.length === 0 && excused > 0);
  return {
    result: failed.length > 0 || suites.length === 0 ? "FAILED" : "PASSED",
    configuration: [
      { name: "conformance/report.json", digest: sha256(digest) },
      ...tested.programs.map((program) => ({ name: program.name, digest: { sha256: program.sha256 } })),
      { name: "source", digest: { gitCommit: tested.source.commit } },
    ],
    passedTests: passed.map(line),
    warnedTests: [
      ...warned.map((one) => `${line(one)}, ${one.excused} otherwise for a stated reason`),
      ...untested.map((platform) => `${platform}: built of the same commit; no suite was run on it`),
    ],
    failedTests: failed.map(
      (one) => `${line(one)}: ${one.findings.map((finding) => finding.case).join(", ")}`,
    ),
  };
}

/** The suites' outcomes as a channel tells them. */
export function scoresOf({
  suites,
}: Report): Record<string, { readonly asRequired: number; readonly cases: number }> {
  return Object.fromEntries(
    suites.map(({ suite, asUsual, cases }) => [suite, { asRequired: asUsual, cases: cases.length }]),
  );
}
