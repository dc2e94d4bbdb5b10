/**
 * Join tokens: how a workload of a standalone mesh proves who it is. They have the claims of Kubernetes' bound service
 * account tokens (KEP-1205), so that a token of either kind means the same thing.
 */
import type { KeyObject } from "node:crypto";
import { errors, jwtVerify, SignJWT, type JWTVerifyResult } from "jose";
import { z } from "zod";
import { publicKeyOf } from "@hauberk/crypto/algorithms.ts";
import { sha256 } from "@hauberk/crypto/digest.ts";
import { workloadIdentity, type IdentityDomain } from "../model/identity.ts";
import { vouch, type BoundPod, type VerifiedWorkload } from "./verified.ts";

/** The audience of tokens for the identity service; a token for the API server is not accepted. */
export const JOIN_AUDIENCE = "identity.l5d.io";

/** The issuer that standalone tokens name. */
export const JOIN_ISSUER = "https://identity.hauberk.io";

/** The longest that a token may live: what the projected volume of a Linkerd proxy asks for. */
export const TOKEN_LIFE_MS_MAX = 86_400_000;

/** Most bytes of a token. Kubernetes' own have about 1.2 kB. */
export const TOKEN_BYTES_MAX = 8 * 1024;

/** How far the clocks of minter and verifier may differ. */
export const TOKEN_SKEW_MS = 10_000;

/** A key that signs tokens. */
export interface JoinKey {
  readonly id: string;
  readonly algorithm: "EdDSA" | "ES256";
  readonly privateKey: KeyObject;
}

/** The public half, by which tokens are verified. */
export interface JoinTrust {
  readonly id: string;
  readonly algorithm: "EdDSA" | "ES256";
  readonly publicKey: KeyObject;
}

/** Names a key by its own digest and fixes the one algorithm it is for. `undefined` for other kinds of key. */
export function joinKey(
  privateKey: KeyObject,
): { readonly key: JoinKey; readonly trust: JoinTrust } | undefined {
  const { algorithm: kind, key: publicKey, spki } = publicKeyOf(privateKey);
  const algorithm =
    kind.name === "ed25519" ? "EdDSA" : kind.name === "ecdsa-p256-sha256" ? "ES256" : undefined;
  if (algorithm === undefined) return undefined;
  const id = Buffer.from(sha256(spki)).toString("base64url");
  return { key: { id, algorithm, privateKey }, trust: { id, algorithm, publicKey } };
}

/** When a token is made and how long it lives. */
export interface TokenLife {
  readonly nowMs: number;
  readonly lifeMs: number;
  readonly audience?: string;
}

/** Mints a token for one pod. */
export async function mintJoinToken(key: JoinKey, pod: BoundPod, life: TokenLife): Promise<string> {
  const issuedAt = Math.floor(life.nowMs / 1000);
  return new SignJWT({
    "kubernetes.io": {
      namespace: pod.namespace,
      pod: { name: pod.name, uid: pod.uid },
      serviceaccount: { name: pod.serviceAccount },
    },
  })
    .setProtectedHeader({ alg: key.algorithm, kid: key.id })
    .setIssuer(JOIN_ISSUER)
    .setAudience([life.audience ?? JOIN_AUDIENCE])
    .setSubject(`system:serviceaccount:${pod.namespace}:${pod.serviceAccount}`)
    .setIssuedAt(issuedAt)
    .setNotBefore(issuedAt)
    .setExpirationTime(issuedAt + Math.floor(Math.min(life.lifeMs, TOKEN_LIFE_MS_MAX) / 1000))
    .setJti(globalThis.crypto.randomUUID())
    .sign(key.privateKey);
}

/** Why a token proves nothing. */
export type TokenRefusal =
  | { readonly code: "token_too_large"; readonly bytes: number }
  | { readonly code: "token_malformed" }
  | { readonly code: "token_key_unknown" }
  | { readonly code: "token_signature" }
  | { readonly code: "token_audience" }
  | { readonly code: "token_issuer" }
  | { readonly code: "token_expired" }
  | { readonly code: "token_not_yet_valid" }
  | { readonly code: "token_too_long_lived" }
  | { readonly code: "token_claims"; readonly detail: string }
  | { readonly code: "token_subject_disagrees" }
  | { readonly code: "token_pod_unknown"; readonly pod: string }
  | { readonly code: "token_not_bound" }
  | { readonly code: "proxy_not_known_yet" }
  | { readonly code: "proxy_not_approved"; readonly image: string }
  | { readonly code: "token_rejected"; readonly detail: string }
  | { readonly code: "token_review_failed"; readonly detail: string };

export type TokenVerdict =
  | { readonly ok: true; readonly workload: VerifiedWorkload }
  | { readonly ok: false; readonly refusal: TokenRefusal };

/** What tokens are held against. */
export interface TokenVerifier {
  readonly keys: readonly JoinTrust[];
  readonly domain: IdentityDomain;
  /** Whether a pod of this name, UID and service account exists now: a token dies with its pod. */
  readonly isBound: (pod: BoundPod) => boolean;
}

const Claims = z.object({
  iss: z.string(),
  aud: z.tuple([z.string()]).or(z.string()),
  sub: z.string(),
  iat: z.number().int(),
  nbf: z.number().int(),
  exp: z.number().int(),
  "kubernetes.io": z.object({
    namespace: z.string(),
    pod: z.object({ name: z.string().min(1), uid: z.string().min(1) }),
    serviceaccount: z.object({ name: z.string() }),
  }),
});

/** Names of the protected header that a token of ours can have. Others may change what a signature means. */
const HEADER_NAMES: ReadonlySet<string> = new Set(["alg", "kid", "typ"]);

/** Verifies a token as the identity service received it. Never throws for any bytes. */
export async function verifyJoinToken(
  token: Uint8Array,
  verifier: TokenVerifier,
  nowMs: number,
): Promise<TokenVerdict> {
  if (token.length > TOKEN_BYTES_MAX) return refuse({ code: "token_too_large", bytes: token.length });
  const signed = await verifySignature(Buffer.from(token).toString("latin1").trim(), verifier, nowMs);
  if ("code" in signed) return refuse(signed);
  if (Object.keys(signed.protectedHeader).some((name) => !HEADER_NAMES.has(name))) {
    return refuse({ code: "token_malformed" });
  }
  const parsed = Claims.safeParse(signed.payload);
  if (!parsed.success) return refuse({ code: "token_claims", detail: issues(parsed.error) });
  const claims = parsed.data;
  const lifeMs = (claims.exp - claims.iat) * 1000;
  if (lifeMs > TOKEN_LIFE_MS_MAX) return refuse({ code: "token_too_long_lived" });
  if (claims.iat * 1000 > nowMs + TOKEN_SKEW_MS) return refuse({ code: "token_not_yet_valid" });
  const bound = claims["kubernetes.io"];
  const serviceAccount = { namespace: bound.namespace, name: bound.serviceaccount.name };
  if (claims.sub !== `system:serviceaccount:${serviceAccount.namespace}:${serviceAccount.name}`) {
    return refuse({ code: "token_subject_disagrees" });
  }
  const identity = workloadIdentity(serviceAccount, verifier.domain);
  if (identity === undefined) return refuse({ code: "token_claims", detail: "no such service account name" });
  const pod = { namespace: bound.namespace, ...bound.pod, serviceAccount: serviceAccount.name };
  if (!verifier.isBound(pod)) return refuse({ code: "token_pod_unknown", pod: pod.uid });
  return { ok: true, workload: vouch({ identity, pod }) };
}

/** The sentence that the proxy's log and ours carry. Never a part of the token but the pod's UID. */
export function explainToken(refusal: TokenRefusal): string {
  switch (refusal.code) {
    case "token_too_large":
      return `the token has ${refusal.bytes} bytes`;
    case "token_malformed":
      return "the token is not a signed JWT of the expected form";
    case "token_key_unknown":
      return "the token is signed with a key this mesh does not know";
    case "token_signature":
      return "the token's signature is wrong";
    case "token_audience":
      return `the token is not for the audience ${JOIN_AUDIENCE} alone`;
    case "token_issuer":
      return "the token was issued by someone else";
    case "token_expired":
      return "the token has expired";
    case "token_not_yet_valid":
      return "the token is not valid yet";
    case "token_too_long_lived":
      return "the token lives longer than a day";
    case "token_claims":
      return `the token's claims are not those of a bound token: ${refusal.detail}`;
    case "token_subject_disagrees":
      return "the token's subject is not its service account";
    case "token_pod_unknown":
      return `the token is bound to a pod that does not exist: ${refusal.pod}`;
    case "proxy_not_known_yet":
      return "the kubelet has not said yet which image the pod's proxy is";
    case "proxy_not_approved":
      return `the pod's proxy is no build that is approved: ${refusal.image}`;
    case "token_not_bound":
      return "the token is not bound to a pod";
    case "token_rejected":
      return `the API server does not accept the token: ${refusal.detail}`;
    case "token_review_failed":
      return `the API server could not review the token: ${refusal.detail}`;
  }
}

async function verifySignature(
  token: string,
  { keys }: TokenVerifier,
  nowMs: number,
): Promise<JWTVerifyResult | TokenRefusal> {
  let isKnown = false;
  try {
    return await jwtVerify(
      token,
      ({ kid, alg }) => {
        const key = keys.find((one) => one.id === kid && one.algorithm === alg);
        if (key === undefined) throw new errors.JWSInvalid("unknown key");
        isKnown = true;
        return key.publicKey;
      },
      {
        algorithms: ["EdDSA", "ES256"],
        audience: JOIN_AUDIENCE,
        issuer: JOIN_ISSUER,
        currentDate: new Date(nowMs),
        clockTolerance: TOKEN_SKEW_MS / 1000,
        requiredClaims: ["aud", "exp", "iat", "iss", "nbf", "sub"],
      },
    );
  } catch (error) {
    return classify(error, isKnown);
  }
}

function classify(error: unknown, isKnown: boolean): TokenRefusal {
  if (error instanceof errors.JWTExpired) return { code: "token_expired" };
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "aud") return { code: "token_audience" };
    if (error.claim === "iss") return { code: "token_issuer" };
    if (error.claim === "nbf" && error.reason === "check_failed") return { code: "token_not_yet_valid" };
    return { code: "token_claims", detail: `${error.claim} is ${error.reason}` };
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return { code: "token_signature" };
  if (error instanceof errors.JOSEAlgNotAllowed) return { code: "token_key_unknown" };
  if (error instanceof errors.JWSInvalid && error.message === "unknown key")
    return { code: "token_key_unknown" };
  // Whatever else the library finds wrong with foreign bytes; with a known key it may concern the signature only.
  return { code: isKnown && !(error instanceof errors.JOSEError) ? "token_signature" : "token_malformed" };
}

function issues(error: z.ZodError): string {
  return error.issues.map((issue) => issue.path.join(".")).join(", ");
}

function refuse(refusal: TokenRefusal): TokenVerdict {
  return { ok: false, refusal };
}
