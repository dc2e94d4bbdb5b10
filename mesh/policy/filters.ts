/**
 * Filters as wire messages. Those that the linkerd2-proxy-api has no message for are extensions; beside each stands what
 * a peer without it does instead: it fails the request, or where that lets nothing through, it does nothing. Pure.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { extend } from "../api/extend.ts";
import { ExtendedFilterSchema, type ExtendedFilter } from "../api/gen/hauberk/proxy/v1/filters_pb.ts";
import { InboundFilterExtensionSchema } from "../api/gen/hauberk/proxy/v1/inbound_pb.ts";
import { OutboundFilterExtensionSchema } from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import {
  GrpcRoute_FilterSchema as InboundGrpcSchema,
  HttpRoute_FilterSchema as InboundHttpSchema,
  type GrpcRoute_Filter as InboundGrpc,
  type HttpRoute_Filter as InboundHttp,
} from "../api/gen/inbound_pb.ts";
import {
  BackendSchema,
  GrpcRoute_FilterSchema as OutboundGrpcSchema,
  HttpRoute_FilterSchema as OutboundHttpSchema,
  type GrpcRoute_Filter as OutboundGrpc,
  type HttpRoute_Filter as OutboundHttp,
} from "../api/gen/outbound_pb.ts";
import type { Cors, GrpcFilter, HeaderModifier, HttpFilter, Mirror, Rewrite } from "../model/route.ts";
import {
  grpcFailure,
  httpFailure,
  wireHeaders,
  wireRedirect,
  wireRequestModifier,
  wireResponseModifier,
} from "./match.ts";
import type { Parent } from "./parent.ts";

/** The parts of a rule that its filters depend on. */
interface Filtered<F> {
  readonly filters: readonly F[];
  readonly unsupported?: readonly string[];
}

const NOTHING = { kind: { case: "requestHeaderModifier", value: {} } } as const;

/** The extension that a filter is, and whether a peer without it must fail the request. */
interface Extension {
  readonly filter: ExtendedFilter;
  readonly orElse: "fail" | "pass";
}

function responseHeaders({ set, add, remove }: HeaderModifier): ExtendedFilter {
  const value = { set: wireHeaders(set).headers, add: wireHeaders(add).headers, remove: [...remove] };
  return create(ExtendedFilterSchema, { kind: { case: "responseHeaders", value } });
}

function newPath(path: Rewrite["path"]) {
  switch (path?.type) {
    case undefined:
      return { case: undefined } as const;
    case "ReplaceFullPath":
      return { case: "full", value: path?.value ?? "" } as const;
    case "ReplacePrefixMatch":
      return { case: "prefix", value: path?.value ?? "" } as const;
  }
}

function cors({ maxAgeS, ...filter }: Cors): ExtendedFilter {
  const { allowOrigins, allowCredentials, allowMethods, allowHeaders, exposeHeaders } = filter;
  const value = {
    allowOrigins: [...allowOrigins],
    allowCredentials,
    allowMethods: [...allowMethods],
    allowHeaders: [...allowHeaders],
    exposeHeaders: [...exposeHeaders],
    maxAgeSeconds: maxAgeS,
  };
  return create(ExtendedFilterSchema, { kind: { case: "cors", value } });
}

/** Where a mirror's copies go. A backend that cannot be resolved gets none (`HTTPRequestMirrorFilter.backendRef`). */
type Resolve = Parent["resolve"];

function mirrorOf({ backend, numerator, denominator }: Mirror, resolve: Resolve): ExtendedFilter | undefined {
  const resolved = resolve(backend);
  if (resolved.problem !== undefined) return undefined;
  const value = { backend: toBinary(BackendSchema, resolved.backend), numerator, denominator };
  return create(ExtendedFilterSchema, { kind: { case: "mirror", value } });
}

/** Mirrors whose backend is not there are no filters. */
function isWithout(filter: HttpFilter | GrpcFilter, resolve: Resolve): boolean {
  return filter.type === "RequestMirror" && resolve(filter.mirror.backend).problem !== undefined;
}

function extensionOf(filter: HttpFilter | GrpcFilter, resolve?: Resolve): Extension | undefined {
  switch (filter.type) {
    case "ResponseHeaderModifier":
      return { filter: responseHeaders(filter.modifier), orElse: "fail" };
    case "URLRewrite": {
      const { hostname = "", path } = filter.rewrite;
      const value = { hostname, path: newPath(path) };
      return {
        filter: create(ExtendedFilterSchema, { kind: { case: "urlRewrite", value } }),
        orElse: "fail",
      };
    }
    case "CORS":
      // Without it a browser shows no page of another origin the response.
      return { filter: cors(filter.cors), orElse: "pass" };
    case "RequestMirror": {
      const mirror = resolve === undefined ? undefined : mirrorOf(filter.mirror, resolve);
      return mirror === undefined ? undefined : { filter: mirror, orElse: "pass" };
    }
    case "RequestHeaderModifier":
    case "RequestRedirect":
    case "Unsupported":
      return undefined;
  }
}

function reasonOf(filter: HttpFilter | GrpcFilter): string {
  return `filter ${filter.type === "Unsupported" ? filter.name : filter.type} is not supported`;
}

function outboundHttp(filter: HttpFilter, resolve: Resolve): OutboundHttp {
  if (filter.type === "RequestHeaderModifier") {
    const value = wireRequestModifier(filter.modifier);
    return create(OutboundHttpSchema, { kind: { case: "requestHeaderModifier", value } });
  }
  if (filter.type === "ResponseHeaderModifier") {
    const value = wireResponseModifier(filter.modifier);
    return create(OutboundHttpSchema, { kind: { case: "responseHeaderModifier", value } });
  }
  if (filter.type === "RequestRedirect")
    return create(OutboundHttpSchema, { kind: { case: "redirect", value: wireRedirect(filter.redirect) } });
  const extension = extensionOf(filter, resolve);
  if (extension === undefined) return create(OutboundHttpSchema, httpFailure(reasonOf(filter)));
  const instead = extension.orElse === "pass" ? NOTHING : httpFailure(reasonOf(filter));
  return extend(create(OutboundHttpSchema, instead), OutboundFilterExtensionSchema, {
    filter: extension.filter,
  });
}

function outboundGrpc(filter: GrpcFilter, resolve: Resolve): OutboundGrpc {
  if (filter.type === "RequestHeaderModifier") {
    const value = wireRequestModifier(filter.modifier);
    return create(OutboundGrpcSchema, { kind: { case: "requestHeaderModifier", value } });
  }
  const extension = extensionOf(filter, resolve);
  if (extension === undefined) return create(OutboundGrpcSchema, grpcFailure(reasonOf(filter)));
  const instead = extension.orElse === "pass" ? NOTHING : grpcFailure(reasonOf(filter));
  return extend(create(OutboundGrpcSchema, instead), OutboundFilterExtensionSchema, {
    filter: extension.filter,
  });
}

function inboundHttp(filter: HttpFilter): InboundHttp {
  if (filter.type === "RequestHeaderModifier") {
    const value = wireRequestModifier(filter.modifier);
    return create(InboundHttpSchema, { kind: { case: "requestHeaderModifier", value } });
  }
  if (filter.type === "RequestRedirect")
    return create(InboundHttpSchema, { kind: { case: "redirect", value: wireRedirect(filter.redirect) } });
  const extension = extensionOf(filter);
  if (extension === undefined) return create(InboundHttpSchema, httpFailure(reasonOf(filter)));
  const instead = extension.orElse === "pass" ? NOTHING : httpFailure(reasonOf(filter));
  return extend(create(InboundHttpSchema, instead), InboundFilterExtensionSchema, {
    filter: extension.filter,
  });
}

function inboundGrpc(filter: GrpcFilter): InboundGrpc {
  if (filter.type === "RequestHeaderModifier") {
    const value = wireRequestModifier(filter.modifier);
    return create(InboundGrpcSchema, { kind: { case: "requestHeaderModifier", value } });
  }
  const extension = extensionOf(filter);
  if (extension === undefined) return create(InboundGrpcSchema, grpcFailure(reasonOf(filter)));
  const instead = extension.orElse === "pass" ? NOTHING : grpcFailure(reasonOf(filter));
  return extend(create(InboundGrpcSchema, instead), InboundFilterExtensionSchema, {
    filter: extension.filter,
  });
}

/** Whether a rule cannot be carried out as its author wrote it. Then it takes no request anywhere. */
export function isBroken({ filters, unsupported = [] }: Filtered<HttpFilter | GrpcFilter>): boolean {
  return unsupported.length > 0 || filters.some(({ type }) => type === "Unsupported");
}

/** One part that fails stands for all: what else the rule would have done must not be half done. */
function whole<F extends HttpFilter | GrpcFilter>({ filters, unsupported = [] }: Filtered<F>): readonly F[] {
  const [name] = unsupported;
  if (name !== undefined) return [];
  const broken = filters.find(({ type }) => type === "Unsupported");
  return broken === undefined ? filters : [broken];
}

function notUnderstood({ unsupported = [] }: Filtered<unknown>): string | undefined {
  const [name] = unsupported;
  return name === undefined ? undefined : `${name} is not supported`;
}

/** The filters of an HTTP rule or backend reference of a client, after the faults for it. */
export function outboundHttpFilters(
  rule: Filtered<HttpFilter>,
  { resolve }: Pick<Parent, "resolve">,
  faults: readonly ExtendedFilter[] = [],
): OutboundHttp[] {
  const reason = notUnderstood(rule);
  if (reason !== undefined) return [create(OutboundHttpSchema, httpFailure(reason))];
  const injected = faults.map((filter) =>
    extend(create(OutboundHttpSchema, NOTHING), OutboundFilterExtensionSchema, { filter }),
  );
  const filters = whole(rule).filter((filter) => !isWithout(filter, resolve));
  return [...injected, ...filters.map((filter) => outboundHttp(filter, resolve))];
}

/** Those of a gRPC rule or backend reference of a client. */
export function outboundGrpcFilters(
  rule: Filtered<GrpcFilter>,
  { resolve }: Pick<Parent, "resolve">,
  faults: readonly ExtendedFilter[] = [],
): OutboundGrpc[] {
  const reason = notUnderstood(rule);
  if (reason !== undefined) return [create(OutboundGrpcSchema, grpcFailure(reason))];
  const injected = faults.map((filter) =>
    extend(create(OutboundGrpcSchema, NOTHING), OutboundFilterExtensionSchema, { filter }),
  );
  const filters = whole(rule).filter((filter) => !isWithout(filter, resolve));
  return [...injected, ...filters.map((filter) => outboundGrpc(filter, resolve))];
}

/** What a Server's rule cannot have carried out, though a Service's can. */
export function isOutboundOnly({ type }: HttpFilter | GrpcFilter): boolean {
  return type === "RequestMirror";
}

/** Those of an HTTP rule of a Server. */
export function inboundHttpFilters(rule: Filtered<HttpFilter>): InboundHttp[] {
  const reason = notUnderstood(rule);
  if (reason !== undefined) return [create(InboundHttpSchema, httpFailure(reason))];
  return whole(rule).map(inboundHttp);
}

/** Those of a gRPC rule of a Server. */
export function inboundGrpcFilters(rule: Filtered<GrpcFilter>): InboundGrpc[] {
  const reason = notUnderstood(rule);
  if (reason !== undefined) return [create(InboundGrpcSchema, grpcFailure(reason))];
  return whole(rule).map(inboundGrpc);
}
