import assert from "node:assert/strict";
import { after, test } from "node:test";
import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { generateKeyPair, type AlgorithmName } from "@hauberk/crypto/algorithms.ts";
import { readCertificatesPem, verifyChain } from "@hauberk/crypto/certificate.ts";
import { readContainer } from "@hauberk/crypto/container.ts";
import {
  createIssuer,
  createTrustAnchor,
  issueLeaf,
  randomSerial,
  writePrivateKeyPem,
} from "@hauberk/crypto/issue.ts";
import { AUTHORITY, curve, rsa, Workshop, type Made } from "@hauberk/crypto/openssl-fixture.ts";
import { writePem } from "@hauberk/crypto/pem.ts";
import { explainImport, explainWarning, importIssuer, type ImportVerdict } from "./issuer-import.ts";

const DAY_MS = 24 * 3_600_000;
/** A little later than what is made below begins. */
const NOW_MS = Date.now() + 3_600_000;
const shop = new Workshop();
after(() => shop.close());
const root = shop.make({ name: "root" });
const SIGNING = ["keyUsage=critical,keyCertSign,cRLSign"];
const pathLength = (length: number) => [`basicConstraints=critical,CA:true,pathlen:${length}`, ...SIGNING];
const middle = shop.make({ name: "middle", signer: root, extensions: pathLength(1) });
const issuer = shop.make({ name: "issuer", signer: middle, extensions: pathLength(0) });

async function judge(
  bytes: Uint8Array,
  { roots, nowMs = NOW_MS }: { readonly roots?: readonly Made[]; readonly nowMs?: number } = {},
): Promise<ImportVerdict> {
  const verdict = await readContainer(bytes, { password: "x" });
  assert.ok(verdict.ok);
  const trusted = roots?.map(({ certificate }) => new X509Certificate(shop.read(certificate)).raw);
  return importIssuer({ contents: verdict.contents, roots: trusted }, nowMs);
}

function said(verdict: ImportVerdict): string {
  if (verdict.ok) return ["taken", ...verdict.imported.warnings.map(({ code }) => code)].join(" ");
  return verdict.refusal.code;
}

function namesOf(pem: string): readonly (string | undefined)[] {
  return readCertificatesPem(pem).map(({ subject }) => subject.attributes[0]?.value);
}

const whole = shop.join(issuer.key, issuer.certificate, middle.certificate, root.certificate);

test("a container becomes the issuer first, what lies between, and the root apart, in whatever order it held them", async () => {
  const { certificate, key } = issuer;
  const from = ["-inkey", key, "-in", certificate, "-certfile", root.certificate, "-passout", "pass:x"];
  const files = [
    whole,
    shop.join(root.certificate, middle.certificate, issuer.certificate, issuer.key),
    shop.join(middle.certificate, issuer.key, root.certificate, issuer.certificate),
    Buffer.concat([shop.openssl("pkcs12", "-export", ...from)]),
  ];
  for (const [index, bytes] of files.entries()) {
    const verdict = await judge(bytes, { roots: index === 3 ? [middle] : [root] });
    assert.ok(verdict.ok, JSON.stringify(verdict));
    const { pem } = verdict.imported;
    assert.deepEqual(namesOf(pem.certificates), index === 3 ? ["issuer"] : ["issuer", "middle"]);
    assert.deepEqual(namesOf(pem.anchors), index === 3 ? ["middle"] : ["root"]);
    assert.match(pem.privateKey, /^-----BEGIN PRIVATE KEY-----\n/);
  }
});

/** An issuer below the root, with its key and the root in one file. */
function below(
  wanted: Omit<Parameters<Workshop["make"]>[0], "name" | "signer">,
  signer: Made = root,
): Buffer {
  const made = shop.make({ name: "unfit", signer, ...wanted });
  return shop.join(made.key, made.certificate, signer.certificate);
}

const rsaRoot = shop.make({ name: "rsa root", key: rsa(2048) });
const noPath = shop.make({ name: "no path", signer: root, extensions: pathLength(0) });
const other = shop.make({ name: "other" });
const twin = { certificate: "twin.crt", key: issuer.key };
shop.certify(twin, { name: "twin", signer: root });
const constrained = (line: string) => [...AUTHORITY, `nameConstraints=critical,${line}`];

const CASES: readonly (readonly [string, () => Buffer, string])[] = [
  ["P-256", () => below({}), "taken"],
  ["P-384", () => below({ key: curve("P-384") }), "taken"],
  ["SHA-384 by P-256", () => below({ digest: "sha384" }), "hash_not_paired"],
  [
    "SHA-256 by P-384",
    () => below({}, shop.make({ name: "r384", key: curve("P-384"), digest: "sha384" })),
    "hash_not_paired",
  ],
  ["Ed25519", () => below({ key: ["-algorithm", "ED25519"] }), "taken"],
  ["root alone", () => shop.join(root.key, root.certificate), "taken root_key"],
  [
    "for both purposes",
    () => below({ extensions: [...AUTHORITY, "extendedKeyUsage=clientAuth,serverAuth"] }),
    "taken",
  ],
  ["twice", () => Buffer.concat([whole, shop.read(issuer.certificate)]), "taken duplicate"],
  ["with a stranger", () => Buffer.concat([whole, shop.read(other.certificate)]), "taken left_out"],
  ["less than 60 days", () => below({ days: 59 }), "taken ends_soon"],
  ["less than two leaves' lives", () => below({ days: 1 }), "life_too_short"],
  ["RSA of 1024 bits", () => below({ key: rsa(1024) }), "weak_key"],
  ["RSA of 2048 bits", () => below({ key: rsa(2048) }), "rsa_key"],
  ["P-192", () => below({ key: curve("prime192v1") }), "weak_key"],
  ["P-224", () => below({ key: curve("secp224r1") }), "weak_key"],
  ["secp256k1", () => below({ key: curve("secp256k1") }), "weak_key"],
  ["P-521", () => below({ key: curve("secp521r1") }), "key_not_used"],
  ["Ed448", () => below({ key: ["-algorithm", "ED448"] }), "key_not_used"],
  ["SHA-1", () => below({ digest: "sha1" }), "weak_signature"],
  ["MD5", () => below({ digest: "md5" }, rsaRoot), "weak_signature"],
  ["below RSA", () => below({}, rsaRoot), "signature_not_used"],
  ["ECDSA with SHA-512", () => below({ digest: "sha512" }), "signature_not_used"],
  ["no authority", () => below({ extensions: ["basicConstraints=critical,CA:false"] }), "not_an_authority"],
  ["nothing said of authority", () => below({ extensions: ["keyUsage=keyCertSign"] }), "not_an_authority"],
  [
    "no right to sign",
    () => below({ extensions: ["basicConstraints=critical,CA:true", "keyUsage=digitalSignature"] }),
    "may_not_sign",
  ],
  [
    "for code",
    () => below({ extensions: [...AUTHORITY, "extendedKeyUsage=codeSigning"] }),
    "purposes_too_narrow",
  ],
  [
    "for servers",
    () => below({ extensions: [...AUTHORITY, "extendedKeyUsage=serverAuth"] }),
    "purposes_too_narrow",
  ],
  [
    "URIs permitted",
    () => below({ extensions: constrained("permitted;URI:cluster.local") }),
    "uri_name_constraint",
  ],
  [
    "URIs excluded",
    () => below({ extensions: constrained("permitted;DNS:local,excluded;URI:evil.org") }),
    "uri_name_constraint",
  ],
  [
    "DNS constrained",
    () => below({ extensions: constrained("permitted;DNS:cluster.local") }),
    "name_constraint",
  ],
  [
    "path length 0 above",
    () => {
      const made = shop.make({ name: "deep", signer: noPath });
      return shop.join(made.key, made.certificate, noPath.certificate, root.certificate);
    },
    "path_length",
  ],
  [
    "an unknown critical extension",
    () => below({ extensions: [...AUTHORITY, "1.2.3.4=critical,DER:0500"] }),
    "not_usable",
  ],
  ["no root", () => shop.join(issuer.key, issuer.certificate, middle.certificate), "no_root"],
  ["a gap", () => shop.join(issuer.key, issuer.certificate, root.certificate), "no_root"],
  ["another's key", () => shop.join(other.key, issuer.certificate, root.certificate), "key_mismatch"],
  ["two keys", () => shop.join(issuer.key, other.key, issuer.certificate), "several_keys"],
  ["the key twice", () => Buffer.concat([whole, shop.read(issuer.key)]), "taken"],
  ["two certificates of one key", () => Buffer.concat([whole, shop.read("twin.crt")]), "several_issuers"],
  ["no key", () => shop.read(issuer.certificate), "no_key"],
  ["no certificate", () => shop.read(issuer.key), "no_certificate"],
  [
    "no certificate inside",
    () => Buffer.from(`${shop.read(issuer.key).toString()}${writePem("CERTIFICATE", Uint8Array.of(48, 0))}`),
    "not_a_certificate",
  ],
];

for (const [kind, file, expected] of CASES)
  test(`what the mesh cannot use is refused by name, and nothing else: ${kind}`, async () => {
    const verdict = await judge(file());
    assert.equal(said(verdict), expected, JSON.stringify(verdict));
    if (!verdict.ok) assert.match(explainImport(verdict.refusal), /.{10,}: \w+/);
    else for (const warning of verdict.imported.warnings) assert.ok(explainWarning(warning).length > 20);
  });

test("each certificate of the chain is held against the clock", async () => {
  assert.equal(said(await judge(whole, { nowMs: NOW_MS - DAY_MS })), "not_yet_valid");
  assert.equal(said(await judge(whole, { nowMs: NOW_MS + 401 * DAY_MS })), "expired");
  assert.equal(said(await judge(whole, { nowMs: NOW_MS + 399 * DAY_MS })), "life_too_short");
  assert.equal(
    said(await judge(whole, { nowMs: NOW_MS + 350 * DAY_MS })),
    "taken ends_soon ends_soon ends_soon",
  );
});

test("the roots' file decides what is trusted, and all in it has to be fit", async () => {
  const verdict = await judge(whole, { roots: [root, other] });
  assert.ok(verdict.ok);
  assert.equal(readCertificatesPem(verdict.imported.pem.anchors).length, 2);
  assert.equal(said(await judge(whole, { roots: [other] })), "no_root");
  assert.equal(said(await judge(whole, { roots: [root, rsaRoot] })), "rsa_key");
  const alone = shop.join(issuer.key, issuer.certificate);
  assert.equal(said(await judge(alone, { roots: [middle] })), "taken");
});

test("a chain of four intermediates is taken, and a longer one refused", async () => {
  for (const [count, expected] of [
    [4, "taken"],
    [5, "chain_too_long"],
  ] as const) {
    const made = [root];
    for (let index = 0; index <= count; index += 1)
      made.push(shop.make({ name: `level ${index}`, signer: made.at(-1) ?? root }));
    const bytes = shop.join(...made.map(({ certificate }) => certificate), made.at(-1)?.key ?? "");
    assert.equal(said(await judge(bytes)), expected);
  }
});

const ALGORITHM: fc.Arbitrary<AlgorithmName> = fc.constantFrom(
  "ecdsa-p256-sha256",
  "ecdsa-p384-sha384",
  "ed25519",
);

function content(algorithm: AlgorithmName, commonName: string) {
  const keys = generateKeyPair(algorithm);
  return { nowMs: NOW_MS, lifeMs: 100 * DAY_MS, commonName, keys, serial: randomSerial() };
}

test("whatever is imported, its key signs what its certificate and root verify", async () => {
  await fc.assert(
    fc.asyncProperty(
      ALGORITHM,
      ALGORITHM,
      ALGORITHM,
      fc.boolean(),
      async (above, own, leafKey, isKeyFirst) => {
        const anchor = createTrustAnchor(content(above, "root"));
        const made = createIssuer(anchor, content(own, "issuer"));
        const certificates = [anchor.certificate, made.certificate].map(({ der }) =>
          writePem("CERTIFICATE", der),
        );
        const key = writePrivateKeyPem(made.keys);
        const file = Buffer.from(
          [...(isKeyFirst ? [key] : []), ...certificates, ...(isKeyFirst ? [] : [key])].join(""),
        );
        const verdict = await judge(file);
        assert.ok(verdict.ok, JSON.stringify(verdict));
        const { issuer: imported } = verdict.imported;
        const leaf = issueLeaf(imported.authority, {
          publicKey: generateKeyPair(leafKey).publicKey,
          names: [{ kind: "uri", value: "spiffe://cluster.local/ns/a/sa/b" }],
          serial: randomSerial(),
          nowMs: NOW_MS,
          lifeMs: DAY_MS,
        });
        const anchors = readCertificatesPem(verdict.imported.pem.anchors);
        assert.ok(verifyChain({ leaf, intermediates: imported.chain, anchors }, NOW_MS).ok);
        assert.ok(
          !verifyChain(
            { leaf, intermediates: [], anchors: readCertificatesPem(shop.read(root.certificate).toString()) },
            NOW_MS,
          ).ok,
        );
      },
    ),
    { numRuns: 30 },
  );
});
