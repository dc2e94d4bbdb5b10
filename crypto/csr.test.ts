import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test from "node:test";
import fc from "fast-check";
import { ALGORITHMS, generateKeyPair } from "./algorithms.ts";
import { CSR_BYTES_MAX, readRequest, writeRequest } from "./csr.ts";
import { ExtensionOid } from "./extensions.ts";
import { commonNames, readAlternativeNames } from "./names.ts";

const NAME = { kind: "dns", value: "web.shop" } as const;

for (const { name } of Object.values(ALGORITHMS)) {
  test(`a request with a ${name} key is read with its proof of possession`, () => {
    const verdict = readRequest(
      writeRequest(generateKeyPair(name), { commonName: "web.shop", names: [NAME] }),
    );
    assert.ok(verdict.ok);
    assert.equal(verdict.request.publicKey.algorithm.name, name);
    assert.deepEqual(commonNames(verdict.request.subject), ["web.shop"]);
    const [extension] = verdict.request.extensions;
    assert.equal(extension?.oid, ExtensionOid.subjectAltName);
    assert.deepEqual(readAlternativeNames(extension?.value ?? new Uint8Array()), [NAME]);
  });
}

test("a request that openssl wrote is read alike", () => {
  const der = execFileSync("sh", [
    "-c",
    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=web.shop -addext subjectAltName=DNS:web.shop -outform DER 2>/dev/null",
  ]);
  const verdict = readRequest(new Uint8Array(der));
  assert.ok(verdict.ok);
  assert.equal(verdict.request.extensions.length, 1);
});

test("openssl finds our requests well-formed and their signatures good", () => {
  const der = writeRequest(generateKeyPair("ecdsa-p256-sha256"), { names: [NAME] });
  const text = execFileSync("openssl", ["req", "-inform", "DER", "-verify", "-noout", "-text"], {
    input: der,
    encoding: "utf8",
    stdio: ["pipe", "pipe", "ignore"],
  });
  assert.match(text, /DNS:web\.shop/);
});

test("a request signed by another key is unproven", () => {
  const one = generateKeyPair("ecdsa-p256-sha256");
  const two = generateKeyPair("ecdsa-p256-sha256");
  const verdict = readRequest(
    writeRequest({ privateKey: two.privateKey, publicKey: one.publicKey }, { names: [NAME] }),
  );
  assert.equal(!verdict.ok && verdict.refusal.code, "unproven");
});

test("an RSA request is refused for its key", () => {
  const der = execFileSync("sh", [
    "-c",
    "openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=x -outform DER 2>/dev/null",
  ]);
  const verdict = readRequest(new Uint8Array(der));
  assert.equal(!verdict.ok && verdict.refusal.code, "weak_key");
});

test("more bytes than a request can have are refused unread", () => {
  const verdict = readRequest(new Uint8Array(CSR_BYTES_MAX + 1));
  assert.equal(!verdict.ok && verdict.refusal.code, "too_large");
});

test("a flipped, cut or extended request is refused and never a crash", () => {
  const der = writeRequest(generateKeyPair("ecdsa-p256-sha256"), { commonName: "web.shop", names: [NAME] });
  for (let at = 0; at < der.length; at += 1) {
    for (const mask of [0x01, 0x80]) {
      const flipped = der.slice();
      flipped[at] = (flipped[at] ?? 0) ^ mask;
      assert.equal(readRequest(flipped).ok, false, `byte ${at}`);
    }
    assert.equal(readRequest(der.subarray(0, at)).ok, false, `cut at ${at}`);
  }
  assert.equal(readRequest(Uint8Array.of(...der, 0)).ok, false);
});

test("no bytes at all crash the reader", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (junk) => {
      assert.equal(readRequest(junk).ok, false);
    }),
    { numRuns: 2000 },
  );
});
