import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import {
  ALGORITHMS,
  FIPS_ALGORITHMS,
  generateKeyPair,
  KeyError,
  narrow,
  readPublicKey,
} from "./algorithms.ts";
import type { AlgorithmName } from "./algorithms.ts";
import {
  isIssuedBy,
  readCertificate,
  readCertificatesPem,
  verifyChain,
  writeCertificatesPem,
} from "./certificate.ts";
import type { Certificate } from "./certificate.ts";
import { DerError } from "./der.ts";
import {
  CLOCK_SKEW_MS,
  createIssuer,
  createTrustAnchor,
  issueLeaf,
  openAuthority,
  randomSerial,
} from "./issue.ts";
import { writePrivateKeyPem } from "./issue.ts";
import type { Authority } from "./issue.ts";

const NOW_MS = Date.parse("2026-11-21T12:00:00Z");
const DAY_MS = 86_400_000;
const NAMES = [
  { kind: "dns", value: "web.shop.serviceaccount.identity.linkerd.cluster.local" },
  { kind: "uri", value: "spiffe://cluster.local/ns/shop/sa/web" },
] as const;

type Mesh = { readonly anchor: Authority; readonly issuer: Authority; readonly leaf: Certificate };

function mesh(name: AlgorithmName, nowMs = NOW_MS): Mesh {
  const common = { nowMs, lifeMs: 365 * DAY_MS };
  const anchor = createTrustAnchor({
    ...common,
    commonName: "root",
    keys: generateKeyPair(name),
    serial: randomSerial(),
  });
  const issuer = createIssuer(anchor, {
    ...common,
    commonName: "identity",
    keys: generateKeyPair(name),
    serial: randomSerial(),
  });
  const leaf = issueLeaf(issuer, {
    publicKey: generateKeyPair("ecdsa-p256-sha256").publicKey,
    names: NAMES,
    serial: randomSerial(),
    nowMs,
    lifeMs: DAY_MS,
  });
  return { anchor, issuer, leaf };
}

for (const name of Object.values(ALGORITHMS).map((algorithm) => algorithm.name)) {
  test(`an authority with ${name} keys issues leaves that lead to its anchor, also in the platform's eyes`, () => {
    const { anchor, issuer, leaf } = mesh(name);
    const chain = { leaf, intermediates: [issuer.certificate], anchors: [anchor.certificate] };
    assert.equal(verifyChain(chain, NOW_MS).ok, true);
    const theirs = new X509Certificate(leaf.der);
    assert.equal(theirs.checkIssued(new X509Certificate(issuer.certificate.der)), true);
    assert.equal(theirs.verify(issuer.keys.publicKey.key), true);
    assert.equal(theirs.subjectAltName, `DNS:${NAMES[0].value}, URI:${NAMES[1].value}`);
    assert.equal(theirs.subject, undefined);
    assert.equal(theirs.ca, false);
    assert.deepEqual(theirs.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    assert.equal(new X509Certificate(issuer.certificate.der).ca, true);
  });
}

for (const name of ["ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519"] as const) {
  test(`openssl verifies a leaf of an authority with ${name} keys, as server and as client, strictly`, () => {
    const dir = mkdtempSync(join(tmpdir(), "hauberk-issue-"));
    try {
      const { anchor, issuer, leaf } = mesh(name, Date.now());
      const file = (label: string, certificate: Certificate): string => {
        const path = join(dir, label);
        writeFileSync(path, writeCertificatesPem([certificate]));
        return path;
      };
      for (const purpose of ["sslserver", "sslclient"]) {
        const output = execFileSync(
          "openssl",
          [
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            file("anchor.pem", anchor.certificate),
            "-untrusted",
            file("issuer.pem", issuer.certificate),
            file("leaf.pem", leaf),
          ],
          { encoding: "utf8" },
        );
        assert.match(output, /leaf\.pem: OK/);
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
}

test("a certificate begins 20 s before now, ends after its life, and never outlives its issuer", () => {
  const { issuer, leaf } = mesh("ecdsa-p256-sha256");
  assert.equal(leaf.notBeforeMs, NOW_MS - CLOCK_SKEW_MS);
  assert.equal(leaf.notAfterMs, NOW_MS + DAY_MS);
  const long = issueLeaf(issuer, { ...fresh(), lifeMs: 1000 * DAY_MS });
  assert.equal(long.notAfterMs, issuer.certificate.notAfterMs);
  assert.throws(() => issueLeaf(issuer, { ...fresh(), nowMs: issuer.certificate.notAfterMs }), DerError);
});

test("a leaf without names, and a serial that is short or zero, are not issued", () => {
  const { issuer } = mesh("ecdsa-p256-sha256");
  assert.throws(() => issueLeaf(issuer, { ...fresh(), names: [] }), DerError);
  assert.throws(() => issueLeaf(issuer, { ...fresh(), serial: new Uint8Array(16) }), DerError);
  assert.throws(() => issueLeaf(issuer, { ...fresh(), serial: new Uint8Array(8).fill(1) }), DerError);
  for (const value of ["", "a b", "ä.example", "a\u0000b"]) {
    assert.throws(() => issueLeaf(issuer, { ...fresh(), names: [{ kind: "dns", value }] }), DerError);
  }
});

test("serial numbers keep all 128 bits", () => {
  const { issuer } = mesh("ecdsa-p256-sha256");
  const serial = new Uint8Array(16).fill(0xff);
  const leaf = issueLeaf(issuer, { ...fresh(), serial });
  assert.deepEqual(Buffer.from(leaf.serial), Buffer.from(serial));
  assert.equal(new X509Certificate(leaf.der).serialNumber, "FF".repeat(16));
});

test("a chain is refused when a part is expired, early, missing, foreign or no authority", () => {
  const { anchor, issuer, leaf } = mesh("ecdsa-p256-sha256");
  const other = mesh("ecdsa-p256-sha256");
  const anchors = [anchor.certificate];
  const intermediates = [issuer.certificate];
  const code = (chain: Parameters<typeof verifyChain>[0], nowMs = NOW_MS): string => {
    const verdict = verifyChain(chain, nowMs);
    return verdict.ok ? "ok" : verdict.refusal.code;
  };
  assert.equal(code({ leaf, intermediates, anchors }), "ok");
  assert.equal(code({ leaf, intermediates: [other.issuer.certificate, ...intermediates], anchors }), "ok");
  assert.equal(code({ leaf, intermediates, anchors: [other.anchor.certificate, ...anchors] }), "ok");
  assert.equal(code({ leaf, intermediates, anchors }, NOW_MS + 2 * DAY_MS), "expired");
  assert.equal(code({ leaf, intermediates, anchors }, NOW_MS - DAY_MS), "not_yet_valid");
  assert.equal(code({ leaf, intermediates: [], anchors }), "no_anchor");
  assert.equal(code({ leaf, intermediates, anchors: [] }), "no_anchor");
  assert.equal(code({ leaf, intermediates, anchors: [other.anchor.certificate] }), "no_anchor");
  // Same names, other keys: names alone make no chain.
  assert.equal(isIssuedBy(leaf, other.issuer.certificate), false);
});

test("an issuer cannot sign another authority, and a leaf nobody", () => {
  const { anchor, issuer } = mesh("ecdsa-p256-sha256");
  const below = createIssuer(issuer, {
    commonName: "below",
    keys: generateKeyPair("ed25519"),
    serial: randomSerial(),
    nowMs: NOW_MS,
    lifeMs: DAY_MS,
  });
  const leaf = issueLeaf(below, fresh());
  const verdict = verifyChain(
    { leaf, intermediates: [below.certificate, issuer.certificate], anchors: [anchor.certificate] },
    NOW_MS,
  );
  assert.equal(!verdict.ok && verdict.refusal.code, "path_too_long");

  const keys = generateKeyPair("ecdsa-p256-sha256");
  const middle = issueLeaf(issuer, { ...fresh(), publicKey: keys.publicKey });
  const forged = issueLeaf({ certificate: middle, keys }, fresh());
  const refused = verifyChain(
    { leaf: forged, intermediates: [middle, issuer.certificate], anchors: [anchor.certificate] },
    NOW_MS,
  );
  assert.equal(!refused.ok && refused.refusal.code, "not_an_authority");
});

test("a private key opens only its own certificate, and only an authority's", () => {
  const { issuer, anchor, leaf } = mesh("ecdsa-p256-sha256");
  const pem = writePrivateKeyPem(issuer.keys);
  assert.equal(openAuthority(issuer.certificate, pem).certificate, issuer.certificate);
  assert.throws(() => openAuthority(anchor.certificate, pem), KeyError);
  assert.throws(() => openAuthority(leaf, pem), KeyError);
  assert.throws(() => openAuthority(issuer.certificate, "junk"), KeyError);
});

test("a flipped byte anywhere in a certificate is refused or breaks its signature", () => {
  const { issuer, leaf } = mesh("ecdsa-p256-sha256");
  for (let at = 0; at < leaf.der.length; at += 1) {
    const flipped = leaf.der.slice();
    flipped[at] = (flipped[at] ?? 0) ^ 0x01;
    try {
      assert.equal(isIssuedBy(readCertificate(flipped), issuer.certificate), false, `byte ${at}`);
    } catch (error) {
      assert.ok(error instanceof DerError || error instanceof KeyError, `byte ${at}: ${String(error)}`);
    }
  }
});

test("certificates go through PEM unchanged", () => {
  const { anchor, issuer } = mesh("ed25519");
  const read = readCertificatesPem(writeCertificatesPem([issuer.certificate, anchor.certificate]));
  assert.deepEqual(
    read.map((certificate) => certificate.fingerprint),
    [issuer.certificate.fingerprint, anchor.certificate.fingerprint],
  );
});

test("RSA keys, other curves, compressed points and points off the curve are no keys of ours", () => {
  const p256 = generateKeyPair("ecdsa-p256-sha256").publicKey.spki;
  const offCurve = p256.slice();
  offCurve[p256.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;
  assert.throws(() => readPublicKey(offCurve), KeyError);
  const rsa = execFileSync("sh", [
    "-c",
    "openssl genrsa 2048 2>/dev/null | openssl rsa -pubout -outform DER 2>/dev/null",
  ]);
  assert.throws(() => readPublicKey(new Uint8Array(rsa)), KeyError);
  for (const arguments_ of ["-name secp256k1", "-name secp521r1"]) {
    const spki = execFileSync("sh", [
      "-c",
      `openssl ecparam ${arguments_} -genkey -noout | openssl ec -pubout -outform DER 2>/dev/null`,
    ]);
    assert.throws(() => readPublicKey(new Uint8Array(spki)), KeyError);
  }
  const compressed = execFileSync("sh", [
    "-c",
    "openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -conv_form compressed -outform DER 2>/dev/null",
  ]);
  assert.throws(() => readPublicKey(new Uint8Array(compressed)), KeyError);
});

test("a profile only narrows", () => {
  assert.deepEqual([...narrow(FIPS_ALGORITHMS, ["ed25519", "ecdsa-p256-sha256"])], ["ecdsa-p256-sha256"]);
});

function fresh(): Parameters<typeof issueLeaf>[1] {
  return {
    publicKey: generateKeyPair("ecdsa-p256-sha256").publicKey,
    names: NAMES,
    serial: randomSerial(),
    nowMs: NOW_MS,
    lifeMs: DAY_MS,
  };
}
