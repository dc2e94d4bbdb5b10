/** Requests that must not be granted, each through the whole service as a proxy would send it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import test, { after, before } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { SignJWT } from "jose";
import { FIPS_ALGORITHMS, generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { readCertificate, verifyChain } from "@hauberk/crypto/certificate.ts";
import { writeRequest, type RequestContent } from "@hauberk/crypto/csr.ts";
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
import { GrpcClient, RpcFailure } from "../api/client.ts";
import { CertifyRequestSchema, Identity, type CertifyResponse } from "../api/gen/identity_pb.ts";
import { serve, type GrpcServer } from "../api/grpc.ts";
import { Methods } from "../api/methods.ts";
import { identityMethods, type IdentityCounts, type RefusalCode } from "./grpc.ts";
import { ANCHOR_LIFE_MS, createAuthority, ISSUER_LIFE_MS, openIssuer, type Issuer } from "./issuer.ts";
import { RateLimit } from "./rate.ts";
import {
  JOIN_AUDIENCE,
  JOIN_ISSUER,
  joinKey,
  mintJoinToken,
  type BoundPod,
  type JoinKey,
  type JoinTrust,
} from "./token.ts";

const NOW_MS = Date.parse("2026-11-21T12:00:00Z");
const NOW_S = NOW_MS / 1000;
const DOMAIN = { trustDomain: "cluster.local", controlPlaneNamespace: "linkerd" };
const POD: BoundPod = { namespace: "shop", name: "web-0", uid: "uid-web-0", serviceAccount: "web" };
const DNS = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const URI = "spiffe://cluster.local/ns/shop/sa/web";

function opened(): Issuer {
  const life = { nowMs: NOW_MS, anchorLifeMs: ANCHOR_LIFE_MS, issuerLifeMs: ISSUER_LIFE_MS };
  const verdict = openIssuer(createAuthority(DOMAIN, life).issuer, NOW_MS);
  assert.ok(verdict.ok);
  return verdict.issuer;
}
const ISSUER = opened();
const ED25519 = generateKeyPairSync("ed25519").privateKey;
const ES256 = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const STRANGER = generateKeyPairSync("ed25519").privateKey;
const KEY = keyed(ED25519);
const OTHER_KEY = keyed(ES256);
const LEAF_KEYS = generateKeyPair("ecdsa-p256-sha256");

function keyed(privateKey: KeyObject): { readonly key: JoinKey; readonly trust: JoinTrust } {
  const pair = joinKey(privateKey);
  assert.ok(pair !== undefined);
  return pair;
}

interface Service {
  readonly server: GrpcServer;
  readonly client: GrpcClient;
  readonly counts: IdentityCounts;
  nowMs: number;
}
let service: Service;

before(async () => {
  const methods = new Methods();
  const clock = { nowMs: NOW_MS };
  const trust = [KEY.trust, OTHER_KEY.trust];
  const counts = identityMethods(methods, {
    issuer: () => ISSUER,
    verifier: () => ({
      keys: trust,
      domain: DOMAIN,
      isBound: (pod) =>
        pod.uid === POD.uid && pod.name === POD.name && pod.serviceAccount === POD.serviceAccount,
    }),
    permitted: FIPS_ALGORITHMS,
    limit: new RateLimit({ burst: 1_000_000, refillMs: 1 }),
    nowMs: () => clock.nowMs,
  });
  const server = await serve(methods, { host: "127.0.0.1", port: 0 });
  const client = new GrpcClient(`http://127.0.0.1:${server.address.port}`);
  service = Object.assign(clock, { server, client, counts });
});

after(async () => {
  service.client.close();
  await service.server.close(0);
});

/** What a case changes in a request that would be granted. */
interface Change {
  readonly identity?: string;
  readonly token?: Uint8Array | string;
  readonly csr?: Uint8Array;
}

async function ask(change: Change): Promise<CertifyResponse> {
  const token = change.token ?? (await mintJoinToken(KEY.key, POD, { nowMs: NOW_MS, lifeMs: 3_600_000 }));
  return service.client.unary(
    Identity.method.certify,
    create(CertifyRequestSchema, {
      identity: change.identity ?? DNS,
      token: typeof token === "string" ? new TextEncoder().encode(token) : token,
      certificateSigningRequest: change.csr ?? csr({}),
    }),
    new AbortController().signal,
  );
}

async function refusal(change: Change): Promise<RefusalCode | "issued"> {
  const earlier = new Map(service.counts.refused);
  try {
    await ask(change);
    return "issued";
  } catch (error) {
    assert.ok(error instanceof RpcFailure, String(error));
    const grown = [...service.counts.refused].find(([code, count]) => count > (earlier.get(code) ?? 0));
    assert.ok(grown !== undefined, error.message);
    return grown[0];
  }
}

function csr(content: RequestContent): Uint8Array {
  return writeRequest(LEAF_KEYS, { names: [{ kind: "dns", value: DNS }], ...content });
}

const dns = (value: string) => ({ kind: "dns", value }) as const;
const uri = (value: string) => ({ kind: "uri", value }) as const;
const names = (...list: readonly (ReturnType<typeof dns> | ReturnType<typeof uri>)[]): Change => ({
  csr: csr({ names: list }),
});
const extension = (name: string, value: Uint8Array): Change => ({
  csr: csr({ extensions: [{ oid: name, critical: false, value }] }),
});
/** A request whose alternative names are arbitrary bytes. */
const rawNames = (...general: readonly Uint8Array[]): Change => ({
  csr: csr({
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

/** A token with claims and header of choice, signed by `key`. */
function forge(
  claims: Record<string, unknown>,
  { key = ED25519, header = {} }: { key?: KeyObject | Uint8Array; header?: Record<string, unknown> } = {},
): Promise<string> {
  const whole = {
    iss: JOIN_ISSUER,
    aud: [JOIN_AUDIENCE],
    sub: "system:serviceaccount:shop:web",
    iat: NOW_S,
    nbf: NOW_S,
    exp: NOW_S + 3600,
    "kubernetes.io": bound({}),
    ...claims,
  };
  return new SignJWT(whole).setProtectedHeader({ alg: "EdDSA", kid: KEY.key.id, ...header }).sign(key);
}

const bound = (change: Record<string, unknown>): Record<string, unknown> => ({
  namespace: "shop",
  pod: { name: POD.name, uid: POD.uid },
  serviceaccount: { name: "web" },
  ...change,
});
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const good = (): Promise<string> => forge({});

/** Each case with the refusal that must meet it. */
const TOKENS: readonly (readonly [string, () => Promise<string | Uint8Array>, RefusalCode])[] = [
  ["nothing", async () => "", "token_malformed"],
  ["no JWT", async () => "not a token", "token_malformed"],
  ["bytes that are not text", async () => Uint8Array.of(0xff, 0, 0x80, 0x2e, 0x2e), "token_malformed"],
  ["two parts", async () => (await good()).split(".").slice(0, 2).join("."), "token_malformed"],
  ["four parts", async () => `${await good()}.x`, "token_malformed"],
  ["9 kB", async () => forge({ filler: "x".repeat(9000) }), "token_too_large"],
  [
    "alg none",
    async () => `${base64({ alg: "none" })}.${(await good()).split(".")[1]}.`,
    "token_key_unknown",
  ],
  [
    "HMAC with the public key as secret",
    async () => {
      const secret = new Uint8Array(KEY.trust.publicKey.export({ format: "der", type: "spki" }));
      return forge({}, { key: secret, header: { alg: "HS256" } });
    },
    "token_key_unknown",
  ],
  ["another key under a known name", () => forge({}, { key: STRANGER }), "token_signature"],
  [
    "another key under its own name",
    () => forge({}, { key: STRANGER, header: { kid: "stranger" } }),
    "token_key_unknown",
  ],
  ["no key name", () => forge({}, { header: { kid: undefined } }), "token_key_unknown"],
  [
    "a known key under another algorithm's name",
    () => forge({}, { key: ES256, header: { alg: "ES256" } }),
    "token_key_unknown",
  ],
  ["an embedded key", () => forge({}, { header: { jwk: { kty: "OKP" } } }), "token_malformed"],
  ["a critical extension", () => forge({}, { header: { b64: true, crit: ["b64"] } }), "token_malformed"],
  [
    "changed claims",
    async () => {
      const [head, , signature] = (await good()).split(".");
      return `${head}.${base64({ sub: "system:serviceaccount:shop:admin" })}.${signature}`;
    },
    "token_signature",
  ],
  ["a cut signature", async () => (await good()).slice(0, -8), "token_signature"],
  ["no signature", async () => `${(await good()).split(".").slice(0, 2).join(".")}.`, "token_signature"],
  ["another audience", () => forge({ aud: ["https://kubernetes.default.svc"] }), "token_audience"],
  ["no audience", () => forge({ aud: undefined }), "token_audience"],
  ["a second audience", () => forge({ aud: [JOIN_AUDIENCE, "other"] }), "token_claims"],
  ["an audience with a suffix", () => forge({ aud: [`${JOIN_AUDIENCE}.evil`] }), "token_audience"],
  ["another issuer", () => forge({ iss: "https://kubernetes.default.svc" }), "token_issuer"],
  ["no issuer", () => forge({ iss: undefined }), "token_issuer"],
  ["expired", () => forge({ iat: NOW_S - 7200, nbf: NOW_S - 7200, exp: NOW_S - 3600 }), "token_expired"],
  ["no expiry", () => forge({ exp: undefined }), "token_claims"],
  ["an expiry that is text", () => forge({ exp: "never" }), "token_claims"],
  ["a life of a year", () => forge({ exp: NOW_S + 31_536_000 }), "token_too_long_lived"],
  ["not valid yet", () => forge({ nbf: NOW_S + 600 }), "token_not_yet_valid"],
  ["issued in the future", () => forge({ iat: NOW_S + 600 }), "token_not_yet_valid"],
  ["no time of issue", () => forge({ iat: undefined }), "token_claims"],
  ["no subject", () => forge({ sub: undefined }), "token_claims"],
  ["a user's subject", () => forge({ sub: "admin" }), "token_subject_disagrees"],
  [
    "another account's subject",
    () => forge({ sub: "system:serviceaccount:shop:admin" }),
    "token_subject_disagrees",
  ],
  [
    "another namespace's subject",
    () => forge({ sub: "system:serviceaccount:bank:web" }),
    "token_subject_disagrees",
  ],
  ["no bound object", () => forge({ "kubernetes.io": undefined }), "token_claims"],
  ["no pod", () => forge({ "kubernetes.io": bound({ pod: undefined }) }), "token_claims"],
  ["a pod without UID", () => forge({ "kubernetes.io": bound({ pod: { name: POD.name } }) }), "token_claims"],
  [
    "an empty UID",
    () => forge({ "kubernetes.io": bound({ pod: { name: POD.name, uid: "" } }) }),
    "token_claims",
  ],
  [
    "a deleted pod",
    () => forge({ "kubernetes.io": bound({ pod: { name: POD.name, uid: "gone" } }) }),
    "token_pod_unknown",
  ],
  [
    "another pod with the UID",
    () => forge({ "kubernetes.io": bound({ pod: { name: "web-1", uid: POD.uid } }) }),
    "token_pod_unknown",
  ],
  [
    "the pod under another account",
    () =>
      forge({
        sub: "system:serviceaccount:shop:admin",
        "kubernetes.io": bound({ serviceaccount: { name: "admin" } }),
      }),
    "token_pod_unknown",
  ],
  [
    "an account that climbs out of its name",
    () =>
      forge({
        sub: "system:serviceaccount:shop:../../bank",
        "kubernetes.io": bound({ serviceaccount: { name: "../../bank" } }),
      }),
    "token_claims",
  ],
  [
    "a namespace with dots",
    () => forge({ sub: "system:serviceaccount:sh.op:web", "kubernetes.io": bound({ namespace: "sh.op" }) }),
    "token_claims",
  ],
];

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
      csr: new TextEncoder().encode(writePem("CERTIFICATE", ISSUER.authority.certificate.der)),
    }),
    "malformed_request",
  ],
  [
    "two requests in PEM",
    () => {
      const pem = writePem("CERTIFICATE REQUEST", csr({}));
      return { csr: new TextEncoder().encode(pem + pem) };
    },
    "malformed_request",
  ],
  ["20 kB", () => ({ csr: new Uint8Array(20_000) }), "too_large"],
  ["trailing bytes", () => ({ csr: Uint8Array.of(...csr({}), 0) }), "malformed"],
  ["a certificate", () => ({ csr: ISSUER.authority.certificate.der }), "malformed"],
  [
    "another key's signature",
    () => ({
      csr: writeRequest(
        { ...LEAF_KEYS, privateKey: generateKeyPair("ecdsa-p256-sha256").privateKey },
        { names: [dns(DNS)] },
      ),
    }),
    "unproven",
  ],
  [
    "no signature",
    () => {
      const whole = csr({});
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
  ["another common name", () => ({ csr: csr({ commonName: "admin" }) }), "foreign_common_name"],
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
      csr: csr({
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

test("the matrix has at least 60 cases, each by its own name", () => {
  const titles = [
    ...TOKENS.map(([title]) => `token: ${title}`),
    ...REQUESTS.map(([title]) => `request: ${title}`),
  ];
  assert.ok(titles.length >= 60, String(titles.length));
  assert.equal(new Set(titles).size, titles.length);
});

for (const [title, make, expected] of TOKENS) {
  test(`a token with ${title} gets no certificate`, async () => {
    assert.equal(await refusal({ token: await make() }), expected);
  });
}

for (const [title, make, expected] of REQUESTS) {
  test(`a request that asks for ${title} gets no certificate`, async () => {
    assert.equal(await refusal(make()), expected);
  });
}

test("nothing was issued by any case", () => {
  assert.equal(service.counts.issued, 0);
  assert.ok(
    [...service.counts.refused.values()].reduce((sum, count) => sum + count, 0) >=
      TOKENS.length + REQUESTS.length,
  );
});

test("no request with a changed byte is granted, and none ends the service", async () => {
  const der = csr({});
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
        assert.notEqual(await refusal({ csr: changed }), "issued");
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
        const { leafCertificate } = await ask({ csr: csr(content) });
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

test("a good request is granted: by either kind of token key, in DER and PEM, with what a proxy writes", async () => {
  const granted: readonly Change[] = [
    {},
    { token: await mintJoinToken(OTHER_KEY.key, POD, { nowMs: NOW_MS, lifeMs: 3_600_000 }) },
    { identity: URI },
    { csr: new TextEncoder().encode(writePem("CERTIFICATE REQUEST", csr({}))) },
    { csr: csr({ names: [dns(DNS), uri(URI)], commonName: DNS }) },
    { csr: writeRequest(LEAF_KEYS, {}) },
    extension(ExtensionOid.extendedKeyUsage, extendedKeyUsage([Purpose.serverAuth, Purpose.clientAuth])),
    extension(ExtensionOid.keyUsage, keyUsage([Usage.digitalSignature])),
    extension(ExtensionOid.basicConstraints, basicConstraints({ ca: false, pathLength: undefined })),
    { csr: writeRequest(generateKeyPair("ecdsa-p384-sha384"), { names: [dns(DNS)] }) },
  ];
  for (const change of granted) {
    const response = await ask(change);
    const leaf = readCertificate(response.leafCertificate);
    const intermediates = response.intermediateCertificates.map((der) => readCertificate(der));
    assert.equal(verifyChain({ leaf, intermediates, anchors: ISSUER.anchors }, NOW_MS).ok, true);
    assert.equal(leaf.notAfterMs, NOW_MS + 86_400_000);
    assert.equal(response.validUntil?.seconds, BigInt(leaf.notAfterMs / 1000));
  }
});
