/**
 * Fuzz targets of the control plane: each takes bytes, holds the rules of one parser, and returns what the parser said
 * in few words, so that an input which makes it say something new is kept.
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { readRequest } from "@hauberk/crypto/csr.ts";
import { CompactSign } from "jose";
import { z } from "zod";
import { TimeoutsSchema } from "../api/gen/http_route_pb.ts";
import {
  FailureAccrualSchema,
  GrpcRoute_RetrySchema,
  HttpRoute_RetrySchema,
} from "../api/gen/outbound_pb.ts";
import {
  JOIN_ISSUER,
  joinKey,
  TOKEN_LIFE_MS_MAX,
  TOKEN_SKEW_MS,
  verifyJoinToken,
} from "../identity/token.ts";
import { canonicalIp, formatCidr, formatIp, parseCidr, parseIp } from "../model/address.ts";
import { parseAuthority, serviceName, type Authority } from "../model/authority.ts";
import { parseDurationMs, parseGatewayDurationMs, parseGoDurationMs } from "../model/duration.ts";
import type { Meta } from "../model/meta.ts";
import {
  failureAccrual,
  grpcRetryOf,
  httpRetryOf,
  timeoutsOf,
  trafficPolicy,
} from "../policy/annotations.ts";
import { decode } from "../source/decode/decode.ts";
import type { ManifestObject } from "../source/manifests/document.ts";
import { parseFile } from "../source/manifests/parse.ts";

/** What became of an input: `accepted`, or why not, in few words. */
export interface Answer {
  readonly isAccepted: boolean;
  readonly said: string;
}

export type Target = (bytes: Uint8Array) => Answer | Promise<Answer>;

const CLUSTER_DOMAIN = "cluster.local";

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

/** Digits and quoted words are the input's own. */
function few(message: string): string {
  return message.replaceAll(/"[^"]*"|\d+/g, "_").slice(0, 60);
}

/** The object as JSON would carry it. */
function asJson({ apiVersion, kind, metadata, rest }: ManifestObject): string {
  return JSON.stringify({ apiVersion, kind, metadata, ...rest });
}

/** YAML is read as the same objects as its JSON; decoding an object never throws, and says the same twice. */
function manifest(bytes: Uint8Array): Answer {
  const { documents, problems } = parseFile("fuzz.yaml", textOf(bytes));
  const said = problems.map(({ field, message }) => `${field}: ${few(message)}`);
  for (const { object, lineOf } of documents) {
    const decoded = decode(object);
    const isOk = decoded?.ok === true;
    if (decoded !== undefined) {
      const issues = decoded.ok ? decoded.notes : decoded.issues;
      for (const { path, message } of issues) {
        assert.ok(Number.isInteger(lineOf(path)));
        said.push(
          `${object.kind} ${path.filter((key) => typeof key === "string").join(".")}: ${few(message)}`,
        );
      }
    }
    said.push(`${object.kind} ${decoded === undefined ? "unknown" : isOk ? "ok" : "refused"}`);
    // What JSON cannot carry (NaN, dates) is nothing that an API server would have either.
    const json = asJson(object);
    const [again] = parseFile("fuzz.json", json).documents;
    if (again === undefined || !isDeepStrictEqual(again.object.rest, object.rest)) continue;
    assert.deepEqual(decode(again.object), decoded);
  }
  return { isAccepted: documents.length > 0, said: said.slice(0, 4).join("; ") };
}

/** A request that is accepted is exactly these bytes: none more, none less. */
function csr(bytes: Uint8Array): Answer {
  const verdict = readRequest(bytes);
  if (!verdict.ok) {
    const { refusal } = verdict;
    return { isAccepted: false, said: refusal.code + few("detail" in refusal ? refusal.detail : "") };
  }
  assert.equal(readRequest(bytes.subarray(0, -1)).ok, false);
  assert.equal(readRequest(Buffer.concat([bytes, Buffer.of(0)])).ok, false);
  return { isAccepted: true, said: `accepted ${verdict.request.extensions.length}` };
}

const NO_META: Meta = {
  namespace: "shop",
  name: "web",
  uid: "",
  labels: {},
  annotations: {},
  createdMs: 0,
  isDeleting: false,
  owner: undefined,
};

function duration(text: string): readonly string[] {
  const parsers = { parseDurationMs, parseGoDurationMs, parseGatewayDurationMs };
  return Object.entries(parsers).flatMap(([name, parse]) => {
    const ms = parse(text);
    if (ms === undefined) return [];
    assert.ok(Number.isSafeInteger(ms) && ms >= 0, `${name} reads ${text} as ${ms}`);
    if (ms < 1e10) assert.equal(parseDurationMs(`${ms}ms`), ms);
    return [name];
  });
}

function policyOf(pairs: readonly (readonly [string, string])[]) {
  const meta = { ...NO_META, annotations: Object.fromEntries(pairs) };
  return { policy: trafficPolicy(meta), ...failureAccrual(meta) };
}

/** `name=value` lines. Whatever they say, the policy can be put on the wire, and does not depend on their order. */
function annotations(bytes: Uint8Array): Answer {
  const lines = textOf(bytes)
    .split("\n")
    .map((line) => line.split("=", 2));
  const entries = lines.map(([name = "", value = ""]) => [name, value] as const);
  // Of two lines for one name the last holds, in either order of names.
  const known = Object.entries(Object.fromEntries(entries));
  const { policy, accrual, bad } = policyOf(known);
  assert.deepEqual(policyOf(known.toReversed()), { policy, accrual, bad });
  toBinary(TimeoutsSchema, timeoutsOf(policy, undefined) ?? create(TimeoutsSchema));
  toBinary(HttpRoute_RetrySchema, httpRetryOf(policy, undefined) ?? create(HttpRoute_RetrySchema));
  toBinary(GrpcRoute_RetrySchema, grpcRetryOf(policy) ?? create(GrpcRoute_RetrySchema));
  toBinary(FailureAccrualSchema, accrual ?? create(FailureAccrualSchema));
  const all = [...policy.bad, ...bad].map(({ name }) => `bad ${name}`);
  const durations = entries.flatMap(([, value]) => duration(value));
  return {
    isAccepted: policy.isPresent && all.length === 0,
    said: [...all, ...durations, policy.isPresent, accrual?.kind.case].slice(0, 8).join("; "),
  };
}

function written(authority: Authority): string {
  switch (authority.type) {
    case "ip": {
      const ip = formatIp(authority.ip);
      return `${ip.includes(":") ? `[${ip}]` : ip}:${authority.port}`;
    }
    case "service": {
      const host = serviceName(authority.service, CLUSTER_DOMAIN);
      return `${authority.hostname === undefined ? "" : `${authority.hostname}.`}${host}:${authority.port}`;
    }
    case "foreign":
      return `${authority.host}:${authority.port}`;
  }
}

/** What is read is the same when it is written out and read again. */
function authority(bytes: Uint8Array): Answer {
  const parsed = parseAuthority(textOf(bytes), CLUSTER_DOMAIN);
  if (parsed === undefined) return { isAccepted: false, said: "refused" };
  assert.deepEqual(parseAuthority(written(parsed), CLUSTER_DOMAIN), parsed);
  return {
    isAccepted: true,
    said: `${parsed.type} ${"hostname" in parsed && parsed.hostname !== undefined}`,
  };
}

/** An address has one spelling, and a network is the same when it is written out. */
function address(bytes: Uint8Array): Answer {
  const text = textOf(bytes);
  const ip = parseIp(text);
  const cidr = parseCidr(text);
  if (ip !== undefined) {
    assert.deepEqual(parseIp(formatIp(ip)), ip);
    assert.equal(canonicalIp(formatIp(ip)), canonicalIp(text));
  }
  if (cidr !== undefined) assert.deepEqual(parseCidr(formatCidr(cidr)), cidr);
  return { isAccepted: ip !== undefined || cidr !== undefined, said: `${ip?.family} ${cidr?.prefix}` };
}

const KEY = joinKey(generateKeyPair("ecdsa-p256-sha256").privateKey);
const NOW_MS = 1_800_000_000_000;

/** The claims that a token of these bytes must have had. */
const Believed = z.object({ sub: z.string(), exp: z.number(), iat: z.number(), iss: z.literal(JOIN_ISSUER) });

/**
 * Bytes that are no claims are a token: it proves nothing to somebody whose key did not sign it, whatever it looks like.
 * Claims are signed, and believed only if they are whole, of our issuer, and agree with themselves.
 */
async function token(bytes: Uint8Array): Promise<Answer> {
  if (KEY === undefined) throw new Error("no key for tokens");
  const isClaims = bytes[0] === 0x7b;
  const header = { alg: KEY.key.algorithm, kid: KEY.key.id };
  const given = isClaims
    ? Buffer.from(await new CompactSign(bytes).setProtectedHeader(header).sign(KEY.key.privateKey))
    : bytes;
  const domain = { trustDomain: CLUSTER_DOMAIN, controlPlaneNamespace: "linkerd" };
  const verdict = await verifyJoinToken(given, { keys: [KEY.trust], domain, isBound: () => true }, NOW_MS);
  if (!verdict.ok) {
    const { refusal } = verdict;
    return { isAccepted: false, said: refusal.code + few("detail" in refusal ? refusal.detail : "") };
  }
  assert.ok(isClaims, "a token was believed that nobody signed");
  const claims = Believed.parse(JSON.parse(textOf(bytes)));
  const { namespace, serviceAccount } = verdict.workload.pod;
  assert.equal(claims.sub, `system:serviceaccount:${namespace}:${serviceAccount}`);
  assert.ok(
    (claims.exp - claims.iat) * 1_000 <= TOKEN_LIFE_MS_MAX && claims.exp * 1_000 > NOW_MS - TOKEN_SKEW_MS,
  );
  return { isAccepted: true, said: "believed" };
}

/** All targets, by the name of their corpus. */
export const TARGETS: ReadonlyMap<string, Target> = new Map<string, Target>([
  ["manifest", manifest],
  ["csr", csr],
  ["annotations", annotations],
  ["authority", authority],
  ["address", address],
  ["token", token],
]);
