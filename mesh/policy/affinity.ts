/** Requests that belong together: sessions of rules and services, and keys that services have hashed. Pure. */
import { createHmac } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { extend } from "../api/extend.ts";
import {
  SessionPersistenceSchema,
  type SessionPersistence as WireSession,
} from "../api/gen/hauberk/proxy/v1/affinity_pb.ts";
import {
  BackendExtensionSchema,
  OutboundRuleExtensionSchema,
} from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import type { Backend, GrpcRoute_Rule, HttpRoute_Rule } from "../api/gen/outbound_pb.ts";
import { parseDurationMs } from "../model/duration.ts";
import { keyOf, type Meta, type NamespacedName } from "../model/meta.ts";
import type { SessionPersistence } from "../model/route.ts";
import { ratio, Reader, type BadAnnotation } from "./annotation_reader.ts";

/** RFC 9110 §5.6.2: names of headers, cookies and, here, query parameters. */
const NAME = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,128}$/;

/** Most requests of one endpoint, as a multiple of the mean, where nothing is said. */
const LOAD_FACTOR = 1.25;
const LOAD_FACTOR_MAX = 100;

/** What a service says of its requests that belong together. */
interface ServiceAffinity {
  readonly session: SessionPersistence | undefined;
  readonly hash:
    | {
        readonly key: { readonly case: "header" | "cookie" | "query"; readonly value: string } | SourceIp;
        readonly loadPercent: number;
      }
    | undefined;
  readonly bad: readonly BadAnnotation[];
}

interface SourceIp {
  readonly case: "sourceIp";
  readonly value: true;
}

function named(text: string): readonly [string, string | undefined] {
  const [kind = "", ...rest] = text.split(":");
  return [kind, rest.length === 0 ? undefined : rest.join(":")];
}

function hashKey(text: string): NonNullable<ServiceAffinity["hash"]>["key"] | undefined {
  const [kind, name] = named(text);
  if (kind === "source-ip" && name === undefined) return { case: "sourceIp", value: true };
  if (name === undefined || !NAME.test(name)) return undefined;
  return kind === "header" || kind === "cookie" || kind === "query" ? { case: kind, value: name } : undefined;
}

function carrier(text: string): Pick<SessionPersistence, "type" | "name"> | undefined {
  const [kind, name] = named(text);
  if (name !== undefined && !NAME.test(name)) return undefined;
  if (kind === "cookie") return { type: "Cookie", name };
  return kind === "header" && name !== undefined ? { type: "Header", name } : undefined;
}

/** Reads `hauberk.io/session-*` and `hauberk.io/consistent-hash*`. */
export function affinityOf(meta: Meta): ServiceAffinity {
  const reader = new Reader(meta);
  const key = reader.read("hauberk.io/consistent-hash", hashKey);
  const factor = reader.read("hauberk.io/consistent-hash-load-factor", (text) => {
    const value = ratio(text);
    return value === undefined || value < 1 || value > LOAD_FACTOR_MAX ? undefined : value;
  });
  const kept = reader.read("hauberk.io/session-persistence", carrier);
  const absoluteMs = reader.read("hauberk.io/session-absolute-timeout", parseDurationMs);
  const idleMs = reader.read("hauberk.io/session-idle-timeout", parseDurationMs);
  return {
    session: kept === undefined ? undefined : { ...kept, absoluteMs, idleMs, isPermanent: false },
    hash: key === undefined ? undefined : { key, loadPercent: Math.round((factor ?? LOAD_FACTOR) * 100) },
    bad: reader.bad,
  };
}

/** A service's backend with the key by which it hashes, if it does. */
export function hashing(backend: Backend, service: Meta): Backend {
  const { hash } = affinityOf(service);
  if (hash === undefined) return backend;
  return extend(backend, BackendExtensionSchema, { hash });
}

const SESSION_NAME = "hauberk-session";

/**
 * The session of a rule on a service: its own, or the service's. Each service has its own key, made from the mesh's
 * secret, so that a token means something to it alone and to all proxies alike.
 */
export function sessionFor(
  own: SessionPersistence | undefined,
  service: Meta,
  secret: Uint8Array | undefined,
): WireSession | undefined {
  const session = own ?? affinityOf(service).session;
  if (session === undefined || secret === undefined) return undefined;
  const { type, name = SESSION_NAME, absoluteMs = 0, idleMs = 0, isPermanent } = session;
  return create(SessionPersistenceSchema, {
    carrier: { case: type === "Cookie" ? "cookie" : "header", value: name },
    key: keyFor(service, secret),
    absoluteTimeoutMs: BigInt(absoluteMs),
    idleTimeoutMs: BigInt(idleMs),
    permanent: isPermanent,
  });
}

function keyFor(service: NamespacedName, secret: Uint8Array): Uint8Array {
  return createHmac("sha256", secret)
    .update(`session\0${keyOf(service)}`)
    .digest();
}

/** A rule with its session, if it has one. */
export function withSession<R extends HttpRoute_Rule | GrpcRoute_Rule>(
  rule: R,
  session: WireSession | undefined,
): R {
  return session === undefined ? rule : extend(rule, OutboundRuleExtensionSchema, { session });
}
