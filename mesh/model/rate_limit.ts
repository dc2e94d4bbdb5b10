/** How many requests a server takes: Linkerd's kind, and ours which extends it. */
import type { Meta, NamespacedName } from "./meta.ts";

/** `HTTPLocalRateLimitPolicy` of `policy.linkerd.io`. */
export interface LocalRateLimitPolicy {
  readonly meta: Meta;
  /** Name of the Server, in the same namespace. */
  readonly server: string;
  readonly totalPerSecond: number | undefined;
  readonly identityPerSecond: number | undefined;
  readonly overrides: readonly { readonly perSecond: number; readonly accounts: readonly NamespacedName[] }[];
}

/** Tokens come at `perSecond`; `burst` of them are kept at most. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What a policy attaches to, in its own namespace. A route is one that attaches to a Server. */
export interface RateLimitTarget {
  readonly group: string;
  readonly kind: "Server" | "HTTPRoute" | "GRPCRoute";
  readonly name: string;
}

/** What each proxy counts by itself. */
export interface LocalLimits {
  readonly scope: "Local";
  readonly total: Rate | undefined;
  readonly identity: Rate | undefined;
  readonly overrides: readonly { readonly rate: Rate; readonly accounts: readonly NamespacedName[] }[];
  readonly header: { readonly name: string; readonly rate: Rate; readonly valuesMax: number } | undefined;
}

/** What all proxies together admit, by shares that the control plane leases to them. */
export interface ClusterLimits {
  readonly scope: "Cluster";
  readonly total: Rate;
}

/** `HTTPRateLimitPolicy` of `policy.hauberk.io`. */
export interface RateLimitPolicy {
  readonly meta: Meta;
  readonly target: RateLimitTarget;
  readonly limits: LocalLimits | ClusterLimits;
}
