/** The gate: verifies a release as a stranger would, demands its conformance result, and signs that it did. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digest, type Digest } from "@hauberk/crypto/digest.ts";
import { attest, type Signer } from "./attest/attest.ts";
import {
  coverageOf,
  Report,
  scoresOf,
  summary,
  TESTED_PROGRAM,
  testResult,
  type Level,
} from "./attest/gate.ts";
import { makeSigner, partyOf, publicPem, readSigner, readTrust, writeTrust } from "./attest/keys.ts";
import type { Keyless } from "./sign/configuration.ts";
import { IN_TOTO, Predicate, writeStatement } from "./attest/statement.ts";
import { sealedJson } from "./attest/bundle.ts";
import { contentsOf, readDescription, writeDescription, type Release } from "./channel/release.ts";
import { fileOf } from "./image/read.ts";
import { Layout } from "./oci/layout.ts";
import { Index, parseDocument, platformName } from "./oci/model.ts";
import { describeChecks } from "./verify/report.ts";
import type { Trust } from "./verify/trust.ts";
import { verifyImage } from "./verify/verify.ts";
import { z } from "zod";

/** What the gate is given. */
export interface Gated {
  readonly dir: string;
  readonly keys: string;
  readonly isNew: boolean;
  readonly trustFile: string;
  /** The conformance suites' report of this build. */
  readonly report: string;
  readonly gateId: string;
  readonly level: Level;
  /** Signs everything once more, with certificates of another identity than the builder's. */
  readonly keyless: Keyless | undefined;
}

/** A release is not let out; nothing was signed. */
export class GateError extends Error {
  override readonly name = "GateError";
}

async function readReport(path: string): Promise<{ readonly report: Report; readonly digest: Digest }> {
  const bytes = await readFile(path);
  const parsed = Report.safeParse(JSON.parse(bytes.toString()));
  if (!parsed.success) throw new GateError(`tests-unknown: ${path}: ${z.prettifyError(parsed.error)}`);
  const report = parsed.data;
  const broken = report.suites.filter(({ findings }) => findings.length > 0).map(({ suite }) => suite);
  if (report.suites.length === 0) throw new GateError("tests-failed: the conformance report has no suite");
  if (broken.length > 0) throw new GateError(`tests-failed: ${broken.join(", ")}`);
  return { report, digest: digest(bytes) };
}

/** The data plane's binary on each platform of the release, by its digest. */
async function proxiesOf(layout: Layout): Promise<ReadonlyMap<string, string>> {
  const index = await layout.document("proxy");
  if (index === undefined) return new Map();
  const found = new Map<string, string>();
  for (const { digest: image, platform } of parseDocument(Index, index.bytes, "proxy").manifests) {
    const bytes = await fileOf(layout, image, TESTED_PROGRAM);
    if (bytes === undefined) throw new GateError(`${image} holds no ${TESTED_PROGRAM}`);
    found.set(platformName(platform), digest(bytes).slice("sha256:".length));
  }
  return found;
}

/** The platforms that no suite was run on. @throws if the report is of other programs than those of the release. */
async function demandTested(report: Report, layout: Layout, { commit }: Release): Promise<readonly string[]> {
  const proxies = await proxiesOf(layout);
  const { reasons, platforms } = coverageOf(report, { commit, proxies });
  if (reasons.length > 0) throw new GateError(`tests-of-another: ${reasons.join("; ")}`);
  return [...proxies.keys()].filter((platform) => !platforms.includes(platform));
}

/** All parts of an image with the builder's statements, or an error that lists what is not met. */
async function verified(
  layout: Layout,
  name: string,
  trust: Trust,
): Promise<ReadonlyMap<Digest, readonly Digest[]>> {
  const checks = await verifyImage(layout, name, trust, { isGate: true });
  const failed = checks.filter(({ outcome }) => !outcome.ok);
  if (failed.length > 0) throw new GateError(`${name} is not let out:\n${describeChecks(name, checks)}`);
  const parts = new Map<Digest, Digest[]>();
  for (const { subject, outcome } of checks) {
    if (outcome.ok && subject !== undefined)
      parts.set(subject, [...(parts.get(subject) ?? []), outcome.bundle]);
  }
  return parts;
}

/** Verifies everything first; signs only then. @throws {@link GateError} */
export async function passGate(gated: Gated): Promise<void> {
  const trustText = await readFile(gated.trustFile, "utf8");
  const { builder, sigstore = gated.keyless?.root } = readTrust(trustText);
  const believed: Trust = { builder, ...(sigstore === undefined ? {} : { sigstore }) };
  const { report, digest: reportDigest } = await readReport(gated.report);
  const layout = await Layout.open(join(gated.dir, "images"));
  const release = readDescription(await readFile(join(gated.dir, "release.json")));
  const untested = await demandTested(report, layout, release);
  const found = new Map<string, ReadonlyMap<Digest, readonly Digest[]>>();
  for (const name of Object.keys(contentsOf(release)))
    found.set(name, await verified(layout, name, believed));
  const { keyless } = gated;
  const keys = gated.isNew ? await makeSigner(gated.keys) : await readSigner(gated.keys);
  const signer: Signer = keyless === undefined ? keys : { ...keys, seal: keyless.seal };
  const trust: Trust = { ...believed, gate: partyOf(signer, gated.gateId, keyless?.certified) };
  readTrust(writeTrust(trust));
  for (const [name, parts] of found) {
    await sign(layout, {
      gated,
      name,
      parts,
      release,
      signer,
      policy: digest(Buffer.from(trustText)),
      report,
      reportDigest,
      untested,
    });
  }
  await writeFile(join(gated.dir, "trust.json"), writeTrust(trust));
  await writeFile(join(gated.dir, "gate.pub"), publicPem(signer.classical.publicKey));
  const described: Release = { ...release, conformance: scoresOf(report) };
  await writeFile(join(gated.dir, "release.json"), writeDescription(described));
  process.stdout.write(`let out: ${release.version}, SLSA build level ${gated.level}\n`);
}

async function sign(
  layout: Layout,
  what: {
    readonly gated: Gated;
    readonly name: string;
    readonly parts: ReadonlyMap<Digest, readonly Digest[]>;
    readonly release: Release;
    readonly signer: Signer;
    readonly policy: Digest;
    readonly report: Report;
    readonly reportDigest: Digest;
    readonly untested: readonly string[];
  },
): Promise<void> {
  const { gated, name, parts, release, signer, policy, report, reportDigest, untested } = what;
  for (const [part, inputs] of parts) {
    const stored = await layout.document(part);
    if (stored === undefined) throw new GateError(`${part} is gone`);
    const claims = {
      summary: summary({
        gateId: gated.gateId,
        version: release.version,
        at: release.at,
        resourceUri: `oci://${release.repository}/${name}`,
        policy,
        inputs,
        level: gated.level,
      }),
      testResult: testResult(report, reportDigest, untested),
    };
    await attest(
      layout,
      { subject: stored.descriptor, name: `hauberk-${name}`, claims },
      { signer, at: release.at },
    );
    if (part !== contentsOf(release)[name]) continue;
    const payload = writeStatement(
      { name: `hauberk-${name}`, digest: part },
      Predicate.summary,
      claims.summary,
    );
    await writeFile(join(gated.dir, `${name}.vsa.json`), sealedJson(IN_TOTO, payload, signer.classical));
  }
}
