/** The identity service with one known pod, for tests: asked over the wire as a proxy asks. */
import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { FIPS_ALGORITHMS, generateKeyPair, type KeyPair } from "@hauberk/crypto/algorithms.ts";
import { writeRequest, type RequestContent } from "@hauberk/crypto/csr.ts";
import { GrpcClient, RpcFailure } from "../api/client.ts";
import { CertifyRequestSchema, Identity, type CertifyResponse } from "../api/gen/identity_pb.ts";
import { serve } from "../api/grpc.ts";
import { Methods } from "../api/methods.ts";
import { identityMethods, type IdentityCounts, type RefusalCode } from "./grpc.ts";
import { ANCHOR_LIFE_MS, createAuthority, ISSUER_LIFE_MS, openIssuer, type Issuer } from "./issuer.ts";
import { RateLimit } from "../api/rate.ts";
import { joinKey, mintJoinToken, verifyJoinToken, type JoinKey, type JoinTrust } from "./token.ts";
import type { BoundPod } from "./verified.ts";

export const NOW_MS = Date.parse("2026-11-21T12:00:00Z");
export const DOMAIN = { trustDomain: "cluster.local", controlPlaneNamespace: "linkerd" };
/** The pod that exists. */
export const POD: BoundPod = { namespace: "shop", name: "web-0", uid: "uid-web-0", serviceAccount: "web" };
/** Its names. */
export const DNS = "web.shop.serviceaccount.identity.linkerd.cluster.local";
export const URI = "spiffe://cluster.local/ns/shop/sa/web";

/** A key of join tokens with both halves at hand. */
export interface TokenKey {
  readonly privateKey: KeyObject;
  readonly key: JoinKey;
  readonly trust: JoinTrust;
}

/** What a case changes in a request that would be granted. */
export interface Change {
  readonly identity?: string;
  readonly token?: Uint8Array | string;
  readonly csr?: Uint8Array;
}

/** A running service. */
export interface TestService {
  readonly issuer: Issuer;
  readonly counts: IdentityCounts;
  /** Keys of tokens it trusts. */
  readonly ed25519: TokenKey;
  readonly es256: TokenKey;
  readonly leafKeys: KeyPair;
  readonly ask: (change: Change) => Promise<CertifyResponse>;
  /** The reason by which a request was refused, or `issued`. */
  readonly refusal: (change: Change) => Promise<RefusalCode | "issued">;
  /** A request that would be granted, but for `content`. */
  readonly csr: (content: RequestContent) => Uint8Array;
  readonly close: () => Promise<void>;
}

/** Starts the service; `limit` is how often one workload may ask. */
export async function startService(
  limit = new RateLimit({ burst: 1_000_000, refillMs: 1 }),
): Promise<TestService> {
  const issuer = newIssuer();
  const ed25519 = tokenKey(generateKeyPairSync("ed25519").privateKey);
  const es256 = tokenKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
  const leafKeys = generateKeyPair("ecdsa-p256-sha256");
  const methods = new Methods();
  const counts = identityMethods(methods, {
    issuer: () => issuer,
    verify: (token, nowMs) =>
      verifyJoinToken(token, { keys: [ed25519.trust, es256.trust], domain: DOMAIN, isBound }, nowMs),
    permitted: FIPS_ALGORITHMS,
    limit,
    nowMs: () => NOW_MS,
  });
  const server = await serve(methods, { host: "127.0.0.1", port: 0 });
  const client = new GrpcClient(`http://127.0.0.1:${server.address.port}`);
  const csr = (content: RequestContent): Uint8Array =>
    writeRequest(leafKeys, { names: [{ kind: "dns", value: DNS }], ...content });
  const ask = async (change: Change): Promise<CertifyResponse> => {
    const token =
      change.token ?? (await mintJoinToken(ed25519.key, POD, { nowMs: NOW_MS, lifeMs: 3_600_000 }));
    const request = create(CertifyRequestSchema, {
      identity: change.identity ?? DNS,
      token: typeof token === "string" ? new TextEncoder().encode(token) : token,
      certificateSigningRequest: change.csr ?? csr({}),
    });
    return client.unary(Identity.method.certify, request, new AbortController().signal);
  };
  const close = async (): Promise<void> => {
    client.close();
    await server.close(0);
  };
  const refusal = (change: Change): Promise<RefusalCode | "issued"> => refusalOf(counts, () => ask(change));
  return { issuer, counts, ed25519, es256, leafKeys, ask, refusal, csr, close };
}

/** A token key of any kind that tokens can be signed with. */
export function tokenKey(privateKey: KeyObject): TokenKey {
  const pair = joinKey(privateKey);
  assert.ok(pair !== undefined);
  return { privateKey, ...pair };
}

/** An issuer with its anchor, valid now. */
export function newIssuer(issuerLifeMs = ISSUER_LIFE_MS): Issuer {
  const life = { nowMs: NOW_MS, anchorLifeMs: ANCHOR_LIFE_MS, issuerLifeMs };
  const verdict = openIssuer(createAuthority(DOMAIN, life).issuer, NOW_MS);
  assert.ok(verdict.ok);
  return verdict.issuer;
}

/** Whether it is the pod that exists. */
export function isBound(pod: BoundPod): boolean {
  return pod.uid === POD.uid && pod.name === POD.name && pod.serviceAccount === POD.serviceAccount;
}

async function refusalOf(
  counts: IdentityCounts,
  ask: () => Promise<unknown>,
): Promise<RefusalCode | "issued"> {
  const earlier = new Map(counts.refused);
  try {
    await ask();
    return "issued";
  } catch (error) {
    assert.ok(error instanceof RpcFailure, String(error));
    const [grown] = [...counts.refused].find(([code, count]) => count > (earlier.get(code) ?? 0)) ?? [];
    assert.ok(grown !== undefined, error.message);
    return grown;
  }
}
