/**
 * What a server does with a client and its request: the answer of the control plane, judged as proxies judge it
 * (`proxy/model/src/authorize.rs`). Pure. Every command that speaks of verdicts asks here.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { AuthzExtension } from "../api/gen/hauberk/proxy/v1/inbound_pb.ts";
import type { HeaderCondition } from "../api/gen/hauberk/proxy/v1/authz_pb.ts";
import { ServerOverlaySchema, type ServerOverlay } from "../api/gen/hauberk/proxy/v1/overlay_pb.ts";
import {
  ServerSchema,
  type Authn,
  type Authz,
  type GrpcRoute,
  type HttpRoute,
  type Network as WireNetwork,
  type Server as WireServer,
} from "../api/gen/inbound_pb.ts";
import type { Metadata } from "../api/gen/meta_pb.ts";
import type { IPNetwork } from "../api/gen/net_pb.ts";
import { bitsOfWireIp } from "../api/wire.ts";
import { networkContains, type Cidr, type IpAddress, type Network } from "../model/address.ts";
import { canonicalPath } from "./verdict_path.ts";
import {
  findRule,
  grpcRule,
  httpRule,
  judgesPath,
  spans,
  type AskedRequest,
  type Ruled,
} from "./verdict_match.ts";

/** Who asks. */
export interface AskingClient {
  readonly ip: IpAddress;
  /** `mesh`: mutual TLS with this identity. */
  readonly tls:
    | { readonly type: "none" }
    | { readonly type: "unauthenticated" }
    | { readonly type: "mesh"; readonly identity: string };
}

/** What is asked for, before its path has its one form. */
export type Asked =
  | { readonly type: "request"; readonly request: AskedRequest }
  /** Bytes of a protocol that the proxy does not read. */
  | { readonly type: "bytes" };

/** An object, or a default's name, that a verdict rests on. */
export interface Ground {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** An authorization that was asked and did not let the client in. */
export interface Unmet {
  readonly by: Ground;
  /** Of the route, or of the Server. */
  readonly of: "route" | "server";
  readonly why: string;
}

export type Verdict =
  | {
      readonly type: "allowed";
      readonly by: Ground;
      readonly route: Ground | undefined;
      /** Let in only because the access policy is `audit`. */
      readonly isAudited: boolean;
      /** What else must hold that cannot be judged here: a token, the word of a service. */
      readonly provided: readonly string[];
      readonly unmet: readonly Unmet[];
    }
  | {
      readonly type: "denied";
      readonly reason: "unauthorized" | "route-not-found" | "ambiguous-path" | "not-http";
      readonly route: Ground | undefined;
      readonly unmet: readonly Unmet[];
    };

/** Where the port stands: its Server, or the default. */
export function serverGround({ labels }: WireServer, namespace: string): Ground {
  const { group = "", kind = "default", name = "" } = labels;
  return {
    group,
    kind: kind === "server" ? "Server" : kind,
    namespace: kind === "server" ? namespace : "",
    name,
  };
}

const KINDS: Readonly<Record<string, string>> = {
  authorizationpolicy: "AuthorizationPolicy",
  serverauthorization: "ServerAuthorization",
};

/** The object, or default, that a message's metadata names. */
export function groundOf(metadata: Metadata | undefined): Ground {
  const kind = metadata?.kind;
  switch (kind?.case) {
    case "resource": {
      const { group, namespace, name } = kind.value;
      return { group, kind: KINDS[kind.value.kind] ?? kind.value.kind, namespace, name };
    }
    case "default":
      return { group: "", kind: "default", namespace: "", name: kind.value };
    case undefined:
      return { group: "", kind: "default", namespace: "", name: "" };
  }
}

/** `Kind namespace/name`, or `default:name`. */
export function describeGround({ kind, namespace, name }: Ground): string {
  return kind === "default" ? `default:${name}` : `${kind} ${namespace}/${name}`;
}

function cidrOf(network: IPNetwork | undefined): Cidr | undefined {
  const address = bitsOfWireIp(network?.ip);
  return address === undefined || network === undefined ? undefined : { address, prefix: network.prefixLen };
}

function networkOf({ net, except }: WireNetwork): Network | undefined {
  const cidr = cidrOf(net);
  if (cidr === undefined) return undefined;
  return { cidr, except: except.flatMap((part) => cidrOf(part) ?? []) };
}

/** Whether `identity` has at least one label before the suffix. A SPIFFE ID is no name with labels. */
function hasSuffix(identity: string, parts: readonly string[]): boolean {
  if (parts.length === 0) return true;
  const suffix = `.${parts.join(".")}`.toLowerCase();
  return (
    !identity.includes("://") && identity.length > suffix.length && identity.toLowerCase().endsWith(suffix)
  );
}

function byPatterns(patterns: readonly string[], identity: string): boolean {
  return patterns.some((pattern) => {
    if (pattern === "*") return true;
    return pattern.startsWith("*.") ? hasSuffix(identity, pattern.slice(2).split(".")) : pattern === identity;
  });
}

const NOT_MESHED = "the client brings no mesh TLS";
const NO_IDENTITY = "the client proves no identity";

function authnUnmet(authentication: Authn | undefined, { tls }: AskingClient): string | undefined {
  const permit = authentication?.permit;
  switch (permit?.case) {
    case undefined:
      return "says nothing of clients";
    case "unauthenticated":
      return undefined;
    case "meshTLS": {
      const { clients } = permit.value;
      if (tls.type === "none") return NOT_MESHED;
      if (clients.case === "unauthenticated") return undefined;
      if (tls.type === "unauthenticated") return NO_IDENTITY;
      const { identity } = tls;
      const isNamed =
        clients.case === "identities" &&
        (clients.value.identities.some(({ name }) => name === identity) ||
          clients.value.suffixes.some(({ parts }) => hasSuffix(identity, parts)));
      return isNamed ? undefined : `is not for ${identity}`;
    }
  }
}

function proofUnmet({ proof }: AuthzExtension, { tls }: AskingClient): string | undefined {
  if (proof?.anyone === true) return undefined;
  if (tls.type === "none") return NOT_MESHED;
  if (tls.type === "unauthenticated") return NO_IDENTITY;
  return byPatterns(proof?.identities ?? [], tls.identity) ? undefined : `is not for ${tls.identity}`;
}

function headerHolds({ name, test }: HeaderCondition, headers: AskedRequest["headers"]): boolean {
  const values = headers.get(name) ?? [];
  if (values.length === 0) return test.case === "absent";
  switch (test.case) {
    case "present":
      return true;
    case "absent":
    case undefined:
      return false;
    case "exact":
      return values.every((value) => test.value.values.includes(value));
    case "prefix":
      return values.every((value) => test.value.values.some((prefix) => value.startsWith(prefix)));
    case "regex":
      return values.every((value) => spans(test.value, value));
  }
}

/** An authorization with what its extension says. */
interface Extended {
  readonly authz: Authz;
  readonly extension: AuthzExtension | undefined;
  readonly of: Unmet["of"];
}

const KNOWN = new Set(["headers", "token", "external"]);

/** Why an authorization does not let the client in; else what it still asks for. */
function judgeOne(
  { authz, extension }: Extended,
  client: AskingClient,
  asked: Asked,
): { readonly unmet: string } | { readonly provided: readonly string[] } {
  const networks = authz.networks.flatMap((network) => networkOf(network) ?? []);
  if (!networks.some((network) => networkContains(network, client.ip)))
    return { unmet: "the client's address is in none of its networks" };
  if (extension === undefined) {
    const why = authnUnmet(authz.authentication, client);
    return why === undefined ? { provided: [] } : { unmet: why };
  }
  const why = proofUnmet(extension, client);
  if (why !== undefined) return { unmet: why };
  if (asked.type === "bytes") return { unmet: "it requires what only requests have" };
  const unknown = extension.requires.find((name) => !KNOWN.has(name));
  if (unknown !== undefined) return { unmet: `it requires ${unknown}, which is not known` };
  const header = extension.headers.find((one) => !headerHolds(one, asked.request.headers));
  if (header !== undefined) return { unmet: `header ${header.name} is not as it must be` };
  const { token, external } = extension;
  return {
    provided: [
      ...(token === undefined ? [] : [`JWTAuthentication ${token.name}`]),
      ...(external === undefined ? [] : [`ExternalAuthorization ${external.name}`]),
    ],
  };
}

function authorize(
  candidates: readonly Extended[],
  client: AskingClient,
  { asked, route }: { readonly asked: Asked; readonly route: Ground | undefined },
): Verdict {
  const unmet: Unmet[] = [];
  let audit: Ground | undefined;
  let conditional: { readonly by: Ground; readonly provided: readonly string[] } | undefined;
  for (const candidate of candidates) {
    const by = groundOf(candidate.authz.metadata);
    const judged = judgeOne(candidate, client, asked);
    if ("unmet" in judged) unmet.push({ by, of: candidate.of, why: judged.unmet });
    else if (by.kind === "default" && by.name === "audit") audit ??= by;
    else if (judged.provided.length === 0)
      return { type: "allowed", by, route, isAudited: false, provided: [], unmet };
    else conditional ??= { by, provided: judged.provided };
  }
  if (audit !== undefined && conditional === undefined)
    return { type: "allowed", by: audit, route, isAudited: true, provided: [], unmet };
  if (conditional !== undefined) return { type: "allowed", ...conditional, route, isAudited: false, unmet };
  return { type: "denied", reason: "unauthorized", route, unmet };
}

/** A route of the answer with its authorizations. */
interface RouteOf {
  readonly ground: Ground;
  readonly authorizations: readonly Extended[];
  readonly tellsApart: boolean;
}

function extendedAll(
  authorizations: readonly Authz[],
  overlays: ServerOverlay["authorizations"],
  of: Unmet["of"],
): readonly Extended[] {
  return authorizations.map((authz, at) => ({ authz, extension: overlays[at]?.extension, of }));
}

/** What is served at the port: requests by routes, or bytes. */
type Service =
  | { readonly type: "bytes" }
  | {
      readonly type: "requests";
      readonly routes: readonly Ruled<RouteOf>[];
      readonly judgesPath: boolean;
      /** Whether bytes that are no requests pass. */
      readonly passesBytes: boolean;
    };

function httpService(routes: readonly HttpRoute[], overlay: ServerOverlay, passesBytes: boolean): Service {
  const { detect, http1, http2 } = overlay.protocol ?? {};
  const overlays = detect?.httpRoutes ?? http1?.routes ?? http2?.routes ?? [];
  const ruled = routes.map((route, at): Ruled<RouteOf> => ({
    route: {
      ground: groundOf(route.metadata),
      authorizations: extendedAll(route.authorizations, overlays[at]?.authorizations ?? [], "route"),
      tellsApart:
        route.hosts.length > 0 ||
        route.authorizations.length > 0 ||
        route.rules.some(({ filters, matches }) => filters.length > 0 || matches.some(tellsApart)),
    },
    hosts: route.hosts,
    rules: route.rules.map(httpRule),
  }));
  const isJudged = judgesPath(routes.flatMap(({ rules }) => rules));
  const isPlain = ruled.every(({ route }) => !route.tellsApart);
  return { type: "requests", routes: ruled, judgesPath: isJudged, passesBytes: passesBytes && isPlain };
}

function tellsApart({ path, headers, queryParams, method }: HttpRoute["rules"][number]["matches"][number]) {
  const isAnyPath = path?.kind.case === undefined || (path.kind.case === "prefix" && path.kind.value === "/");
  return !isAnyPath || headers.length > 0 || queryParams.length > 0 || method !== undefined;
}

function grpcService(routes: readonly GrpcRoute[], overlay: ServerOverlay): Service {
  const overlays = overlay.protocol?.grpc?.routes ?? [];
  const ruled = routes.map((route, at): Ruled<RouteOf> => ({
    route: {
      ground: groundOf(route.metadata),
      authorizations: extendedAll(route.authorizations, overlays[at]?.authorizations ?? [], "route"),
      tellsApart: true,
    },
    hosts: route.hosts,
    rules: route.rules.map((rule, index) =>
      grpcRule(rule, overlays[at]?.rules[index]?.extension?.grpcMethods ?? []),
    ),
  }));
  return { type: "requests", routes: ruled, judgesPath: false, passesBytes: false };
}

function serviceOf(server: WireServer, overlay: ServerOverlay): Service {
  const kind = server.protocol?.kind;
  switch (kind?.case) {
    case undefined:
    case "opaque":
    case "tls":
      return { type: "bytes" };
    case "detect": {
      const isLimited =
        kind.value.httpLocalRateLimit !== undefined || (overlay.extension?.rateLimits ?? []).length > 0;
      return httpService(kind.value.httpRoutes, overlay, !isLimited);
    }
    case "http1":
    case "http2":
      return httpService(kind.value.routes, overlay, false);
    case "grpc":
      return grpcService(kind.value.routes, overlay);
  }
}

/** Judges clients and what they ask at a port with this policy. */
export type Judge = (client: AskingClient, asked: Asked) => Verdict;

/** The judge of a port's policy, who has read it once. */
export function judgeOf(server: WireServer): Judge {
  const overlay = fromBinary(ServerOverlaySchema, toBinary(ServerSchema, server));
  const own = extendedAll(server.authorizations, overlay.authorizations, "server");
  const service = serviceOf(server, overlay);
  return (client, asked) => {
    if (service.type === "bytes")
      return authorize(own, client, { asked: { type: "bytes" }, route: undefined });
    if (asked.type === "bytes") {
      if (service.passesBytes) return authorize(own, client, { asked, route: undefined });
      return { type: "denied", reason: "not-http", route: undefined, unmet: [] };
    }
    const path = service.judgesPath ? canonicalPath(asked.request.path) : asked.request.path;
    if (path === undefined) return { type: "denied", reason: "ambiguous-path", route: undefined, unmet: [] };
    const request = { ...asked.request, path };
    const found = findRule(service.routes, request);
    if (found === undefined)
      return { type: "denied", reason: "route-not-found", route: undefined, unmet: [] };
    const { ground, authorizations } = found.route;
    return authorize([...authorizations, ...own], client, {
      asked: { type: "request", request },
      route: ground,
    });
  };
}
