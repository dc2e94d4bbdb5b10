import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import test from "node:test";
import fc from "fast-check";
import { generateKeyPair, signatureIdentifier, signWith } from "@hauberk/crypto/algorithms.ts";
import { writeRequest } from "@hauberk/crypto/csr.ts";
import { bits, DerReader, readOnly, sequence, Tag } from "@hauberk/crypto/der.ts";
import { ExtensionOid, extendedKeyUsage, Purpose } from "@hauberk/crypto/extensions.ts";
import { randomSerial } from "@hauberk/crypto/issue.ts";
import { certify, LEAF_LIFE_MS, LEAF_LIFE_MS_MIN, type Verdict } from "./certify.ts";
import { DNS, DOMAIN, isBound, newIssuer, NOW_MS, POD, tokenKey, URI } from "./service-fixture.ts";
import { mintJoinToken, verifyJoinToken } from "./token.ts";
import type { VerifiedWorkload } from "./verified.ts";

const KEYS = generateKeyPair("ecdsa-p256-sha256");
const ISSUER = newIssuer();
const NAMES = [
  { kind: "dns", value: DNS },
  { kind: "uri", value: URI },
] as const;
/** Changed requests in one run; a release runs more. */
const RUNS = Number(process.env["HAUBERK_FUZZ_RUNS"] ?? 3_000);

async function workload(): Promise<VerifiedWorkload> {
  const { key, trust } = tokenKey(generateKeyPairSync("ed25519").privateKey);
  const token = Buffer.from(await mintJoinToken(key, POD, { nowMs: NOW_MS, lifeMs: 60_000 }));
  const verdict = await verifyJoinToken(token, { keys: [trust], domain: DOMAIN, isBound }, NOW_MS);
  assert.ok(verdict.ok);
  return verdict.workload;
}

const at = (nowMs: number, lifeMs?: number) => ({
  nowMs,
  serial: randomSerial(),
  ...(lifeMs === undefined ? {} : { lifeMs }),
});
const good = { identity: DNS, csr: writeRequest(KEYS, { names: NAMES }) };

function end(verdict: Verdict): number {
  assert.ok(verdict.ok);
  return verdict.issued.leaf.notAfterMs;
}

test("a leaf lives a day unless the mesh says otherwise, and never longer than its issuer", async () => {
  const proven = await workload();
  assert.equal(end(certify(good, proven, ISSUER, at(NOW_MS))), NOW_MS + LEAF_LIFE_MS);
  assert.equal(end(certify(good, proven, ISSUER, at(NOW_MS, 60_000))), NOW_MS + 60_000);
  const short = newIssuer(3_600_000);
  assert.equal(end(certify(good, proven, short, at(NOW_MS))), NOW_MS + 3_600_000);
});

test("a leaf begins as long before its issuance as the mesh says", async () => {
  const proven = await workload();
  for (const skewMs of [0, 60_000]) {
    const verdict = certify(good, proven, ISSUER, { ...at(NOW_MS), skewMs });
    assert.ok(verdict.ok);
    assert.equal(verdict.issued.leaf.notBeforeMs, NOW_MS - skewMs);
  }
});

test("an issuer that has ended, is about to, or has not begun issues nothing", async () => {
  const proven = await workload();
  const { notBeforeMs, notAfterMs } = ISSUER.authority.certificate;
  for (const nowMs of [notBeforeMs - 1, notAfterMs - LEAF_LIFE_MS_MIN + 1, notAfterMs, notAfterMs + 1]) {
    const verdict = certify(good, proven, ISSUER, at(nowMs));
    assert.equal(!verdict.ok && verdict.refusal.code, "issuer_not_valid");
  }
});

test("the leaf is sent with its issuer and without the anchor", async () => {
  const verdict = certify(good, await workload(), ISSUER, at(NOW_MS));
  assert.ok(verdict.ok);
  assert.deepEqual(verdict.issued.intermediates, [ISSUER.authority.certificate]);
});

test("a request that was changed and then signed again names the proven workload or gets nothing", async () => {
  const proven = await workload();
  const purposes = extendedKeyUsage([Purpose.serverAuth, Purpose.clientAuth]);
  const whole = writeRequest(KEYS, {
    commonName: DNS,
    names: NAMES,
    extensions: [{ oid: ExtensionOid.extendedKeyUsage, critical: false, value: purposes }],
  });
  const info = new DerReader(readOnly(whole, Tag.sequence).body).next(Tag.sequence).raw;
  const outcomes = { issued: 0, refused: 0 };
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(info.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }),
      (changes) => {
        const changed = info.slice();
        for (const [index, byte] of changes) changed[index] = byte;
        const signature = bits(signWith(KEYS, changed));
        const csr = sequence(changed, signatureIdentifier(KEYS.publicKey.algorithm), signature);
        const verdict = certify({ identity: DNS, csr }, proven, ISSUER, at(NOW_MS));
        if (!verdict.ok) {
          outcomes.refused += 1;
          return;
        }
        outcomes.issued += 1;
        const { leaf } = verdict.issued;
        assert.deepEqual(leaf.names, NAMES);
        assert.deepEqual(leaf.basicConstraints, { ca: false, pathLength: undefined });
        assert.deepEqual(leaf.subject.attributes, []);
        assert.equal(leaf.extensions.length, 6);
        assert.deepEqual(Buffer.from(leaf.publicKey.spki), Buffer.from(KEYS.publicKey.spki));
      },
    ),
    { numRuns: RUNS },
  );
  assert.ok(outcomes.refused > RUNS / 4, JSON.stringify(outcomes));
});
