/** Matches and filters of routes as wire messages; inbound and outbound share them. Pure. */
import { create } from "@bufbuild/protobuf";
import { GrpcRouteMatchSchema, type GrpcRouteMatch } from "../api/gen/grpc_route_pb.ts";
import {
  HostMatchSchema,
  HttpRouteMatchSchema,
  RequestHeaderModifierSchema,
  RequestRedirectSchema,
  ResponseHeaderModifierSchema,
  type HostMatch,
  type HttpRouteMatch,
  type RequestHeaderModifier,
  type RequestRedirect,
  type ResponseHeaderModifier,
} from "../api/gen/http_route_pb.ts";
import { Scheme_Registered } from "../api/gen/http_types_pb.ts";
import { wireMethod } from "../api/wire.ts";
import type {
  GrpcMatch,
  HeaderModifier,
  HostMatch as Host,
  HttpMatch,
  PathMatch,
  Redirect,
  ValueMatch,
} from "../model/route.ts";

const TEXT = new TextEncoder();

export function wireHost(host: Host): HostMatch {
  if (host.type === "exact") return create(HostMatchSchema, { match: { case: "exact", value: host.host } });
  const reverseLabels = host.suffix.split(".").toReversed();
  return create(HostMatchSchema, { match: { case: "suffix", value: { reverseLabels } } });
}

function wirePath({ type, value }: PathMatch) {
  switch (type) {
    case "Exact":
      return { kind: { case: "exact", value } } as const;
    case "PathPrefix":
      return { kind: { case: "prefix", value } } as const;
    case "RegularExpression":
      return { kind: { case: "regex", value } } as const;
  }
}

export function wireHeader({ type, name, value }: ValueMatch) {
  switch (type) {
    case "Exact":
      return { name, value: { case: "exact", value: TEXT.encode(value) } } as const;
    case "RegularExpression":
      return { name, value: { case: "regex", value } } as const;
  }
}

function wireQuery({ type, name, value }: ValueMatch) {
  switch (type) {
    case "Exact":
      return { name, value: { case: "exact", value } } as const;
    case "RegularExpression":
      return { name, value: { case: "regex", value } } as const;
  }
}

export function wireHttpMatch(match: HttpMatch): HttpRouteMatch {
  return create(HttpRouteMatchSchema, {
    path: wirePath(match.path),
    headers: match.headers.map(wireHeader),
    queryParams: match.queryParams.map(wireQuery),
    ...(match.method === undefined ? {} : { method: wireMethod(match.method) }),
  });
}

export function wireGrpcMatch(match: GrpcMatch): GrpcRouteMatch {
  return create(GrpcRouteMatchSchema, {
    rpc: { service: match.service ?? "", method: match.method ?? "" },
    headers: match.headers.map(wireHeader),
  });
}

export function wireHeaders(list: HeaderModifier["add"]) {
  return { headers: list.map(({ name, value }) => ({ name, value: TEXT.encode(value) })) };
}

function modifierFields({ add, set, remove }: HeaderModifier) {
  return { add: wireHeaders(add), set: wireHeaders(set), remove: [...remove] };
}

export function wireRequestModifier(modifier: HeaderModifier): RequestHeaderModifier {
  return create(RequestHeaderModifierSchema, modifierFields(modifier));
}

export function wireResponseModifier(modifier: HeaderModifier): ResponseHeaderModifier {
  return create(ResponseHeaderModifierSchema, modifierFields(modifier));
}

export function wireRedirect({ scheme, hostname, port, path, statusCode }: Redirect): RequestRedirect {
  const registered = scheme === "https" ? Scheme_Registered.HTTPS : Scheme_Registered.HTTP;
  const replace =
    path?.type === "ReplacePrefixMatch"
      ? ({ case: "prefix", value: path.value } as const)
      : ({ case: "full", value: path?.value ?? "" } as const);
  return create(RequestRedirectSchema, {
    ...(scheme === undefined ? {} : { scheme: { type: { case: "registered", value: registered } } }),
    ...(path === undefined ? {} : { path: { replace } }),
    host: hostname ?? "",
    port: port ?? 0,
    status: statusCode,
  });
}

/** The status of requests that meet a route which cannot be carried out as its author wrote it. */
const INVALID_ROUTE_STATUS = 500;

/** gRPC's INTERNAL, for the same. */
const INVALID_ROUTE_CODE = 13;

function methodPattern({ type, service = "", method = "" }: GrpcMatch) {
  return type === "Exact" ? {} : { service, method };
}

/**
 * The expressions among the methods of a gRPC rule, by index of their match; none if there are none. Another proxy takes
 * an expression for a name, and matches less.
 */
export function grpcMethodPatterns(matches: readonly GrpcMatch[]) {
  if (matches.every(({ type }) => type === "Exact")) return undefined;
  return { grpcMethods: matches.map(methodPattern) };
}

/** Fails every request with `message`, which the client sees in `l5d-proxy-error`. */
export function httpFailure(message: string, status: number = INVALID_ROUTE_STATUS) {
  return { kind: { case: "failureInjector", value: { status, message } } } as const;
}

/** The same for gRPC. */
export function grpcFailure(message: string) {
  return { kind: { case: "failureInjector", value: { code: INVALID_ROUTE_CODE, message } } } as const;
}
