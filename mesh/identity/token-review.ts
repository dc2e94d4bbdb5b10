/**
 * Service account tokens, proven by the API server (TokenReview, authentication.k8s.io/v1) and held against the pod that
 * they are bound to. The request and the judgement are pure; who asks comes in as an argument.
 */
import { z } from "zod";
import { judgeProxy, type Approval, type RunningContainer } from "./approved.ts";
import { workloadIdentity, type IdentityDomain } from "../model/identity.ts";
import { JOIN_AUDIENCE, TOKEN_BYTES_MAX, type TokenRefusal, type TokenVerdict } from "./token.ts";
import { vouch, type BoundPod } from "./verified.ts";

/** Names in a review's `extra`, as the API server writes them for bound tokens (KEP-1205). */
const POD_NAME = "authentication.kubernetes.io/pod-name";
const POD_UID = "authentication.kubernetes.io/pod-uid";

const USER = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** What the API server is asked. */
export interface TokenReview {
  readonly apiVersion: "authentication.k8s.io/v1";
  readonly kind: "TokenReview";
  readonly spec: { readonly token: string; readonly audiences: readonly string[] };
}

/** The question that proves a token for our own audience, and for no other. */
export function tokenReview(token: string): TokenReview {
  return {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token, audiences: [JOIN_AUDIENCE] },
  };
}

const Answer = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    error: z.string().nullish(),
    audiences: z.array(z.string()).nullish(),
    user: z
      .object({
        username: z.string().nullish(),
        extra: z.record(z.string(), z.array(z.string())).nullish(),
      })
      .nullish(),
  }),
});

/** The pod that a review speaks of, before it was looked at. */
export type Reviewed =
  | { readonly ok: true; readonly pod: BoundPod }
  | { readonly ok: false; readonly refusal: TokenRefusal };

/** Reads the API server's answer: whose token it is, and of which pod. */
export function readReview(answer: unknown): Reviewed {
  const parsed = Answer.safeParse(answer);
  if (!parsed.success) return refuse({ code: "token_review_failed", detail: "the answer is no TokenReview" });
  const { authenticated, error, audiences, user } = parsed.data.status;
  if (!authenticated) return refuse({ code: "token_rejected", detail: shown(error ?? "not authenticated") });
  // A server that does not know of audiences answers without any: then the token may be for the server itself.
  if (audiences?.length !== 1 || audiences[0] !== JOIN_AUDIENCE) return refuse({ code: "token_audience" });
  const [, namespace, serviceAccount] = USER.exec(user?.username ?? "") ?? [];
  if (namespace === undefined || serviceAccount === undefined) {
    return refuse({ code: "token_claims", detail: "the user is not a service account" });
  }
  const name = only(user?.extra?.[POD_NAME]);
  const uid = only(user?.extra?.[POD_UID]);
  if (name === undefined || uid === undefined) return refuse({ code: "token_not_bound" });
  return { ok: true, pod: { namespace, name, uid, serviceAccount } };
}

/** What is known of a pod from the API server itself. */
export interface KnownPod {
  readonly uid: string;
  readonly serviceAccount: string;
  /** Succeeded or Failed: its token outlives it by minutes. */
  readonly isFinished: boolean;
  /** Every container that the pod's status tells of. */
  readonly containers: readonly RunningContainer[];
}

/** Whether the pod is there, is the one of the token, and runs as the account that the token is for. */
export function judgePod(
  pod: BoundPod,
  known: KnownPod | undefined,
  {
    domain,
    approved,
  }: { readonly domain: IdentityDomain; readonly approved: ReadonlySet<string> | undefined },
): TokenVerdict {
  if (known === undefined || known.uid !== pod.uid || known.isFinished) {
    return refuse({ code: "token_pod_unknown", pod: shown(pod.uid) });
  }
  if (known.serviceAccount !== pod.serviceAccount) return refuse({ code: "token_subject_disagrees" });
  const account = { namespace: pod.namespace, name: pod.serviceAccount };
  const refusal = approved === undefined ? undefined : refusalOf(judgeProxy(known.containers, approved));
  if (refusal !== undefined) return refuse(refusal);
  const identity = workloadIdentity(account, domain);
  if (identity === undefined) return refuse({ code: "token_claims", detail: "no such service account name" });
  return { ok: true, workload: vouch({ identity, pod }) };
}

function refusalOf(approval: Approval): TokenRefusal | undefined {
  switch (approval.type) {
    case "approved":
      return undefined;
    case "unknown":
      return { code: "proxy_not_known_yet" };
    case "refused":
      return { code: "proxy_not_approved", image: shown(approval.image) };
  }
}

/** Who asks the API server. */
export interface Reviewer {
  /** Sends a review and gives back the answer's object. Throws if there is none. */
  readonly review: (review: TokenReview, signal: AbortSignal) => Promise<unknown>;
  /** The pod now, not from a cache; `undefined`: there is none of that name. Throws if that cannot be known. */
  readonly pod: (
    pod: { readonly namespace: string; readonly name: string },
    signal: AbortSignal,
  ) => Promise<KnownPod | undefined>;
}

/** What tokens are held against. */
export interface ReviewOptions {
  readonly reviewer: Reviewer;
  readonly domain: IdentityDomain;
  readonly signal: AbortSignal;
  /** Digests of the proxy's builds that get certificates; absent: every build does. Throws if they are not known. */
  readonly approved?: (() => ReadonlySet<string>) | undefined;
}

/** Verifies a token with the API server. What the server does not confirm is refused, an error of its among it. */
export async function verifyByReview(
  token: Uint8Array,
  { reviewer, domain, signal, approved }: ReviewOptions,
): Promise<TokenVerdict> {
  if (token.length > TOKEN_BYTES_MAX) return refuse({ code: "token_too_large", bytes: token.length });
  const text = Buffer.from(token).toString("latin1").trim();
  // Three base64url parts: the API server is not asked about anything else.
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) return refuse({ code: "token_malformed" });
  // Whoever gets a token for two audiences could use it for the other; the review tells of ours alone.
  if (audienceOf(text) !== JOIN_AUDIENCE) return refuse({ code: "token_audience" });
  try {
    const reviewed = readReview(await reviewer.review(tokenReview(text), signal));
    if (!reviewed.ok) return reviewed;
    const known = await reviewer.pod(reviewed.pod, signal);
    return judgePod(reviewed.pod, known, { domain, approved: approved?.() });
  } catch (error) {
    const detail = shown(error instanceof Error ? error.message : String(error));
    return refuse({ code: "token_review_failed", detail });
  }
}

/** The one audience that a token says it is for. Believed only where it refuses: its signature is not looked at here. */
function audienceOf(token: string): string | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    const parsed = z.object({ aud: z.union([z.string(), z.array(z.string())]) }).safeParse(claims);
    const audiences = [parsed.data?.aud ?? []].flat();
    return only(audiences);
  } catch {
    return undefined;
  }
}

function only(values: readonly string[] | undefined): string | undefined {
  return values?.length === 1 && values[0] !== "" ? values[0] : undefined;
}

/** A foreign text as it may stand in a log line: printable and short. A token is never part of one. */
function shown(value: string): string {
  return value
    .replaceAll(/[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/g, "TOKEN")
    .replaceAll(/[^\x20-\x7e]/g, "?")
    .slice(0, 200);
}

function refuse(refusal: TokenRefusal): { readonly ok: false; readonly refusal: TokenRefusal } {
  return { ok: false, refusal };
}
