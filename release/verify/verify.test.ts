import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { digest } from "@hauberk/crypto/digest.ts";
import { z } from "zod";
import { attest, type BuilderClaims, type Signer } from "../attest/attest.ts";
import { BUNDLE, COMPANION } from "../attest/bundle.ts";
import { summary, testResult, type Report } from "../attest/gate.ts";
import { partyOf, readTrust, writeTrust } from "../attest/keys.ts";
import { provenance } from "../attest/provenance.ts";
import { writeImage, writeIndex } from "../image/image.ts";
import { proxyImage } from "../image/images.ts";
import { Layout } from "../oci/layout.ts";
import type { Descriptor } from "../oci/model.ts";
import type { Trust } from "./trust.ts";
import { verifyImage } from "./verify.ts";

const BUILDER = "https://build.test/v1";
const RELEASE = { version: "1.2.3", commit: "a".repeat(40), epochSeconds: 1_700_000_000 };
const AT = "2023-11-14T22:13:20.000Z";

const newSigner = (): Signer => ({
  classical: generateKeyPair("ecdsa-p256-sha256"),
  postQuantum: generateKeyPair("ml-dsa-87"),
});
const SIGNER = newSigner();
const GATE = newSigner();
const GATE_ID = "https://gate.test/v1";
const TRUST: Trust = readTrust(
  writeTrust({ builder: partyOf(SIGNER, BUILDER), gate: partyOf(GATE, GATE_ID) }),
);
/** What is demanded of each part. */
const DEMANDS = ["signature", "provenance", "bom", "vex", "summary", "testResult"];
const BUILDERS = ["signature", "provenance", "bom", "vex"];

function claims(changes: Partial<BuilderClaims> = {}, builderId = BUILDER): BuilderClaims {
  return {
    signature: {},
    bom: { bomFormat: "CycloneDX", components: [{ name: "one" }] },
    vex: { statements: [{ vulnerability: { name: "CVE-2026-1" }, status: "not_affected" }] },
    provenance: provenance({
      sourceUri: "git+https://git.test/hauberk",
      commit: RELEASE.commit,
      version: RELEASE.version,
      artifact: "proxy",
      platform: "linux/amd64",
      materials: [],
      outputs: new Map(),
      builderId,
      invocationId: "urn:run:1",
      at: AT,
    }),
    ...changes,
  };
}

const REPORT: Report = {
  tested: {
    programs: [{ name: "hauberk-proxy", sha256: "0".repeat(64) }],
    source: { commit: RELEASE.commit, isClean: true },
  },
  suites: [{ suite: "h2spec", cases: [1, 2], asUsual: 2, excused: 0, findings: [] }],
};

interface Gated {
  readonly signer?: Signer;
  readonly gateId?: string;
  readonly report?: Report;
  readonly result?: string;
}

/** The gate's statements about a part, over whatever is attached to it. */
async function gate(layout: Layout, subject: Descriptor, how: Gated = {}): Promise<void> {
  const { signer = GATE, gateId = GATE_ID, report = REPORT, result = "PASSED" } = how;
  const checks = await verifyImage(layout, subject.digest, TRUST, { isGate: true });
  const inputs = checks.flatMap(({ outcome }) => (outcome.ok ? [outcome.bundle] : []));
  const said = {
    summary: {
      ...summary({
        gateId,
        version: RELEASE.version,
        at: AT,
        resourceUri: "oci://images.test/proxy",
        policy: digest(Buffer.from("policy")),
        inputs,
        level: 1,
      }),
      verificationResult: result,
    },
    testResult: testResult(report, digest(Buffer.from("report"))),
  };
  await attest(layout, { subject, name: "proxy", claims: said }, { signer, at: AT });
}

/** A release of one image, attested by `say` for each of its parts. */
async function release(dir: string, say: (layout: Layout, subject: Descriptor) => Promise<void>) {
  const layout = await Layout.create(dir);
  const image = await writeImage(layout, proxyImage(Buffer.from("binary"), RELEASE, "amd64"));
  const index = await writeIndex(layout, [image], {});
  await layout.tag("proxy", index);
  for (const subject of [index, image]) await say(layout, subject);
  return { layout, image, index };
}

const attested =
  (signer: Signer, said = claims(), how: Gated = {}) =>
  async (layout: Layout, subject: Descriptor) => {
    await attest(layout, { subject, name: "proxy", claims: said }, { signer, at: AT });
    await gate(layout, subject, how);
  };

/** The refusals of the builder's statements: what the gate says of a release that is not good is not the question. */
const ofBuilder = (found: readonly string[]) =>
  new Set(found.filter((refusal) => BUILDERS.some((demand) => refusal.startsWith(demand))));

async function refusals(layout: Layout, name = "proxy"): Promise<readonly string[]> {
  const checks = await verifyImage(layout, name, TRUST);
  assert.ok(checks.length > 0, "a verifier that looked at nothing has verified nothing");
  return checks.flatMap(({ demand, outcome }) => (outcome.ok ? [] : [`${demand}: ${outcome.refusal}`]));
}

let base = "";
before(async () => {
  base = await mkdtemp(join(tmpdir(), "hauberk-verify-"));
  await release(join(base, "good"), attested(SIGNER));
});
after(() => rm(base, { recursive: true, force: true }));

/** A copy of the good release, for a test to spoil. */
async function spoiled(name: string): Promise<{ layout: Layout; dir: string }> {
  const dir = join(base, name);
  await cp(join(base, "good"), dir, { recursive: true });
  return { layout: await Layout.open(dir), dir };
}

const IndexJson = z.looseObject({
  manifests: z.array(z.looseObject({ artifactType: z.string().optional() })),
});

async function dropReferrers(dir: string, drop: (entry: Record<string, unknown>) => boolean): Promise<void> {
  const path = join(dir, "index.json");
  const index = IndexJson.parse(JSON.parse(await readFile(path, "utf8")));
  const kept = index.manifests.filter((entry) => !drop(entry));
  assert.ok(kept.length < index.manifests.length, "something is dropped");
  await writeFile(path, JSON.stringify({ ...index, manifests: kept }));
}

void test("a release as it was made is accepted, in all its parts", async () => {
  const checks = await verifyImage(await Layout.open(join(base, "good")), "proxy", TRUST);
  assert.deepEqual(
    checks.map(({ part, demand, outcome }) => `${part} ${demand} ${outcome.ok}`),
    ["index", "linux/amd64"].flatMap((part) => DEMANDS.map((demand) => `${part} ${demand} true`)),
  );
});

void test("an image that is not there is unknown", async () => {
  assert.deepEqual(await refusals(await Layout.open(join(base, "good")), "other"), [
    "signature: image-unknown",
  ]);
});

void test("without its companions a release is refused, though every classical signature is good", async () => {
  const { layout, dir } = await spoiled("no-companions");
  await dropReferrers(dir, ({ artifactType }) => artifactType === COMPANION);
  const found = await refusals(layout);
  assert.equal(found.length, 12);
  assert.ok(found.every((refusal) => refusal.endsWith("companion-missing")));
});

void test("without bundles every statement is missing", async () => {
  const { layout, dir } = await spoiled("no-bundles");
  await dropReferrers(dir, ({ artifactType }) => artifactType === BUNDLE);
  assert.deepEqual(
    new Set(await refusals(layout)),
    new Set(DEMANDS.map((demand) => `${demand}: statement-missing`)),
  );
});

void test("one altered byte of any blob is found", async () => {
  const { dir } = await spoiled("altered");
  const blobs = join(dir, "blobs", "sha256");
  const names = await readdir(blobs);
  assert.ok(names.length > 10);
  for (const name of names) {
    const path = join(blobs, name);
    const bytes = await readFile(path);
    const spoilt = Buffer.from(bytes);
    spoilt.writeUInt8((spoilt.readUInt8(0) ^ 1) & 0xff, 0);
    await writeFile(path, spoilt);
    const checks = await verifyImage(await Layout.open(dir), "proxy", TRUST).catch(() => []);
    assert.ok(
      checks.some(({ outcome }) => !outcome.ok) || checks.length === 0,
      `blob ${name} is altered and nothing is refused`,
    );
    await writeFile(path, bytes);
  }
});

void test("what another builder signed is refused, whoever it says it is", async () => {
  const { layout } = await release(join(base, "stranger"), attested(newSigner()));
  assert.deepEqual(
    ofBuilder(await refusals(layout)),
    new Set(BUILDERS.map((demand) => `${demand}: signer-wrong`)),
  );
});

void test("the trusted builder's classical key with a stranger's ML-DSA key is refused", async () => {
  const mixed = { classical: SIGNER.classical, postQuantum: newSigner().postQuantum };
  const { layout } = await release(join(base, "mixed"), attested(mixed));
  assert.deepEqual(
    ofBuilder(await refusals(layout)),
    new Set(BUILDERS.map((demand) => `${demand}: companion-wrong`)),
  );
});

void test("provenance that names another builder is refused", async () => {
  const { layout } = await release(join(base, "builder"), attested(SIGNER, claims({}, "https://evil.test")));
  assert.deepEqual(ofBuilder(await refusals(layout)), new Set(["provenance: builder-wrong"]));
});

void test("an empty bill of materials and provenance without a source are refused", async () => {
  const empty = claims({
    bom: { bomFormat: "CycloneDX", components: [] },
    provenance: {
      buildDefinition: { resolvedDependencies: [{ digest: { sha256: "00" } }] },
      runDetails: { builder: { id: BUILDER } },
    },
  });
  const { layout } = await release(join(base, "empty"), attested(SIGNER, empty));
  assert.deepEqual(
    ofBuilder(await refusals(layout)),
    new Set(["provenance: source-missing", "bom: bom-empty"]),
  );
});

void test("statements about one image do not speak for another", async () => {
  const other = { digest: `sha256:${"b".repeat(64)}` };
  const { layout } = await release(join(base, "swapped"), async (to, subject) => {
    const elsewhere = await Layout.create(join(base, `elsewhere-${subject.digest.slice(7, 15)}`));
    const image = await writeImage(elsewhere, proxyImage(Buffer.from("another"), RELEASE, "amd64"));
    assert.notEqual(image.digest, other.digest);
    await attest(elsewhere, { subject: image, name: "proxy", claims: claims() }, { signer: SIGNER, at: AT });
    for (const referrer of await elsewhere.referrers(image.digest)) {
      const { bytes } = (await elsewhere.document(referrer.digest)) ?? { bytes: Buffer.from("{}") };
      const { layers } = z
        .object({ layers: z.array(z.object({ digest: z.string() })) })
        .parse(JSON.parse(bytes.toString()));
      const content = await readFile(
        join(
          base,
          `elsewhere-${subject.digest.slice(7, 15)}`,
          "blobs",
          "sha256",
          (layers[0]?.digest ?? "").slice(7),
        ),
      );
      await to.attach(subject, {
        artifactType: referrer.artifactType ?? "",
        bytes: content,
        annotations: { moved: "yes" },
      });
    }
  });
  assert.deepEqual(
    ofBuilder(await refusals(layout)),
    new Set(BUILDERS.map((demand) => `${demand}: subject-wrong`)),
  );
});

/** What is refused of a release that is good but for what the gate says. */
async function gateRefusals(name: string, how: Gated): Promise<ReadonlySet<string>> {
  const { layout } = await release(join(base, name), attested(SIGNER, claims(), how));
  return new Set(await refusals(layout));
}

void test("D-05: what nobody let out is refused, and so is what the builder let out himself", async () => {
  const { layout } = await release(join(base, "ungated"), (to, subject) =>
    attest(to, { subject, name: "proxy", claims: claims() }, { signer: SIGNER, at: AT }),
  );
  assert.deepEqual(
    new Set(await refusals(layout)),
    new Set(["summary: statement-missing", "testResult: statement-missing"]),
  );
  assert.deepEqual(
    await gateRefusals("self", { signer: SIGNER }),
    new Set(["summary: signer-wrong", "testResult: signer-wrong"]),
  );
  const self = { builder: partyOf(SIGNER, BUILDER), gate: partyOf(SIGNER, GATE_ID) };
  assert.throws(() => readTrust(writeTrust(self)), /the gate is the builder/);
});

void test("a gate that names another, or did not pass it, is refused", async () => {
  assert.deepEqual(
    await gateRefusals("other-gate", { gateId: "https://evil.test" }),
    new Set(["summary: gate-wrong"]),
  );
  assert.deepEqual(await gateRefusals("failed", { result: "FAILED" }), new Set(["summary: gate-refused"]));
});

void test("D-05: a build that failed in a suite is refused, and so is one that was tried in none", async () => {
  const findings = [{ case: "6.5", problem: "failed" }];
  const failed: Report["suites"] = [{ suite: "h2spec", cases: [1, 2], asUsual: 1, excused: 0, findings }];
  assert.deepEqual(
    await gateRefusals("untested", { report: { ...REPORT, suites: [] } }),
    new Set(["testResult: tests-failed"]),
  );
  assert.deepEqual(
    await gateRefusals("broken", { report: { ...REPORT, suites: failed } }),
    new Set(["testResult: tests-failed"]),
  );
});

void test("a statement that was swapped after the gate looked is noticed", async () => {
  const { layout } = await release(join(base, "swapped-bom"), async (to, subject) => {
    await attested(SIGNER)(to, subject);
  });
  const checks = await verifyImage(layout, "proxy", TRUST);
  const bom = checks.find(({ demand }) => demand === "bom");
  assert.ok(bom?.outcome.ok === true);
  const { bundle } = bom.outcome;
  const index = IndexJson.parse(JSON.parse(await readFile(join(base, "swapped-bom", "index.json"), "utf8")));
  const kept = [];
  for (const entry of index.manifests) {
    const text = await readFile(
      join(base, "swapped-bom", "blobs", "sha256", String(entry["digest"]).slice(7)),
      "utf8",
    );
    if (!text.includes(bundle)) kept.push(entry);
  }
  assert.ok(kept.length < index.manifests.length, "it was there");
  await writeFile(join(base, "swapped-bom", "index.json"), JSON.stringify({ ...index, manifests: kept }));
  const again = await Layout.open(join(base, "swapped-bom"));
  const [subject] = checks.flatMap((check) => check.subject ?? []);
  assert.ok(subject !== undefined);
  const stored = await again.document(subject);
  assert.ok(stored !== undefined);
  const other = { bom: { bomFormat: "CycloneDX", components: [{ name: "two" }] } };
  await attest(
    again,
    { subject: stored.descriptor, name: "proxy", claims: other },
    { signer: SIGNER, at: AT },
  );
  assert.ok((await refusals(again)).includes("summary: summary-of-another"));
});

void test("a vulnerability that nobody judged keeps a release back", async () => {
  const open = claims({
    vex: { statements: [{ vulnerability: { name: "CVE-2026-2" }, status: "under_investigation" }] },
  });
  const { layout } = await release(join(base, "open"), attested(SIGNER, open));
  assert.deepEqual(ofBuilder(await refusals(layout)), new Set(["vex: vulnerability-open"]));
});
