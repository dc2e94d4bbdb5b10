/** Tokens that prove nothing, each sent with a request that would be granted. */
import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import test, { after, before } from "node:test";
import fc from "fast-check";
import { SignJWT } from "jose";
import type { RefusalCode } from "./grpc.ts";
import { NOW_MS, POD, startService, type TestService } from "./service-fixture.ts";
import { JOIN_AUDIENCE, JOIN_ISSUER, mintJoinToken } from "./token.ts";

const NOW_S = NOW_MS / 1000;
const STRANGER = generateKeyPairSync("ed25519").privateKey;
let service: TestService;

before(async () => {
  service = await startService();
});
after(() => service.close());
/** A token with claims and header of choice, signed by `key`. */
function forge(
  claims: Record<string, unknown>,
  {
    key = service.ed25519.privateKey,
    header = {},
  }: { key?: KeyObject | Uint8Array; header?: Record<string, unknown> } = {},
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
  return new SignJWT(whole)
    .setProtectedHeader({ alg: "EdDSA", kid: service.ed25519.key.id, ...header })
    .sign(key);
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
      const secret = new Uint8Array(service.ed25519.trust.publicKey.export({ format: "der", type: "spki" }));
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
    () => forge({}, { key: service.es256.privateKey, header: { alg: "ES256" } }),
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
test("the matrix of tokens has at least 40 cases, each by its own name", () => {
  assert.ok(TOKENS.length >= 40, String(TOKENS.length));
  assert.equal(new Set(TOKENS.map(([title]) => title)).size, TOKENS.length);
});

for (const [title, make, expected] of TOKENS) {
  test(`a token with ${title} gets no certificate`, async () => {
    assert.equal(await service.refusal({ token: await make() }), expected);
  });
}

test("no token with a changed character proves anything", async () => {
  const token = await good();
  await fc.assert(
    fc.asyncProperty(fc.nat(token.length - 1), fc.integer({ min: 0x20, max: 0x7e }), async (at, code) => {
      const changed = token.slice(0, at) + String.fromCharCode(code) + token.slice(at + 1);
      // The last character of a part carries bits that base64 drops; then the token is the same.
      fc.pre(!isSame(changed, token));
      assert.notEqual(await service.refusal({ token: changed }), "issued");
    }),
    { numRuns: 500 },
  );
});

test("nothing was issued by any case", () => {
  assert.equal(service.counts.issued, 0);
});

test("a token of either kind of key proves its pod", async () => {
  for (const { key } of [service.ed25519, service.es256]) {
    const token = await mintJoinToken(key, POD, { nowMs: NOW_MS, lifeMs: 3_600_000 });
    assert.equal(await service.refusal({ token }), "issued");
  }
});

function isSame(one: string, two: string): boolean {
  return decoded(one) === decoded(two);
}

function decoded(token: string): string {
  const parts = token.split(".").map((part) => Buffer.from(part, "base64url").toString("hex"));
  return parts.join(".");
}
