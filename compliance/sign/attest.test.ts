import assert from "node:assert/strict";
import test from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { attestFile, verifyFile } from "./attest.ts";

const newKeys = () => ({
  classical: generateKeyPair("ecdsa-p256-sha256"),
  postQuantum: generateKeyPair("ml-dsa-87"),
});
const KEYS = newKeys();
const PUBLIC = { classical: KEYS.classical.publicKey, postQuantum: KEYS.postQuantum.publicKey };
const PREDICATE = { at: "2026-11-21T12:00:00.000Z", system: "mesh", evidence: `sha256:${"a".repeat(64)}` };
const FILE = new Uint8Array(Buffer.from("a report"));
const ENVELOPE = attestFile({ name: "report.html", bytes: FILE }, PREDICATE, KEYS);

void test("a file with its envelope is what both keys signed", () => {
  const verdict = verifyFile(FILE, ENVELOPE, PUBLIC);
  assert.ok(verdict.ok);
  assert.deepEqual(verdict.predicate, PREDICATE);
});

void test("a file that was altered after it was signed is refused", () => {
  const verdict = verifyFile(new Uint8Array(Buffer.from("a Report")), ENVELOPE, PUBLIC);
  assert.equal(verdict.ok ? "" : verdict.fault, "file-altered");
});

void test("either key's signature alone is not enough", () => {
  const other = newKeys();
  for (const keys of [
    { ...PUBLIC, classical: other.classical.publicKey },
    { ...PUBLIC, postQuantum: other.postQuantum.publicKey },
  ]) {
    const verdict = verifyFile(FILE, ENVELOPE, keys);
    assert.equal(verdict.ok ? "" : verdict.fault, "signature-wrong");
  }
});

void test("what is no envelope of a report is refused", () => {
  for (const text of ["", "{}", ENVELOPE.replace("in-toto", "other")]) {
    const verdict = verifyFile(FILE, text, PUBLIC);
    assert.equal(verdict.ok ? "" : verdict.fault, "envelope-unreadable");
  }
});
