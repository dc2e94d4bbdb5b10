import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { FRAMEWORKS, isFramework } from "@hauberk/compliance/catalogue/control.ts";
import { Evidence } from "@hauberk/compliance/evidence/evidence.ts";
import { healthy } from "@hauberk/compliance/evidence/healthy.ts";
import { reportOf } from "@hauberk/compliance/report/report.ts";
import { MeshClient } from "@hauberk/mesh/standalone/control-client.ts";
import { statePaths } from "@hauberk/mesh/standalone/state.ts";
import { partyOf, writeTrust } from "@hauberk/release/attest/keys.ts";
import { Predicate } from "@hauberk/release/attest/statement.ts";
import { append, type Head } from "@hauberk/release/audit/record.ts";
import { makeSmall, NAMES } from "@hauberk/release/verify/release.fixture.ts";
import { dropReferrers } from "@hauberk/release/verify/spoil.fixture.ts";
import { writeExport } from "../audit/export.ts";
import type { Place } from "../world/command.ts";
import { learnRecord } from "./mesh-facts.ts";
import { learnRelease } from "./release-facts.ts";

const newSigner = () => ({
  classical: generateKeyPair("ecdsa-p256-sha256"),
  postQuantum: generateKeyPair("ml-dsa-87"),
});
const frameworks = Object.keys(FRAMEWORKS).filter(isFramework);
const nowhere: Place = {
  type: "standalone",
  paths: statePaths("/nowhere"),
  client: new MeshClient("/nowhere"),
};
const signers = { builder: newSigner(), gate: newSigner() };
const trust = {
  builder: partyOf(signers.builder, NAMES.builder.id),
  gate: partyOf(signers.gate, NAMES.gate.id),
};

let base = "";
before(async () => {
  base = await mkdtemp(join(tmpdir(), "hauberk-evidence-"));
  await makeSmall(join(base, "good"), { version: "1.2.3", signers, trust });
});
after(() => rm(base, { recursive: true, force: true }));

/** Statuses of all checks, judged with these facts in the place of the healthy ones. */
function statuses(facts: Partial<Evidence>): ReadonlyMap<string, string> {
  const evidence = Evidence.parse({ ...healthy(), ...facts });
  const { checks } = reportOf(evidence, { digest: `sha256:${"0".repeat(64)}`, frameworks });
  return new Map(checks.map(({ id, status }) => [id, status]));
}

const askRelease = (name: string) =>
  learnRelease({
    where: join(base, name),
    tag: "latest",
    isPlainHttp: false,
    names: [],
    trust: writeTrust(trust),
  });

const ORIGIN = ["images-signed", "provenance-verified", "materials-listed", "conformance-passed"];

test("a release's attestations are evidence once each of them is verified", async () => {
  const release = await askRelease("good");
  assert.ok(release.known, JSON.stringify(release));
  const found = statuses({ release });
  for (const id of ORIGIN) assert.equal(found.get(id), "satisfied", id);
  assert.equal(release.value.components, 1);
  assert.equal(
    found.get("vulnerabilities-judged"),
    "not-assessable",
    "its VEX document was made without advisories",
  );
});

test("an image whose signature was taken away is not signed, and what else is said of it stays true", async () => {
  await cp(join(base, "good"), join(base, "unsigned"), { recursive: true });
  await dropReferrers(join(base, "unsigned", "images"), (_, content) => {
    const payload = /"payload":"([^"]+)"/.exec(content)?.[1] ?? "";
    return !Buffer.from(payload, "base64").toString("utf8").includes(Predicate.signature);
  });
  const found = statuses({ release: await askRelease("unsigned") });
  assert.deepEqual(
    ORIGIN.filter((id) => found.get(id) !== "satisfied"),
    ["images-signed"],
  );
  assert.equal(found.get("images-signed"), "not-satisfied");
});

test("a release that is not there shows nothing", async () => {
  const release = await askRelease("absent");
  assert.equal(release.known, false);
  for (const id of ORIGIN) assert.equal(statuses({ release }).get(id), "not-assessable", id);
});

/** An exported record of three acts. */
function record() {
  const signer = newSigner();
  const keys = { classical: signer.classical.publicKey, postQuantum: signer.postQuantum.publicKey };
  const entries: string[] = [];
  let head: Head | undefined;
  for (const to of ["1.0.0", "1.0.1", "1.0.2"]) {
    const made = append(head, { at: new Date(), actor: "operator", act: { kind: "install", to } }, signer);
    entries.push(made.entry);
    head = made.head;
  }
  return writeExport({ entries, head }, keys);
}

const askRecord = (exported: object) =>
  learnRecord(nowhere, {
    namespace: "linkerd",
    file: { name: "record.json", text: JSON.stringify(exported) },
  });

test("a record is evidence as long as its chain holds", async () => {
  const whole = record();
  assert.equal(statuses({ record: await askRecord(whole) }).get("record-intact"), "satisfied");
  const [first = "", second = "", third = ""] = whole.entries;
  const payload = Buffer.from(second, "utf8")
    .toString("utf8")
    .replace(/"sig":"./, '"sig":"_');
  for (const entries of [
    [first, third],
    [second, first, third],
    [first, second],
    [first, payload, third],
  ]) {
    const broken = await askRecord({ ...whole, entries });
    assert.equal(statuses({ record: broken }).get("record-intact"), "not-satisfied");
  }
});

test("a standalone mesh without an exported record shows none", async () => {
  const none = await learnRecord(nowhere, { namespace: "linkerd", file: undefined });
  assert.equal(statuses({ record: none }).get("record-intact"), "not-assessable");
});
