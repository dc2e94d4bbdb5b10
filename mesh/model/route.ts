/** Routes of the Gateway API and of `policy.linkerd.io`. The default of every field is already filled in. */
import type { Meta } from "./meta.ts";

/** The API group of an HTTPRoute; both may hold one of the same name. */
export type RouteGroup = "gateway.networking.k8s.io" | "policy.linkerd.io";

/** What a route attaches to. The core group is the empty string, however it was written. */
export interface ParentRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly port: number | undefined;
  readonly sectionName: string | undefined;
}

export interface BackendRef<Filter> {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly port: number | undefined;
  readonly weight: number;
  readonly filters: readonly Filter[];
}

/** `*.example.com` is a suffix; anything else is exact. */
export type HostMatch =
  | { readonly type: "exact"; readonly host: string }
  | { readonly type: "suffix"; readonly suffix: string };

export type PathMatch =
  | { readonly type: "Exact"; readonly value: string }
  | { readonly type: "PathPrefix"; readonly value: string }
  | { readonly type: "RegularExpression"; readonly value: string };

export interface ValueMatch {
  readonly type: "Exact" | "RegularExpression";
  readonly name: string;
  readonly value: string;
}

export interface HttpMatch {
  readonly path: PathMatch;
  readonly headers: readonly ValueMatch[];
  readonly queryParams: readonly ValueMatch[];
  readonly method: string | undefined;
}

interface HeaderValue {
  readonly name: string;
  readonly value: string;
}

export interface HeaderModifier {
  readonly add: readonly HeaderValue[];
  readonly set: readonly HeaderValue[];
  readonly remove: readonly string[];
}

export interface Redirect {
  readonly scheme: "http" | "https" | undefined;
  readonly hostname: string | undefined;
  readonly port: number | undefined;
  readonly path:
    | { readonly type: "ReplaceFullPath"; readonly value: string }
    | { readonly type: "ReplacePrefixMatch"; readonly value: string }
    | undefined;
  readonly statusCode: number;
}

export interface Rewrite {
  readonly hostname: string | undefined;
  readonly path: Redirect["path"];
}

/** What other origins may do, as browsers ask for it. */
export interface Cors {
  readonly allowOrigins: readonly string[];
  readonly allowCredentials: boolean;
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeS: number;
}

/** Where a share of the requests is copied to. */
export interface Mirror {
  readonly backend: Omit<BackendRef<never>, "filters" | "weight">;
  readonly numerator: number;
  readonly denominator: number;
}

/** A filter; `Unsupported` is one that we know of, or not, and cannot carry out: its rule must fail closed. */
export type HttpFilter =
  | { readonly type: "RequestHeaderModifier"; readonly modifier: HeaderModifier }
  | { readonly type: "ResponseHeaderModifier"; readonly modifier: HeaderModifier }
  | { readonly type: "RequestRedirect"; readonly redirect: Redirect }
  | { readonly type: "URLRewrite"; readonly rewrite: Rewrite }
  | { readonly type: "CORS"; readonly cors: Cors }
  | { readonly type: "RequestMirror"; readonly mirror: Mirror }
  | { readonly type: "Unsupported"; readonly name: string };

export type GrpcFilter =
  | { readonly type: "RequestHeaderModifier"; readonly modifier: HeaderModifier }
  | { readonly type: "ResponseHeaderModifier"; readonly modifier: HeaderModifier }
  | { readonly type: "RequestMirror"; readonly mirror: Mirror }
  | { readonly type: "Unsupported"; readonly name: string };

interface RouteTimeouts {
  /** From the first byte of the request to the last of the response; 0 is none. */
  readonly requestMs: number | undefined;
  /** For one attempt at one backend; 0 is none. */
  readonly backendRequestMs: number | undefined;
}

/** HTTPRouteRetry: when a rule's requests are tried again. */
export interface RouteRetry {
  /** Statuses, beside connections that break. */
  readonly codes: readonly number[];
  readonly attempts: number;
  readonly backoffMs: number | undefined;
}

/** SessionPersistence: the requests of one client go to the endpoint that had the first. */
export interface SessionPersistence {
  readonly type: "Cookie" | "Header";
  /** Of the cookie or header; none is the mesh's own. */
  readonly name: string | undefined;
  /** 0 is none. */
  readonly absoluteMs: number | undefined;
  readonly idleMs: number | undefined;
  /** Whether the cookie outlives the browser. */
  readonly isPermanent: boolean;
}

export interface HttpRule {
  readonly matches: readonly HttpMatch[];
  readonly filters: readonly HttpFilter[];
  readonly backends: readonly BackendRef<HttpFilter>[];
  readonly timeouts: RouteTimeouts;
  readonly retry: RouteRetry | undefined;
  readonly session: SessionPersistence | undefined;
  /** Parts other than filters that have a meaning which we do not know: the rule must fail closed. */
  readonly unsupported: readonly string[];
}

export interface HttpRoute {
  readonly meta: Meta;
  readonly group: RouteGroup;
  readonly hosts: readonly HostMatch[];
  readonly parents: readonly ParentRef[];
  readonly rules: readonly HttpRule[];
}

/** Absent fields match every service or method. */
export interface GrpcMatch {
  /** How service and method are compared. */
  readonly type: "Exact" | "RegularExpression";
  readonly service: string | undefined;
  readonly method: string | undefined;
  readonly headers: readonly ValueMatch[];
}

export interface GrpcRule {
  readonly matches: readonly GrpcMatch[];
  readonly filters: readonly GrpcFilter[];
  readonly backends: readonly BackendRef<GrpcFilter>[];
  readonly session: SessionPersistence | undefined;
  /** As of an HTTP rule. */
  readonly unsupported: readonly string[];
}

/** A rule for bytes: nothing tells one connection from another, so there is only where they go. */
export interface ByteRule {
  readonly backends: readonly BackendRef<never>[];
}

/** TLS of the application's own, by server name. */
export interface TlsRoute {
  readonly meta: Meta;
  readonly group: "gateway.networking.k8s.io";
  /** Empty: every name. */
  readonly hosts: readonly HostMatch[];
  readonly parents: readonly ParentRef[];
  readonly rules: readonly ByteRule[];
}

/** Bytes. */
export interface TcpRoute {
  readonly meta: Meta;
  readonly group: "gateway.networking.k8s.io";
  readonly parents: readonly ParentRef[];
  readonly rules: readonly ByteRule[];
}

export interface GrpcRoute {
  readonly meta: Meta;
  readonly group: "gateway.networking.k8s.io";
  readonly hosts: readonly HostMatch[];
  readonly parents: readonly ParentRef[];
  readonly rules: readonly GrpcRule[];
}
