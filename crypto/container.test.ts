import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createPublicKey, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import forge from "node-forge";
import { explainContainer, readContainer } from "./container.ts";
import type { ContainerVerdict } from "./container.ts";
import { curve, rsa, Workshop } from "./openssl-fixture.ts";
import { openPkcs12 } from "./pkcs12.ts";

const shop = new Workshop();
after(() => shop.close());
const root = shop.make({ name: "root" });
const issuer = shop.make({ name: "issuer", signer: root });
const PASSWORD = "Пароль, correct";
const pass = `pass:${PASSWORD}`;

function said(verdict: ContainerVerdict): string {
  if (!verdict.ok) return verdict.refusal.code;
  const { certificates, keys } = verdict.contents;
  return `${certificates.length} certificates, ${keys.length} keys`;
}

function pkcs12(...words: readonly string[]): Buffer {
  const from = ["-inkey", issuer.key, "-in", issuer.certificate, "-certfile", root.certificate];
  return shop.openssl("pkcs12", "-export", ...from, "-passout", pass, ...words);
}

/** A part of a file, changed by OpenSSL: `openssl WORDS -in FILE`. */
function turned(file: string, ...words: readonly string[]): Buffer {
  return shop.openssl(...words, "-in", file);
}

const TRADITIONAL = turned(issuer.key, "ec", "-aes256", "-passout", pass);
const ASN1 = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
const P7 = ["crl2pkcs7", "-nocrl", "-certfile", root.certificate, "-certfile", issuer.certificate];

const KINDS: readonly (readonly [string, Buffer, string])[] = [
  ["PKCS #12, AES and SHA-256", pkcs12(), "2 certificates, 1 keys"],
  ["PKCS #12, RC2, 3DES and SHA-1", pkcs12("-legacy"), "2 certificates, 1 keys"],
  ["PKCS #12, 3DES", pkcs12("-legacy", "-certpbe", "PBE-SHA1-3DES"), "2 certificates, 1 keys"],
  ["PKCS #12 without integrity value", pkcs12("-nomac"), "2 certificates, 1 keys"],
  ["PKCS #12, certificates in the open", pkcs12("-certpbe", "NONE"), "2 certificates, 1 keys"],
  ["PKCS #12, SHA-512", pkcs12("-macalg", "sha512", "-keypbe", "AES-128-CBC"), "2 certificates, 1 keys"],
  ["PKCS #12, 128-bit RC2", pkcs12("-legacy", "-certpbe", "PBE-SHA1-RC2-128"), "unsupported"],
  ["PKCS #7 in PEM", shop.openssl(...P7), "2 certificates, 0 keys"],
  ["PKCS #7 in DER", shop.openssl(...P7, "-outform", "DER"), "2 certificates, 0 keys"],
  ["certificate in DER", turned(root.certificate, "x509", "-outform", "DER"), "1 certificates, 0 keys"],
  ["OpenSSL's trusted certificate", turned(root.certificate, "x509", "-trustout"), "1 certificates, 0 keys"],
  ["PKCS #8", shop.read(issuer.key), "0 certificates, 1 keys"],
  [
    "PKCS #8 in DER",
    turned(issuer.key, "pkcs8", "-topk8", "-nocrypt", "-outform", "DER"),
    "0 certificates, 1 keys",
  ],
  ["PKCS #8, AES", turned(issuer.key, "pkcs8", "-topk8", "-passout", pass), "0 certificates, 1 keys"],
  [
    "PKCS #8, AES, in DER",
    turned(issuer.key, "pkcs8", "-topk8", "-passout", pass, "-outform", "DER"),
    "0 certificates, 1 keys",
  ],
  [
    "PKCS #8, 3DES",
    turned(issuer.key, "pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES", "-passout", pass),
    "0 certificates, 1 keys",
  ],
  [
    "SEC 1 with parameters",
    Buffer.concat([Buffer.from(ASN1), turned(issuer.key, "ec")]),
    "0 certificates, 1 keys",
  ],
  ["SEC 1 in DER", turned(issuer.key, "ec", "-outform", "DER"), "0 certificates, 1 keys"],
  ["SEC 1, encrypted", TRADITIONAL, "0 certificates, 1 keys"],
  [
    "a bundle, key first",
    shop.join(issuer.key, root.certificate, issuer.certificate),
    "2 certificates, 1 keys",
  ],
  ["a request", turned(issuer.key, "req", "-new", "-subj", "/CN=x", "-key", issuer.key), "unsupported"],
  ["text", Buffer.from("apiVersion: v1\n"), "not_a_container"],
  ["nothing", Buffer.of(), "not_a_container"],
  ["too much", Buffer.alloc(1024 * 1024 + 1), "too_large"],
];

for (const [kind, bytes, expected] of KINDS)
  test(`an issuer's file is read whatever its form: ${kind}`, async () => {
    const verdict = await readContainer(bytes, { password: PASSWORD });
    assert.equal(said(verdict), expected);
    if (!verdict.ok) return assert.match(explainContainer(verdict.refusal), /: \w+/);
    const own = new X509Certificate(shop.read(issuer.certificate));
    for (const key of verdict.contents.keys) assert.ok(createPublicKey(key).equals(own.publicKey));
    const known = [issuer, root].map(({ certificate }) => new X509Certificate(shop.read(certificate)).raw);
    for (const der of verdict.contents.certificates)
      assert.ok(
        known.some((one) => Buffer.compare(one, der) === 0),
        "not one byte is changed",
      );
  });

test("PKCS #1 and RSA in PKCS #12 by node-forge are read, with keys of RSA and exact certificates", async () => {
  const made = shop.make({ name: "rsa", key: rsa(2048) });
  const pem = turned(made.key, "rsa", "-traditional");
  assert.match(pem.toString(), /BEGIN RSA PRIVATE KEY/);
  assert.equal(said(await readContainer(pem, { password: undefined })), "0 certificates, 1 keys");
  const container = forge.pkcs12.toPkcs12Asn1(
    forge.pki.privateKeyFromPem(pem.toString()),
    [forge.pki.certificateFromPem(shop.read(made.certificate).toString())],
    "x",
    { algorithm: "3des" },
  );
  const bytes = Buffer.from(forge.asn1.toDer(container).getBytes(), "binary");
  const verdict = await readContainer(bytes, { password: "x" });
  assert.ok(verdict.ok);
  assert.deepEqual(
    verdict.contents.certificates.map((der) => Buffer.from(der)),
    [new X509Certificate(shop.read(made.certificate)).raw],
  );
  assert.equal(verdict.contents.keys[0]?.asymmetricKeyType, "rsa");
});

test("a wrong password is told from a missing one and from damage", async () => {
  const encrypted = KINDS.filter(([kind]) => /PKCS #12, (AES|RC2)|PKCS #8, |encrypted/.test(kind));
  assert.equal(encrypted.length, 6);
  for (const [kind, bytes] of encrypted) {
    assert.equal(said(await readContainer(bytes, { password: undefined })), "password_needed", kind);
    assert.equal(said(await readContainer(bytes, { password: "other" })), "wrong_password", kind);
    const cut = bytes.subarray(0, bytes.length - 40);
    assert.equal(said(await readContainer(cut, { password: PASSWORD })), "damaged", kind);
  }
  const container = pkcs12();
  container[container.length - 20] = (container.at(-20) ?? 0) ^ 1;
  // Inside the salt or digest of the integrity value: everything still decrypts.
  assert.equal(said(await readContainer(container, { password: PASSWORD })), "damaged");
});

test("a container without a password needs none", async () => {
  const open = pkcs12("-passout", "pass:");
  assert.equal(said(await readContainer(open, { password: undefined })), "2 certificates, 1 keys");
});

test("keys of curves that are not used are read, so that they are refused by name", async () => {
  const made = shop.make({ name: "k1", key: curve("secp256k1") });
  const verdict = await readContainer(shop.join(made.key, made.certificate), { password: undefined });
  assert.equal(said(verdict), "1 certificates, 1 keys");
});

test("no bytes whatever break the reader", async () => {
  const good = turned(root.certificate, "x509", "-outform", "DER");
  const p7 = shop.openssl(...P7, "-outform", "DER");
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(good, p7, TRADITIONAL),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (bytes, place, change) => {
        const at = place % bytes.length;
        const altered = Buffer.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ change;
        // A changed version may make it look like PKCS #12, which is a process each time.
        if (altered[0] === 0x30 && altered.includes(Buffer.of(2, 1, 3))) return;
        await readContainer(altered, { password: PASSWORD });
      },
    ),
    { numRuns: 300 },
  );
});

test("D-02: in approved mode PKCS #12 is refused before anything is started, and PEM is not", async () => {
  assert.deepEqual(await openPkcs12(Uint8Array.of(0x30), "", true), { type: "fips_profile" });
  const verdict = await readContainer(pkcs12(), { password: undefined, isApproved: true });
  assert.equal(said(verdict), "fips_profile");
  const pem = shop.join(issuer.key, issuer.certificate);
  assert.ok((await readContainer(pem, { password: undefined, isApproved: true })).ok);
});

function sourceOf(file: string): string {
  return readFileSync(join(import.meta.dirname, file), "utf8");
}

test("D-02: one program imports node-forge, and no source imports that program", () => {
  const files = readdirSync(import.meta.dirname).filter((file) => /(?<!\.test)\.ts$/.test(file));
  assert.deepEqual(
    files.filter((file) => /(?:from|import|require)\s*\(?\s*"node-forge/.test(sourceOf(file))),
    ["forge-container.ts"],
  );
  assert.deepEqual(
    files.filter((file) => /(?:from|import)\s*\(?\s*"\.\/forge-container/.test(sourceOf(file))),
    [],
  );
});
