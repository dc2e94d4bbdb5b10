/** Requests that ask for what is not granted, each sent with a token that proves its pod. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import test, { after, before } from "node:test";
import fc from "fast-check";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { readCertificate, verifyChain } from "@hauberk/crypto/certificate.ts";
import { writeRequest } from "@hauberk/crypto/csr.ts";
import { bits, oid, sequence, tlv, unsigned } from "@hauberk/crypto/der.ts";
import {
  basicConstraints,
  extendedKeyUsage,
  ExtensionOid,
  keyUsage,
  Purpose,
  Usage,
} from "@hauberk/crypto/extensions.ts";
import { writePem } from "@hauberk/crypto/pem.ts";
import { RpcFailure } from "../api/client.ts";
import type { RefusalCode } from "./grpc.ts";
import { DNS, NOW_MS, startService, URI, type Change, type TestService } from "./service-fixture.ts";

let service: TestService;

before(async () => {
  service = await startService();
});
after(() => service.close());

const dns = (value: string) => ({ kind: "dns", value }) as const;
const uri = (value: string) => ({ kind: "uri", value }) as const;
const names = (...list: readonly (ReturnType<typeof dns> | ReturnType<typeof uri>)[]): Change => ({
  csr: service.csr({ names: list }),
});
const extension = (name: string, value: Uint8Array): Change => ({
  csr: service.csr({ extensions: [{ oid: name, critical: false, value }] }),
});
/** A request whose alternative names are arbitrary bytes. */
const rawNames = (...general: readonly Uint8Array[]): Change => ({
  csr: service.csr({
    names: [],
    extensions: [{ oid: ExtensionOid.subjectAltName, critical: false, value: sequence(...general) }],
  }),
});
const openssl = (script: string): Change => ({
  csr: new Uint8Array(execFileSync("sh", ["-c", `${script} 2>/dev/null`])),
});
const opensslNew = (args: string): Change =>
  openssl(
    `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -outform DER ${args}`,
  );

const REQUESTS: readonly (readonly [string, () => Change, RefusalCode])[] = [
  ["another identity", () => ({ identity: DNS.replace("web", "admin") }), "identity_not_proven"],
  ["no identity", () => ({ identity: "" }), "identity_not_proven"],
  ["the identity in capitals", () => ({ identity: DNS.toUpperCase() }), "identity_not_proven"],
  ["the identity with a trailing dot", () => ({ identity: `${DNS}.` }), "identity_not_proven"],
  [
    "another trust domain",
    () => ({ identity: DNS.replace("cluster.local", "evil.local") }),
    "identity_not_proven",
  ],
  [
    "another SPIFFE ID",
    () => ({ identity: "spiffe://cluster.local/ns/shop/sa/admin" }),
    "identity_not_proven",
  ],
  ["no request", () => ({ csr: new Uint8Array() }), "malformed"],
  ["junk", () => ({ csr: new TextEncoder().encode("hello") }), "malformed"],
  [
    "junk in PEM",
    () => ({ csr: new TextEncoder().encode("-----BEGIN CERTIFICATE REQUEST-----\n*\n") }),
    "malformed_request",
  ],
  [
    "a certificate in PEM",
    () => ({
      csr: new TextEncoder().encode(writePem("CERTIFICATE", service.issuer.authority.certificate.der)),
    }),
    "malformed_request",
  ],
  [
    "two requests in PEM",
    () => {
      const pem = writePem("CERTIFICATE REQUEST", service.csr({}));
      return { csr: new TextEncoder().encode(pem + pem) };
    },
    "malformed_request",
  ],
  ["20 kB", () => ({ csr: new Uint8Array(20_000) }), "too_large"],
  ["trailing bytes", () => ({ csr: Uint8Array.of(...service.csr({}), 0) }), "malformed"],
  ["a certificate", () => ({ csr: service.issuer.authority.certificate.der }), "malformed"],
  [
    "another key's signature",
    () => ({
      csr: writeRequest(
        { ...service.leafKeys, privateKey: generateKeyPair("ecdsa-p256-sha256").privateKey },
        { names: [dns(DNS)] },
      ),
    }),
    "unproven",
  ],
  [
    "no signature",
    () => {
      const whole = service.csr({});
      const info = whole.subarray(4, whole.length); // cut below into the signed part and an empty signature
      const length = 4 + ((info[2] ?? 0) << 8) + (info[3] ?? 0);
      const signed = info[1] === 0x82 ? info.subarray(0, length) : info.subarray(0, 3 + (info[2] ?? 0));
      return { csr: sequence(signed, sequence(oid("1.2.840.10045.4.3.2")), bits(new Uint8Array())) };
    },
    "unproven",
  ],
  [
    "an RSA key",
    () => openssl("openssl req -new -newkey rsa:3072 -nodes -keyout /dev/null -subj / -outform DER"),
    "weak_key",
  ],
  [
    "a short RSA key",
    () => openssl("openssl req -new -newkey rsa:1024 -nodes -keyout /dev/null -subj / -outform DER"),
    "weak_key",
  ],
  [
    "a key on P-521",
    () =>
      openssl(
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -keyout /dev/null -subj / -outform DER",
      ),
    "weak_key",
  ],
  [
    "a key on secp256k1",
    () =>
      openssl(
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:secp256k1 -nodes -keyout /dev/null -subj / -outform DER",
      ),
    "weak_key",
  ],
  ["a P-256 key with SHA-1", () => opensslNew("-subj / -sha1"), "weak_key"],
  ["a P-256 key with SHA-512", () => opensslNew("-subj / -sha512"), "weak_key"],
  [
    "a key type outside the profile",
    () => ({ csr: writeRequest(generateKeyPair("ed25519"), { names: [dns(DNS)] }) }),
    "key_not_permitted",
  ],
  [
    "an ML-DSA key outside the profile",
    () => ({ csr: writeRequest(generateKeyPair("ml-dsa-65"), { names: [dns(DNS)] }) }),
    "key_not_permitted",
  ],
  ["another common name", () => ({ csr: service.csr({ commonName: "admin" }) }), "foreign_common_name"],
  ["an organisation", () => opensslNew(`-subj /O=evil`), "subject_attributes"],
  ["an e-mail address in the subject", () => opensslNew(`-subj /emailAddress=a@b.c`), "subject_attributes"],
  ["two common names", () => opensslNew(`-subj /CN=${DNS.slice(0, 20)}/CN=evil`), "foreign_common_name"],
  [
    "another name",
    () => names(dns("admin.shop.serviceaccount.identity.linkerd.cluster.local")),
    "foreign_name",
  ],
  ["one name more", () => names(dns(DNS), dns("extra.example")), "foreign_name"],
  ["a wildcard", () => names(dns("*.shop.serviceaccount.identity.linkerd.cluster.local")), "foreign_name"],
  ["the name in capitals", () => names(dns(DNS.toUpperCase())), "foreign_name"],
  ["the name with a trailing dot", () => names(dns(`${DNS}.`)), "foreign_name"],
  ["a suffix of the name", () => names(dns("cluster.local")), "foreign_name"],
  [
    "the control plane's name",
    () => names(dns("linkerd-identity.linkerd.serviceaccount.identity.linkerd.cluster.local")),
    "foreign_name",
  ],
  [
    "another SPIFFE ID beside the name",
    () => names(dns(DNS), uri("spiffe://cluster.local/ns/shop/sa/admin")),
    "foreign_name",
  ],
  [
    "a SPIFFE ID of another trust domain",
    () => names(dns(DNS), uri("spiffe://evil/ns/shop/sa/web")),
    "foreign_name",
  ],
  ["a SPIFFE ID with a query", () => names(uri(`${URI}?x`)), "foreign_name"],
  ["a web address", () => names(dns(DNS), uri("https://evil.example/")), "foreign_name"],
  [
    "an IP address",
    () => rawNames(tlv(0x82, new TextEncoder().encode(DNS)), tlv(0x87, Uint8Array.of(10, 0, 0, 1))),
    "foreign_name",
  ],
  ["an e-mail address", () => rawNames(tlv(0x81, new TextEncoder().encode("a@b.c"))), "foreign_name"],
  ["a directory name", () => rawNames(tlv(0xa4, sequence())), "foreign_name"],
  [
    "another kind of name",
    () => rawNames(tlv(0xa0, oid("1.3.6.1.4.1.311.20.2.3"), tlv(0xa0, tlv(0x0c, Uint8Array.of(65))))),
    "foreign_name",
  ],
  ["a registered identifier", () => rawNames(tlv(0x88, Uint8Array.of(42))), "foreign_name"],
  [
    "a name cut by a zero byte",
    () => rawNames(tlv(0x82, new TextEncoder().encode(`${DNS}\u0000.evil`))),
    "malformed",
  ],
  ["a name that is not ASCII", () => rawNames(tlv(0x82, new TextEncoder().encode("ẃeb"))), "malformed"],
  ["an empty list of names", () => rawNames(), "malformed"],
  ["65 names", () => names(...Array.from({ length: 65 }, () => dns(DNS))), "malformed"],
  [
    "to be an authority",
    () => extension(ExtensionOid.basicConstraints, basicConstraints({ ca: true, pathLength: undefined })),
    "authority_asked",
  ],
  [
    "to be an authority of depth 0",
    () => extension(ExtensionOid.basicConstraints, basicConstraints({ ca: true, pathLength: 0 })),
    "authority_asked",
  ],
  [
    "to sign certificates",
    () => extension(ExtensionOid.keyUsage, keyUsage([Usage.digitalSignature, Usage.keyCertSign])),
    "forbidden_extension",
  ],
  [
    "to sign code",
    () => extension(ExtensionOid.extendedKeyUsage, extendedKeyUsage(["1.3.6.1.5.5.7.3.3"])),
    "forbidden_extension",
  ],
  [
    "any purpose",
    () => extension(ExtensionOid.extendedKeyUsage, extendedKeyUsage([Purpose.serverAuth, "2.5.29.37.0"])),
    "forbidden_extension",
  ],
  ["name constraints", () => extension(ExtensionOid.nameConstraints, sequence()), "forbidden_extension"],
  ["an unknown extension", () => extension("1.2.3.4", unsigned(Uint8Array.of(1))), "forbidden_extension"],
  [
    "a subject key identifier",
    () => extension(ExtensionOid.subjectKeyIdentifier, tlv(4, new Uint8Array(20))),
    "forbidden_extension",
  ],
  [
    "the same extension twice",
    () => ({
      csr: service.csr({
        names: [dns(DNS)],
        extensions: [{ oid: ExtensionOid.subjectAltName, critical: false, value: sequence() }],
      }),
    }),
    "malformed",
  ],
  [
    "a challenge password",
    () =>
      openssl(
        `f=$(mktemp); printf '[req]\\ndistinguished_name=d\\nattributes=a\\nprompt=no\\n[d]\\nCN=${DNS}\\n[a]\\nchallengePassword=secret\\n' > $f; openssl req -config $f -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -outform DER; rm $f`,
      ),
    "forbidden_attribute",
  ],
];

test("the matrix of requests has at least 50 cases, each by its own name", () => {
  assert.ok(REQUESTS.length >= 50, String(REQUESTS.length));
  assert.equal(new Set(REQUESTS.map(([title]) => title)).size, REQUESTS.length);
});

for (const [title, make, expected] of REQUESTS) {
  test(`a request that asks for ${title} gets no certificate`, async () => {
    assert.equal(await service.refusal(make()), expected);
  });
}

test("nothing was issued by any case", () => {
  assert.equal(service.counts.issued, 0);
});

test("no request with a changed byte is granted, and none ends the service", async () => {
  const der = service.csr({});
  const earlier = service.counts.issued;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      }),
      async (flips) => {
        const changed = der.slice();
        for (const [at, mask] of flips) changed[at] = (changed[at] ?? 0) ^ mask;
        fc.pre(Buffer.compare(changed, der) !== 0);
        assert.notEqual(await service.refusal({ csr: changed }), "issued");
      },
    ),
    { numRuns: 1500 },
  );
  assert.equal(service.counts.issued, earlier);
});

test("whatever a proven request asks for, what is issued names the proven workload and nobody else", async () => {
  const label = fc.stringMatching(/^[a-z*.-]{1,20}$/);
  const asked = fc.oneof(
    fc.constantFrom(dns(DNS), uri(URI)),
    label.map((value) => dns(value)),
    label.map((value) => uri(`spiffe://${value}`)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { maxLength: 4 }), fc.option(label), async (list, commonName) => {
      const isOurs = list.every(({ value }) => value === DNS || value === URI) && commonName === null;
      const content = { names: list, ...(commonName === null ? {} : { commonName }) };
      try {
        const { leafCertificate } = await service.ask({ csr: service.csr(content) });
        assert.ok(isOurs);
        assert.deepEqual(readCertificate(leafCertificate).names, [dns(DNS), uri(URI)]);
      } catch (error) {
        assert.ok(error instanceof RpcFailure);
        assert.ok(!isOurs);
      }
    }),
    { numRuns: 200 },
  );
});

test("a good request is granted: in DER and PEM, with what a proxy writes", async () => {
  const granted: readonly Change[] = [
    {},
    { identity: URI },
    { csr: new TextEncoder().encode(writePem("CERTIFICATE REQUEST", service.csr({}))) },
    { csr: service.csr({ names: [dns(DNS), uri(URI)], commonName: DNS }) },
    { csr: writeRequest(service.leafKeys, {}) },
    extension(ExtensionOid.extendedKeyUsage, extendedKeyUsage([Purpose.serverAuth, Purpose.clientAuth])),
    extension(ExtensionOid.keyUsage, keyUsage([Usage.digitalSignature])),
    extension(ExtensionOid.basicConstraints, basicConstraints({ ca: false, pathLength: undefined })),
    { csr: writeRequest(generateKeyPair("ecdsa-p384-sha384"), { names: [dns(DNS)] }) },
  ];
  for (const change of granted) {
    const response = await service.ask(change);
    const leaf = readCertificate(response.leafCertificate);
    const intermediates = response.intermediateCertificates.map((der) => readCertificate(der));
    assert.equal(verifyChain({ leaf, intermediates, anchors: service.issuer.anchors }, NOW_MS).ok, true);
    assert.equal(leaf.notAfterMs, NOW_MS + 86_400_000);
    assert.equal(response.validUntil?.seconds, BigInt(leaf.notAfterMs / 1000));
  }
});
