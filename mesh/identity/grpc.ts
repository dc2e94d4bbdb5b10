/** The identity service on the wire: `io.linkerd.proxy.identity.Identity/Certify`. */
import { create } from "@bufbuild/protobuf";
import type { Permitted } from "@hauberk/crypto/algorithms.ts";
import { randomSerial } from "@hauberk/crypto/issue.ts";
import { PemError, readPemOf } from "@hauberk/crypto/pem.ts";
import { TimestampSchema } from "../api/gen/google/protobuf/timestamp/timestamp_pb.ts";
import { CertifyResponseSchema, Identity, type CertifyRequest } from "../api/gen/identity_pb.ts";
import type { Methods } from "../api/methods.ts";
import { Code, RpcError } from "../api/status.ts";
import { certify, explain, type Issued, type Refusal } from "./certify.ts";
import type { Issuer } from "./issuer.ts";
import { RateLimit } from "../api/rate.ts";
import { explainToken, type TokenRefusal, type TokenVerdict } from "./token.ts";
import type { VerifiedWorkload } from "./verified.ts";

/** Requests being decided at once; each holds about 20 KiB and a signature's time. More are told to come again. */
const CONCURRENT_MAX = 256;

/** What the service needs from its process. */
export interface IdentityOptions {
  /** The issuer in use now: a reload takes effect with the next request. */
  readonly issuer: () => Issuer;
  /** Proves who sent a token; may ask others. */
  readonly verify: (token: Uint8Array, nowMs: number, signal: AbortSignal) => Promise<TokenVerdict>;
  readonly lifeMs?: number;
  /** How far before its issuance a leaf begins; `CLOCK_SKEW_MS` if absent. */
  readonly skewMs?: number;
  readonly permitted?: Permitted;
  readonly limit?: RateLimit;
  /** For tests; `Date.now` if absent. */
  readonly nowMs?: () => number;
  /** Hears of every answer, for logs. */
  readonly heard?: (outcome: Outcome) => void;
}

/** One answered request. */
export type Outcome =
  | { readonly type: "issued"; readonly workload: VerifiedWorkload; readonly issued: Issued }
  | { readonly type: "refused"; readonly reason: RefusalCode; readonly message: string };

export type RefusalCode =
  | Refusal["code"]
  | TokenRefusal["code"]
  | "rate_limited"
  | "overloaded"
  | "malformed_request";

/** Counts for metrics: how many were issued, and refused for which reason. Never removed, only added to. */
export interface IdentityCounts {
  issued: number;
  readonly refused: Map<RefusalCode, number>;
}

/** Adds the identity service to a listener's methods; the counts are live. */
export function identityMethods(methods: Methods, options: IdentityOptions): IdentityCounts {
  const counts: IdentityCounts = { issued: 0, refused: new Map() };
  const limit = options.limit ?? new RateLimit();
  let open = 0;
  methods.unary(Identity.method.certify, async (request, signal) => {
    open += 1;
    try {
      const outcome = open > CONCURRENT_MAX ? OVERLOADED : await answer(request, options, { limit, signal });
      options.heard?.(outcome);
      if (outcome.type === "refused") {
        counts.refused.set(outcome.reason, (counts.refused.get(outcome.reason) ?? 0) + 1);
        throw new RpcError(statusOf(outcome.reason), outcome.message);
      }
      counts.issued += 1;
      return respond(outcome.issued);
    } finally {
      open -= 1;
    }
  });
  return counts;
}

const OVERLOADED: Outcome = { type: "refused", reason: "overloaded", message: "too many requests at once" };

async function answer(
  request: CertifyRequest,
  { issuer, verify, nowMs = Date.now, lifeMs, skewMs, permitted }: IdentityOptions,
  { limit, signal }: { readonly limit: RateLimit; readonly signal: AbortSignal },
): Promise<Outcome> {
  const now = nowMs();
  const verdict = await verify(request.token, now, signal);
  if (!verdict.ok) return refused(verdict.refusal.code, explainToken(verdict.refusal));
  const { workload } = verdict;
  // Counted only once proven: nobody can use up another's allowance.
  if (!limit.take(`${workload.identity.spiffeId} ${workload.pod.uid}`, now)) {
    return refused("rate_limited", "this workload asks too often");
  }
  const csr = derOf(request.certificateSigningRequest);
  if (csr === undefined)
    return refused("malformed_request", "the certificate request is not well-formed PEM");
  const decided = certify({ identity: request.identity, csr }, workload, issuer(), {
    nowMs: now,
    serial: randomSerial(),
    ...(lifeMs === undefined ? {} : { lifeMs }),
    ...(skewMs === undefined ? {} : { skewMs }),
    ...(permitted === undefined ? {} : { permitted }),
  });
  if (!decided.ok) return refused(decided.refusal.code, explain(decided.refusal));
  return { type: "issued", workload, issued: decided.issued };
}

function refused(reason: RefusalCode, message: string): Outcome {
  return { type: "refused", reason, message };
}

/** Proxies send DER; the API's own comment says PEM. Both are taken. */
function derOf(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes[0] !== "-".charCodeAt(0)) return bytes;
  try {
    const [first, ...others] = readPemOf(Buffer.from(bytes).toString("latin1"), "CERTIFICATE REQUEST");
    return others.length === 0 ? first : undefined;
  } catch (error) {
    if (error instanceof PemError) return undefined;
    throw error;
  }
}

/** Certificates go out in DER, as the peer's identity service sends them. */
function respond({ leaf, intermediates }: Issued) {
  return create(CertifyResponseSchema, {
    leafCertificate: leaf.der,
    intermediateCertificates: intermediates.map((certificate) => certificate.der),
    validUntil: create(TimestampSchema, { seconds: BigInt(Math.floor(leaf.notAfterMs / 1000)) }),
  });
}

/** A proxy repeats a request that may succeed later, with pauses; it reports one that cannot. */
function statusOf(reason: RefusalCode): Code {
  switch (reason) {
    case "token_too_large":
    case "token_malformed":
    case "token_key_unknown":
    case "token_signature":
    case "token_audience":
    case "token_issuer":
    case "token_expired":
    case "token_not_yet_valid":
    case "token_too_long_lived":
    case "token_claims":
    case "token_subject_disagrees":
    case "token_pod_unknown":
    case "token_not_bound":
    case "token_rejected":
      return Code.Unauthenticated;
    case "identity_not_proven":
      return Code.PermissionDenied;
    case "rate_limited":
    case "overloaded":
      return Code.ResourceExhausted;
    case "issuer_not_valid":
    case "proxy_not_approved":
      return Code.PermissionDenied;
    case "proxy_not_known_yet":
    case "token_review_failed":
      return Code.Unavailable;
    case "malformed_request":
    case "too_large":
    case "malformed":
    case "weak_key":
    case "unproven":
    case "key_not_permitted":
    case "foreign_common_name":
    case "subject_attributes":
    case "foreign_name":
    case "authority_asked":
    case "forbidden_extension":
    case "forbidden_attribute":
      return Code.InvalidArgument;
  }
}
