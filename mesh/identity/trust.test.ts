import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { createTrustAnchor, randomSerial } from "@hauberk/crypto/issue.ts";
import type { Certificate } from "@hauberk/crypto/certificate.ts";
import {
  issuingBelow,
  rotate,
  SPREAD_MS,
  trustBundle,
  trustedIn,
  type Rotation,
  type RotationEvent,
} from "./trust.ts";

const NOW_MS = Date.parse("2026-11-21T12:00:00Z");
const LEAF_LIFE_MS = 86_400_000;

function anchor(commonName: string): Certificate {
  const keys = generateKeyPair("ecdsa-p256-sha256");
  return createTrustAnchor({ commonName, keys, serial: randomSerial(), nowMs: NOW_MS, lifeMs: 1e12 })
    .certificate;
}
const [OLD, NEW, OTHER] = [anchor("old"), anchor("new"), anchor("other")];

function follow(rotation: Rotation, steps: readonly (readonly [RotationEvent, number])[]): Rotation {
  return steps.reduce((now, [event, atMs]) => {
    const verdict = rotate(now, event, atMs);
    assert.ok(verdict.ok, event.type);
    return verdict.rotation;
  }, rotation);
}

test("an anchor is replaced in three phases", () => {
  const introducing = follow({ phase: "steady", anchor: OLD }, [[{ type: "introduce", to: NEW }, 0]]);
  assert.equal(introducing.phase, "introducing");
  assert.equal(issuingBelow(introducing), OLD);
  const reissuing = follow(introducing, [[{ type: "issuer_switched", leafLifeMs: LEAF_LIFE_MS }, SPREAD_MS]]);
  assert.equal(issuingBelow(reissuing), NEW);
  assert.equal(trustedIn(reissuing).anchors.length, 2);
  const done = follow(reissuing, [[{ type: "tick" }, SPREAD_MS + LEAF_LIFE_MS]]);
  assert.deepEqual(trustedIn(done).anchors, [NEW]);
});

test("the issuer may not switch before every proxy has the new anchor", () => {
  const introducing = follow({ phase: "steady", anchor: OLD }, [[{ type: "introduce", to: NEW }, 0]]);
  const early = rotate(introducing, { type: "issuer_switched", leafLifeMs: LEAF_LIFE_MS }, SPREAD_MS - 1);
  assert.deepEqual(early, { ok: false, refusal: { code: "not_spread_yet", waitMs: 1 } });
});

test("what is issued below is always trusted, and the old anchor stays as long as its leaves", () => {
  const event = fc.oneof(
    fc.constantFrom<RotationEvent>(
      { type: "introduce", to: NEW },
      { type: "introduce", to: OTHER },
      { type: "issuer_switched", leafLifeMs: LEAF_LIFE_MS },
      { type: "tick" },
      { type: "abandon" },
    ),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(event, fc.integer({ min: 0, max: LEAF_LIFE_MS })), { maxLength: 40 }),
      (steps) => {
        let rotation: Rotation = { phase: "steady", anchor: OLD };
        let nowMs = NOW_MS;
        // The last time at which a leaf below an anchor may have been issued.
        const issuedAtMs = new Map<Certificate, number>();
        for (const [next, pauseMs] of steps) {
          nowMs += pauseMs;
          issuedAtMs.set(issuingBelow(rotation), nowMs);
          const verdict = rotate(rotation, next, nowMs);
          if (verdict.ok) rotation = verdict.rotation;
          const trusted: readonly Certificate[] = trustedIn(rotation).anchors;
          assert.ok(trusted.includes(issuingBelow(rotation)));
          for (const [below, atMs] of issuedAtMs) {
            if (atMs + LEAF_LIFE_MS > nowMs) assert.ok(trusted.includes(below));
          }
        }
      },
    ),
  );
});

test("equal trust is equal bytes, whatever the order and however often", () => {
  assert.equal(trustBundle([OLD, NEW]).digest, trustBundle([NEW, OLD, NEW]).digest);
  assert.notEqual(trustBundle([OLD]).digest, trustBundle([NEW]).digest);
});
