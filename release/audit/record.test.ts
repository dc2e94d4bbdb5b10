import assert from "node:assert/strict";
import test from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import fc from "fast-check";
import {
  append,
  continues,
  describeAct,
  verifyChain,
  type Act,
  type AuditSigner,
  type Entry,
  type Head,
} from "./record.ts";

const newSigner = (): AuditSigner => ({
  classical: generateKeyPair("ecdsa-p256-sha256"),
  postQuantum: generateKeyPair("ml-dsa-87"),
});
const SIGNER = newSigner();
const KEYS = { classical: SIGNER.classical.publicKey, postQuantum: SIGNER.postQuantum.publicKey };
const AT = Date.UTC(2026, 10, 1);

function chain(length: number, signer = SIGNER): { entries: Entry[]; heads: Head[] } {
  const entries: Entry[] = [];
  const heads: Head[] = [];
  for (let index = 0; index < length; index += 1) {
    const act: Act = { kind: "install", to: `1.0.${index}` };
    const made = append(heads.at(-1), { at: new Date(AT + index * 1000), actor: "ada", act }, signer);
    entries.push(made.entry);
    heads.push(made.head);
  }
  return { entries, heads };
}

const { entries: ENTRIES, heads: HEADS } = chain(6);
const HEAD = HEADS.at(-1);

function fault(entries: readonly Entry[], head = HEAD): string {
  const verified = verifyChain(entries, head, KEYS);
  return verified.ok ? "whole" : `${verified.fault} at ${verified.sequence}`;
}

void test("D-03: a record as it was written is whole, and an empty one too", () => {
  assert.equal(fault(ENTRIES), "whole");
  assert.deepEqual(verifyChain([], undefined, KEYS), { ok: true, contents: [] });
});

void test("whoever removes, repeats or swaps entries, or cuts off the end, breaks the chain", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 8 }), (order) => {
      const isWhole = order.length === 6 && order.every((value, index) => value === index);
      const taken = order.flatMap((index) => ENTRIES[index] ?? []);
      assert.equal(fault(taken) === "whole", isWhole);
    }),
  );
  assert.equal(fault(ENTRIES.slice(0, 5)), "end-missing at 5");
  assert.equal(fault(ENTRIES.slice(1)), "sequence-broken at 1");
});

void test("an altered byte anywhere in an entry is found", () => {
  fc.assert(
    fc.property(fc.nat(5), fc.nat(), (which, where) => {
      const entry = ENTRIES[which] ?? "";
      const at = where % entry.length;
      const flipped = entry.charAt(at) === "A" ? "B" : "A";
      const altered = `${entry.slice(0, at)}${flipped}${entry.slice(at + 1)}`;
      const entries = ENTRIES.with(which, altered);
      // The last character of a base64 group may carry bits that mean nothing; its digest differs all the same.
      assert.notEqual(fault(entries), "whole");
    }),
  );
});

void test("a record that somebody else signed wholly anew is refused", () => {
  const { entries, heads } = chain(6, newSigner());
  assert.equal(fault(entries, heads.at(-1)), "signature-wrong at 1");
});

void test("without its post-quantum half an entry is not signed", () => {
  const stripped = ENTRIES.map((entry) => {
    const value: unknown = JSON.parse(entry);
    assert.ok(typeof value === "object" && value !== null && "signatures" in value);
    assert.ok(Array.isArray(value.signatures));
    const [first]: unknown[] = value.signatures;
    return JSON.stringify({ ...value, signatures: [first] });
  });
  assert.equal(fault(stripped), "signature-wrong at 1");
});

void test("a head that is missing or of another record is noticed", () => {
  assert.equal(verifyChain(ENTRIES, undefined, KEYS).ok, false);
  const [first] = chain(6).heads.toReversed();
  assert.equal(fault(ENTRIES, first), "head-unknown at 6");
});

void test("a head that lags behind is no fault: its writer may have been cut off", () => {
  assert.equal(fault(ENTRIES, HEADS[3]), "whole");
});

void test("a record that was begun anew with the right keys does not continue an earlier export", () => {
  const anew = chain(6);
  const verified = verifyChain(anew.entries, anew.heads.at(-1), KEYS);
  assert.ok(verified.ok);
  assert.deepEqual(continues(verified, anew.entries.slice(0, 3), anew.entries), verified);
  const broken = continues(verified, ENTRIES, anew.entries);
  assert.ok(!broken.ok && broken.fault === "link-broken");
  const shorter = continues({ ok: true, contents: [] }, ENTRIES.slice(0, 1), []);
  assert.ok(!shorter.ok && shorter.fault === "end-missing");
});

void test("time does not run backwards in a record", () => {
  const late = append(
    undefined,
    { at: new Date(AT), actor: "ada", act: { kind: "install", to: "1" } },
    SIGNER,
  );
  const early = append(
    late.head,
    { at: new Date(AT - 1000), actor: "ada", act: { kind: "uninstall", from: "1" } },
    SIGNER,
  );
  assert.equal(fault([late.entry, early.entry], early.head), "time-backwards at 2");
});

void test("every act reads as one line", () => {
  const digest = `sha256:${"0".repeat(64)}`;
  const acts: readonly Act[] = [
    { kind: "install", to: "1.0.0" },
    {
      kind: "upgrade",
      from: "1.0.0",
      to: "1.1.0",
      channel: "stable",
      release: digest,
      plan: digest,
      images: {},
    },
    { kind: "rollback", from: "1.1.0", to: "1.0.0", reason: "check failed" },
    { kind: "refused", from: "1.0.0", to: "1.1.0", refusal: "metadata-expired", detail: "timestamp" },
    { kind: "trust-rotation", step: "root added", bundle: digest },
    { kind: "uninstall", from: "1.0.0" },
  ];
  for (const act of acts) assert.match(describeAct(act), /^[^\n]+$/);
});
