/** Who may call what: servers, authorizations, authentications and egress. */
import type { Network } from "./address.ts";
import type { Meta, NamespacedName } from "./meta.ts";
import type { ValueMatch } from "./route.ts";
import type { Selector } from "./selector.ts";

/** What a port does with a connection that no authorization speaks of. */
export const ACCESS_POLICIES = [
  "deny",
  "all-unauthenticated",
  "all-authenticated",
  "cluster-authenticated",
  "cluster-unauthenticated",
  "audit",
] as const;
export type AccessPolicy = (typeof ACCESS_POLICIES)[number];

export const PROXY_PROTOCOLS = ["unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"] as const;
export type ProxyProtocol = (typeof PROXY_PROTOCOLS)[number];

export interface Server {
  readonly meta: Meta;
  readonly of: "Pod" | "ExternalWorkload";
  readonly selector: Selector;
  readonly port: number | string;
  readonly proxyProtocol: ProxyProtocol;
  readonly accessPolicy: AccessPolicy;
}

/** Which clients an authorization lets in, as far as their identity goes. */
export type Clients =
  | { readonly type: "unauthenticated" }
  /** TLS of the mesh, but no client certificate is asked for. */
  | { readonly type: "tls-unauthenticated" }
  | {
      readonly type: "identities";
      readonly identities: readonly string[];
      readonly accounts: readonly NamespacedName[];
    };

export interface ServerAuthorization {
  readonly meta: Meta;
  readonly server: { readonly name: string } | { readonly selector: Selector };
  /** `undefined`: the cluster's networks. */
  readonly networks: readonly Network[] | undefined;
  readonly clients: Clients;
}

type AuthenticationKind =
  | "ExternalAuthorization"
  | "HeaderAuthentication"
  | "JWTAuthentication"
  | "MeshTLSAuthentication"
  | "NetworkAuthentication"
  | "ServiceAccount"
  /** None that the mesh knows: nobody can meet it. */
  | "Unknown";

export interface AuthorizationPolicy {
  readonly meta: Meta;
  readonly target: {
    readonly group: string;
    readonly kind: "Server" | "Namespace" | "HTTPRoute" | "GRPCRoute";
    readonly name: string;
  };
  /** `written` is the group and kind as the object has them. */
  readonly required: readonly (NamespacedName & {
    readonly kind: AuthenticationKind;
    readonly written: string;
  })[];
}

export interface MeshTlsAuthentication {
  readonly meta: Meta;
  /** Exact names, `*`, or `*.suffix`. */
  readonly identities: readonly string[];
  readonly accounts: readonly NamespacedName[];
  /** Every account of these namespaces. */
  readonly namespaces: readonly string[];
}

export interface NetworkAuthentication {
  readonly meta: Meta;
  readonly networks: readonly Network[];
}

/** HTTPFaultInjection of policy.hauberk.io. */
export interface FaultInjection {
  readonly meta: Meta;
  /** In the policy's own namespace. */
  readonly target: {
    readonly group: string;
    readonly kind: "Service" | "HTTPRoute" | "GRPCRoute";
    readonly name: string;
  };
  /** Parts of a million of the requests. */
  readonly sharePpm: number;
  readonly delayMs: number | undefined;
  readonly abort:
    | { readonly httpStatus: number; readonly grpcStatus: number; readonly message: string }
    | undefined;
  /** Unix time; the end is the first moment without the fault. */
  readonly startMs: number;
  readonly endMs: number;
  /** All must match. */
  readonly headers: readonly ValueMatch[];
  /** Clients that meet it; none: all. */
  readonly accounts: readonly NamespacedName[];
}

export interface EgressNetwork {
  readonly meta: Meta;
  readonly trafficPolicy: "Allow" | "Deny";
  /** `undefined`: all that is outside of the cluster's networks. */
  readonly networks: readonly Network[] | undefined;
}
