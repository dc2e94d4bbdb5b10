/** A small release for tests: signed in both ways by a builder and let out by a gate, as the real ones do it. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { digest } from "@hauberk/crypto/digest.ts";
import { attest, type BuilderClaims, type Claims, type Signer } from "../attest/attest.ts";
import { summary, testResult } from "../attest/gate.ts";
import { partyOf, readTrust, writeTrust } from "../attest/keys.ts";
import { provenance } from "../attest/provenance.ts";
import { writeDescription, type Release } from "../channel/release.ts";
import { writeImage, writeIndex } from "../image/image.ts";
import { proxyImage } from "../image/images.ts";
import { Layout } from "../oci/layout.ts";
import type { Descriptor } from "../oci/model.ts";
import { sealWith } from "../sign/keyless.ts";
import { tokenOf, type FixtureSigstore } from "../sign/sigstore.fixture.ts";
import type { Trust } from "./trust.ts";
import { verifyImage } from "./verify.ts";

export const ISSUER = "https://issuer.test";
export const AT = "2023-11-14T22:13:20.000Z";
export const NAMES = {
  builder: { id: "https://build.test/v1", certified: "https://build.test/workflow" },
  gate: { id: "https://gate.test/v1", certified: "https://gate.test/workflow" },
} as const;

/** Keys and certificates of one party; `identity` is what its token says. */
export function signerOf(sigstore: FixtureSigstore, identity: string, issuer = ISSUER): Signer {
  return {
    classical: generateKeyPair("ecdsa-p256-sha256"),
    postQuantum: generateKeyPair("ml-dsa-87"),
    seal: sealWith(sigstore.services, { getToken: async () => tokenOf(identity, issuer) }),
  };
}

export interface Signers {
  readonly builder: Signer;
  readonly gate: Signer;
}

const certified = (identity: string) => ({ identity, issuer: ISSUER });

export function trustOf({ builder, gate }: Signers, root: unknown): Trust {
  const parties = {
    builder: partyOf(builder, NAMES.builder.id, certified(NAMES.builder.certified)),
    gate: partyOf(gate, NAMES.gate.id, certified(NAMES.gate.certified)),
  };
  return readTrust(JSON.stringify({ ...JSON.parse(writeTrust(parties)), sigstore: root }));
}

/** What a builder says of the proxy's image. */
export function claimsOf(version: string, commit: string): BuilderClaims {
  return {
    signature: {},
    bom: { bomFormat: "CycloneDX", components: [{ name: "one" }] },
    vex: { statements: [{ vulnerability: { name: "CVE-2026-1" }, status: "not_affected" }] },
    provenance: provenance({
      sourceUri: "git+https://git.test/hauberk",
      commit,
      version,
      artifact: "proxy",
      platform: "linux/amd64",
      materials: [],
      outputs: new Map(),
      builderId: NAMES.builder.id,
      invocationId: "urn:run:1",
      at: AT,
    }),
  };
}

/** The gate's statements about a part, over what `trust` accepts of it. */
async function letOut(
  layout: Layout,
  subject: Descriptor,
  { signer, trust, version }: { readonly signer: Signer; readonly trust: Trust; readonly version: string },
): Promise<void> {
  const checks = await verifyImage(layout, subject.digest, trust, { isGate: true });
  const report = {
    tested: { programs: [], source: { commit: "", isClean: true } },
    suites: [{ suite: "h2spec", cases: [1], asUsual: 1, excused: 0, findings: [] }],
  };
  const claims: Claims = {
    summary: summary({
      gateId: NAMES.gate.id,
      version,
      at: AT,
      resourceUri: "oci://images.test/proxy",
      policy: digest(Buffer.from("policy")),
      inputs: checks.flatMap(({ outcome }) => (outcome.ok ? [outcome.bundle] : [])),
      level: 1,
    }),
    testResult: testResult(report, digest(Buffer.from("report"))),
  };
  await attest(layout, { subject, name: "proxy", claims }, { signer, at: AT });
}

/** Makes a release of one image in `dir`, as a release's folder. */
export async function makeSmall(
  dir: string,
  { version, signers, trust }: { readonly version: string; readonly signers: Signers; readonly trust: Trust },
): Promise<Release> {
  const commit = digest(Buffer.from(version)).slice(7, 47);
  await mkdir(dir, { recursive: true });
  const layout = await Layout.create(join(dir, "images"));
  const made = { version, commit, epochSeconds: 1_700_000_000 };
  const image = await writeImage(layout, proxyImage(Buffer.from(`binary ${version}`), made, "amd64"));
  const index = await writeIndex(layout, [image], {});
  await layout.tag("proxy", index);
  const claims = claimsOf(version, commit);
  for (const subject of [index, image]) {
    await attest(layout, { subject, name: "proxy", claims }, { signer: signers.builder, at: AT });
    await letOut(layout, subject, { signer: signers.gate, trust, version });
  }
  const release: Release = {
    version,
    commit,
    at: AT,
    repository: "images.test",
    images: { proxy: index.digest },
    artifacts: {},
    absent: [],
    upgradeFrom: "0.0.0",
    crds: [],
    fixes: [],
    conformance: {},
  };
  await writeFile(join(dir, "release.json"), writeDescription(release));
  return release;
}
