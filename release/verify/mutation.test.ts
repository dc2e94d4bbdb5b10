/** Every way we know of making a release look like one that it is not, and the name under which it is refused. */
import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { attest } from "../attest/attest.ts";
import { BUNDLE, COMPANION } from "../attest/bundle.ts";
import { readTrust, writeTrust } from "../attest/keys.ts";
import { writeDescription, type Release } from "../channel/release.ts";
import { Layout } from "../oci/layout.ts";
import { serveLayout } from "../oci/registry.fixture.ts";
import { sealWith } from "../sign/keyless.ts";
import { startSigstore, tokenOf, type FixtureSigstore } from "../sign/sigstore.fixture.ts";
import {
  AT,
  claimsOf,
  ISSUER,
  makeSmall,
  NAMES,
  signerOf,
  trustOf,
  type Signers,
} from "./release.fixture.ts";
import { verifyDescribed, verifyRelease, type ImageChecks } from "./release.ts";
import { corrupt, dropReferrers, partsIn, replaceIndex, rewriteBundles } from "./spoil.fixture.ts";
import type { Refusal, Trust } from "./trust.ts";

/** Whatever is done to a builder's statements, the gate has not seen it. */
const ALONGSIDE: ReadonlySet<Refusal> = new Set(["summary-of-another"]);

let base = "";
let sigstore: FixtureSigstore;
let other: FixtureSigstore;
let unseen: FixtureSigstore;
let signers: Signers;
let trust: Trust;
let good: Release;

before(async () => {
  base = await mkdtemp(join(tmpdir(), "hauberk-mutations-"));
  [sigstore, other, unseen] = await Promise.all([
    startSigstore(),
    startSigstore(),
    startSigstore({ hasCertificateLog: false }),
  ]);
  signers = {
    builder: signerOf(sigstore, NAMES.builder.certified),
    gate: signerOf(sigstore, NAMES.gate.certified),
  };
  trust = trustOf(signers, sigstore.root);
  good = await makeSmall(join(base, "good"), { version: "1.1.0", signers, trust });
  await makeSmall(join(base, "old"), { version: "1.0.0", signers, trust });
});
after(async () => {
  await Promise.all([sigstore.close(), other.close(), unseen.close()]);
  await rm(base, { recursive: true, force: true });
});

function refusalsOf(images: readonly ImageChecks[]): ReadonlySet<Refusal> {
  const checks = images.flatMap((image) => image.checks);
  assert.ok(checks.length > 0, "a verifier that looked at nothing has verified nothing");
  return new Set(checks.flatMap(({ outcome }) => (outcome.ok ? [] : [outcome.refusal])));
}

/** What `hauberk verify` says of the folder and of a registry that has the same, and what an upgrade's verification says. */
async function judged(dir: string, by: Trust, release: Release) {
  const folder = await verifyRelease({ where: dir, tag: "", isPlainHttp: false }, by, ["proxy"]);
  const registry = await serveLayout(join(dir, "images"));
  try {
    const where = `${registry.host}/hauberk`;
    const place = { where, tag: release.version, isPlainHttp: true };
    return {
      folder: refusalsOf(folder),
      registry: refusalsOf(await verifyRelease(place, by, ["proxy"])),
      upgrade: refusalsOf(await verifyDescribed(release, place, by)),
    };
  } finally {
    await registry.close();
  }
}

void test("a release with keys, certificates, log entries and timestamps is accepted everywhere", async () => {
  const found = await judged(join(base, "good"), trust, good);
  for (const refusals of Object.values(found)) assert.deepEqual([...refusals], []);
});

interface Mutation {
  readonly name: string;
  readonly spoil: (layout: string, dir: string) => Promise<void>;
  readonly refusal: Refusal;
  /** What is refused besides. */
  readonly besides?: readonly Refusal[];
  /** Where an upgrade asks for a digest that still is what it was: it is not fooled, and has nothing to refuse. */
  readonly isUpgradeUnmoved?: boolean;
  /** Where it is refused under another name by who was told a digest, or no digest. */
  readonly registry?: Refusal;
  readonly upgrade?: Refusal;
  readonly trust?: () => Trust;
}

const withMaterial = (bundle: Parameters<Parameters<typeof rewriteBundles>[2]>[0], change: object) => ({
  ...bundle,
  verificationMaterial: { ...bundle.verificationMaterial, ...change },
});

const rerooted = (change: (root: Record<string, unknown>) => object) => () =>
  readTrust(
    JSON.stringify({
      ...JSON.parse(writeTrust(trust)),
      sigstore: { ...Object(sigstore.root), ...change(Object(sigstore.root)) },
    }),
  );

const EVIDENCE: readonly Mutation[] = [
  {
    name: "the log entry is stripped",
    spoil: (layout) =>
      rewriteBundles(layout, "certificate", (bundle) => withMaterial(bundle, { tlogEntries: [] })),
    refusal: "log-entry-missing",
  },
  {
    name: "the timestamp is stripped",
    spoil: (layout) =>
      rewriteBundles(layout, "certificate", (bundle) =>
        withMaterial(bundle, { timestampVerificationData: {} }),
      ),
    refusal: "timestamp-missing",
  },
  {
    name: "the checkpoint is stripped",
    spoil: (layout) =>
      rewriteBundles(layout, "certificate", (bundle) => {
        const [entry] = bundle.verificationMaterial.tlogEntries ?? [];
        const { checkpoint: _, ...proof } = entry?.inclusionProof ?? {};
        return withMaterial(bundle, { tlogEntries: [{ ...entry, inclusionProof: proof }] });
      }),
    refusal: "checkpoint-missing",
  },
  {
    name: "the checkpoint is of another size than was signed",
    spoil: (layout) =>
      rewriteBundles(layout, "certificate", (bundle) => {
        const [entry] = bundle.verificationMaterial.tlogEntries ?? [];
        const proof = entry?.inclusionProof;
        const envelope = (proof?.checkpoint?.envelope ?? "").replace(/\n\d+\n/, "\n7777\n");
        const inclusionProof = { ...proof, checkpoint: { envelope } };
        return withMaterial(bundle, { tlogEntries: [{ ...entry, inclusionProof }] });
      }),
    refusal: "checkpoint-wrong",
  },
  {
    name: "the log is another, and its checkpoint with it",
    spoil: async () => undefined,
    trust: rerooted(() => ({ tlogs: Object(other.root).tlogs })),
    refusal: "checkpoint-wrong",
  },
  {
    name: "the log entry is of another statement",
    spoil: (layout) =>
      rewriteBundles(layout, "certificate", (bundle, before) => {
        const borrowed = before === bundle ? [] : (before.verificationMaterial.tlogEntries ?? []);
        return withMaterial(bundle, { tlogEntries: borrowed });
      }),
    refusal: "log-entry-wrong",
    besides: ["log-entry-missing"],
  },
  {
    name: "the timestamp is of another signature",
    spoil: (layout) =>
      rewriteBundles(layout, "certificate", (bundle, before) =>
        withMaterial(bundle, {
          timestampVerificationData:
            before === bundle ? {} : before.verificationMaterial.timestampVerificationData,
        }),
      ),
    refusal: "timestamp-wrong",
    besides: ["timestamp-missing"],
  },
  {
    name: "the clock is not a trusted one",
    spoil: async () => undefined,
    trust: rerooted(() => ({ timestampAuthorities: Object(other.root).timestampAuthorities })),
    refusal: "timestamp-wrong",
  },
  {
    name: "the certificate authority is not a trusted one",
    spoil: async () => undefined,
    trust: rerooted(() => ({ certificateAuthorities: Object(other.root).certificateAuthorities })),
    refusal: "certificate-wrong",
  },
  {
    name: "the certificate authority's time was over when it was signed",
    spoil: async () => undefined,
    trust: rerooted(({ certificateAuthorities }) => ({
      certificateAuthorities: Array.from(Object(certificateAuthorities), (authority) => ({
        ...Object(authority),
        validFor: { start: "2020-01-01T00:00:00Z", end: "2021-01-01T00:00:00Z" },
      })),
    })),
    refusal: "certificate-wrong",
  },
  {
    name: "the SCT is of a log of certificates that nobody trusts",
    spoil: async () => undefined,
    trust: rerooted(() => ({ ctlogs: Object(other.root).ctlogs })),
    refusal: "sct-wrong",
  },
  {
    name: "the payload of what a certificate signed is altered",
    spoil: (layout) =>
      rewriteBundles(layout, "certificate", (bundle) => {
        const text = Buffer.from(bundle.dsseEnvelope.payload, "base64").toString();
        const payload = Buffer.from(`${text} `).toString("base64");
        return { ...bundle, dsseEnvelope: { ...bundle.dsseEnvelope, payload } };
      }),
    refusal: "signature-wrong",
  },
  {
    name: "everything that a certificate signed is stripped",
    spoil: (layout) =>
      dropReferrers(layout, (type, text) => type !== BUNDLE || !text.includes(`"certificate"`)),
    refusal: "statement-missing",
  },
];

const RELEASES: readonly Mutation[] = [
  {
    name: "the ML-DSA companions are stripped",
    spoil: (layout) => dropReferrers(layout, (type) => type !== COMPANION),
    refusal: "companion-missing",
  },
  {
    name: "the payload of what a key signed is altered",
    spoil: (layout) =>
      rewriteBundles(layout, "key", (bundle) => {
        const text = Buffer.from(bundle.dsseEnvelope.payload, "base64").toString();
        const payload = Buffer.from(text.replace("not_affected", "fixed") + " ").toString("base64");
        return { ...bundle, dsseEnvelope: { ...bundle.dsseEnvelope, payload } };
      }),
    refusal: "signer-wrong",
  },
  {
    name: "a predicate's type is another",
    spoil: (layout) =>
      dropReferrers(layout, (type, text) => {
        if (type !== BUNDLE) return true;
        const payload = /"payload":"([^"]+)"/.exec(text)?.[1] ?? "";
        return !Buffer.from(payload, "base64").toString().includes("https://cyclonedx.org/bom");
      }),
    refusal: "statement-missing",
  },
  ...(["layer", "config", "image"] as const).map((part): Mutation => ({
    name: `a byte of the ${part} is altered`,
    spoil: async (layout) => corrupt(layout, (await partsIn(layout))[part]),
    refusal: "content-altered",
  })),
  {
    name: "the index is another: it lists a platform twice",
    spoil: (layout) =>
      replaceIndex(layout, (index) => ({ ...index, manifests: [...index.manifests, ...index.manifests] })),
    refusal: "statement-missing",
    besides: ["digest-wrong"],
    isUpgradeUnmoved: true,
  },
  {
    name: "the index gives an image out as one for another platform",
    spoil: (layout) =>
      replaceIndex(layout, (index) => ({
        ...index,
        manifests: index.manifests.map((image) => ({
          ...image,
          platform: { os: "linux", architecture: "arm64" },
        })),
      })),
    refusal: "platform-wrong",
    besides: ["digest-wrong", "statement-missing"],
    isUpgradeUnmoved: true,
  },
  {
    name: "an older release is given out as the new one",
    spoil: async (_, dir) => {
      await rm(dir, { recursive: true });
      await cp(join(base, "old"), dir, { recursive: true });
      await writeFile(join(dir, "release.json"), writeDescription(good));
    },
    refusal: "artifact-replayed",
    besides: ["digest-wrong"],
    upgrade: "image-unknown",
  },
];

async function tryOne(mutation: Mutation): Promise<void> {
  const dir = join(base, mutation.name.replaceAll(/\W+/g, "-"));
  await cp(join(base, "good"), dir, { recursive: true });
  await mutation.spoil(join(dir, "images"), dir);
  const found = await judged(dir, mutation.trust?.() ?? trust, good);
  const allowed = new Set<Refusal>([...ALONGSIDE, ...(mutation.besides ?? [])]);
  for (const by of ["folder", "registry", "upgrade"] as const) {
    const refusals = [...found[by]];
    if (by === "upgrade" && mutation.isUpgradeUnmoved === true) {
      assert.deepEqual(refusals, [], by);
      continue;
    }
    const expected = (by === "folder" ? undefined : mutation[by]) ?? mutation.refusal;
    assert.ok(refusals.includes(expected), `${by}: ${refusals.join(", ") || "accepted"}, not ${expected}`);
    const more = refusals.filter((refusal) => refusal !== expected && !allowed.has(refusal));
    assert.deepEqual(more, [], by);
  }
}

for (const mutation of [...EVIDENCE, ...RELEASES]) {
  void test(`D-03, S0-24: refused as ${mutation.refusal}: ${mutation.name}`, () => tryOne(mutation));
}

/** What an insider does: everything is signed, and by somebody who may sign something. */
async function signedBy(name: string, change: Partial<Signers>, by = trust): Promise<ReadonlySet<Refusal>> {
  const dir = join(base, name);
  const release = await makeSmall(dir, { version: "1.1.0", signers: { ...signers, ...change }, trust: by });
  const found = await judged(dir, by, release);
  assert.deepEqual(found.folder, found.registry);
  assert.deepEqual(found.folder, found.upgrade);
  return found.folder;
}

/** The builder, with a certificate of another. */
const sealed = (identity: string, issuer: string) => {
  const seal = sealWith(sigstore.services, { getToken: async () => tokenOf(identity, issuer) });
  return { builder: { ...signers.builder, seal } };
};

void test("refused as identity-wrong: a certificate of another workload, or of the right one at another issuer", async () => {
  const { certified } = NAMES.builder;
  assert.deepEqual(
    await signedBy("workload", sealed("https://build.test/workflow2", ISSUER)),
    new Set(["identity-wrong"]),
  );
  assert.deepEqual(
    await signedBy("issuer", sealed(certified, "https://evil.test")),
    new Set(["identity-wrong"]),
  );
  assert.deepEqual(
    await signedBy("gate-as-builder", sealed(NAMES.gate.certified, ISSUER)),
    new Set(["identity-wrong"]),
  );
});

void test("refused as sct-missing: a certificate that no log of certificates has seen", async () => {
  const issued = {
    builder: signerOf(unseen, NAMES.builder.certified),
    gate: signerOf(unseen, NAMES.gate.certified),
  };
  const found = await signedBy("unseen", issued, trustOf(issued, unseen.root));
  assert.deepEqual(found, new Set(["sct-missing"]));
});

void test("refused as signer-wrong: keys of another, with the right certificate", async () => {
  const stranger = signerOf(sigstore, NAMES.builder.certified);
  const found = await signedBy("stranger", { builder: stranger });
  assert.ok(found.has("signer-wrong") && found.has("companion-wrong"), [...found].join(", "));
});

void test("refused as summary-of-another: a bill of materials that the builder swapped after the gate had looked", async () => {
  const dir = join(base, "swapped");
  await cp(join(base, "good"), dir, { recursive: true });
  const layout = await Layout.open(join(dir, "images"));
  await dropReferrers(join(dir, "images"), (type, text) => {
    const payload = /"payload":"([^"]+)"/.exec(text)?.[1] ?? "";
    return type !== BUNDLE || !Buffer.from(payload, "base64").toString().includes("CycloneDX");
  });
  const { bom } = claimsOf(good.version, good.commit);
  const claims = { bom: { ...Object(bom), components: [{ name: "two" }] } };
  for (const digest of Object.values(await partsIn(join(dir, "images"))).slice(0, 2)) {
    const stored = await layout.document(digest);
    assert.ok(stored !== undefined);
    await attest(
      layout,
      { subject: stored.descriptor, name: "proxy", claims },
      { signer: signers.builder, at: AT },
    );
  }
  const found = await judged(dir, trust, good);
  for (const refusals of Object.values(found)) assert.deepEqual(refusals, new Set(["summary-of-another"]));
});

void test("a trust file that demands certificates and names no root, or one identity for both parties, is refused", () => {
  const file = JSON.parse(writeTrust(trust));
  const { sigstore: _, ...rootless } = file;
  assert.throws(() => readTrust(JSON.stringify(rootless)), /sigstore, their root, is missing/);
  const { certified } = file.builder;
  const one = { ...file, gate: { ...file.gate, certified } };
  assert.throws(() => readTrust(JSON.stringify(one)), /the gate is the builder/);
  const emptied = { ...file, sigstore: { ...file.sigstore, ctlogs: [] } };
  assert.throws(() => readTrust(JSON.stringify(emptied)), /ctlogs/);
});
