/** Which rate limits hold at a Server, on the wire. Pure. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { extend } from "../api/extend.ts";
import {
  HttpRateLimitSchema,
  RateLimitExtensionSchema,
  type HttpRateLimit,
} from "../api/gen/hauberk/proxy/v1/inbound_pb.ts";
import { HttpLocalRateLimitSchema, type HttpLocalRateLimit } from "../api/gen/inbound_pb.ts";
import { resourceRef } from "../api/wire.ts";
import { workloadIdentity } from "../model/identity.ts";
import { byAge, type NamespacedName } from "../model/meta.ts";
import type { ProxyProtocol, Server } from "../model/policy.ts";
import type { LocalRateLimitPolicy, Rate, RateLimitPolicy } from "../model/rate_limit.ts";
import type { MeshSettings } from "../model/settings.ts";
import { countSelected, grpcRoutesOf, httpRoutesOf } from "../state/derive.ts";
import type { Snapshot } from "../state/snapshot.ts";

/** Most `HTTPRateLimitPolicy` objects of one Server; a request passes all of them. */
export const POLICIES_MAX = 16;

/** What limits are computed from. */
interface LimitContext {
  readonly snapshot: Snapshot;
  readonly settings: MeshSettings;
}

/** The limits of one Server. */
interface Limits {
  /** As every proxy understands it. */
  readonly linkerd: HttpLocalRateLimit | undefined;
  /** As our own does. */
  readonly extended: readonly HttpRateLimit[];
}

/** Whether requests can be counted at all. */
export function hasRequests(protocol: ProxyProtocol): boolean {
  switch (protocol) {
    case "unknown":
    case "HTTP/1":
    case "HTTP/2":
    case "gRPC":
      return true;
    case "opaque":
    case "TLS":
      return false;
  }
}

/** Linkerd's policies for a Server, the eldest first: it alone has effect, which the others' status says. */
function linkerdPolicies(server: Server, snapshot: Snapshot): readonly LocalRateLimitPolicy[] {
  const { namespace, name } = server.meta;
  return [...snapshot.HTTPLocalRateLimitPolicy.values()]
    .filter((candidate) => candidate.meta.namespace === namespace && candidate.server === name)
    .toSorted(byAge);
}

/** Our own policies for a Server and for the routes attached to it, the eldest first. */
export function policiesOf(server: Server, snapshot: Snapshot): readonly RateLimitPolicy[] {
  if (snapshot.HTTPRateLimitPolicy.size === 0) return [];
  const { namespace, name } = server.meta;
  const parent = { group: "policy.linkerd.io", kind: "Server", namespace, name };
  const routes = new Set([
    ...httpRoutesOf(snapshot, parent).map(({ group, meta }) => `${group}/HTTPRoute/${meta.name}`),
    ...grpcRoutesOf(snapshot, parent).map(({ group, meta }) => `${group}/GRPCRoute/${meta.name}`),
  ]);
  return [...snapshot.HTTPRateLimitPolicy.values()]
    .filter(({ meta, target }) => {
      if (meta.namespace !== namespace) return false;
      if (target.kind === "Server") return target.name === name;
      return routes.has(`${target.group}/${target.kind}/${target.name}`);
    })
    .toSorted(byAge);
}

function identitiesOf(accounts: readonly NamespacedName[], settings: MeshSettings): readonly string[] {
  return accounts.flatMap((account) => {
    const identity = workloadIdentity(account, settings);
    return identity === undefined ? [] : [identity.dnsName];
  });
}

function linkerdLimit(policy: LocalRateLimitPolicy, settings: MeshSettings): HttpLocalRateLimit {
  const { meta, totalPerSecond, identityPerSecond, overrides } = policy;
  const { namespace, name } = meta;
  const group = "policy.linkerd.io";
  return create(HttpLocalRateLimitSchema, {
    metadata: resourceRef({ group, kind: "HTTPLocalRateLimitPolicy", namespace, name }),
    ...(totalPerSecond === undefined ? {} : { total: { requestsPerSecond: totalPerSecond } }),
    ...(identityPerSecond === undefined ? {} : { identity: { requestsPerSecond: identityPerSecond } }),
    overrides: overrides.map(({ perSecond, accounts }) => ({
      limit: { requestsPerSecond: perSecond },
      clients: { identities: identitiesOf(accounts, settings).map((dnsName) => ({ name: dnsName })) },
    })),
  });
}

/** Linkerd's policy where its message has no place for one: at a port whose protocol is gRPC. */
function linkerdAsExtended(policy: LocalRateLimitPolicy, settings: MeshSettings): HttpRateLimit {
  const { meta, totalPerSecond, identityPerSecond, overrides } = policy;
  const { namespace, name } = meta;
  return create(HttpRateLimitSchema, {
    metadata: { group: "policy.linkerd.io", kind: "HTTPLocalRateLimitPolicy", namespace, name },
    ...(totalPerSecond === undefined ? {} : { total: { requestsPerSecond: totalPerSecond } }),
    ...(identityPerSecond === undefined ? {} : { identity: { requestsPerSecond: identityPerSecond } }),
    overrides: overrides.map(({ perSecond, accounts }) => ({
      limit: { requestsPerSecond: perSecond },
      clients: [...identitiesOf(accounts, settings)],
    })),
  });
}

function wireRate({ perSecond, burst }: Rate) {
  return { requestsPerSecond: perSecond, burst };
}

type WireLimits = Exclude<MessageInitShape<typeof HttpRateLimitSchema>, HttpRateLimit>;

function wireLimits(policy: RateLimitPolicy, context: LimitContext): WireLimits {
  const { limits } = policy;
  if (limits.scope === "Cluster") {
    const initialMilliPerSecond = BigInt(initialShare(policy, limits.total.perSecond, context.snapshot));
    return { total: wireRate(limits.total), quota: { key: quotaKey(policy), initialMilliPerSecond } };
  }
  const { total, identity, overrides, header } = limits;
  return {
    ...(total === undefined ? {} : { total: wireRate(total) }),
    ...(identity === undefined ? {} : { identity: wireRate(identity) }),
    overrides: overrides.map(({ rate, accounts }) => ({
      limit: wireRate(rate),
      clients: [...identitiesOf(accounts, context.settings)],
    })),
    ...(header === undefined
      ? {}
      : { header: { name: header.name, limit: wireRate(header.rate), valuesMax: header.valuesMax } }),
  };
}

function extendedLimit(policy: RateLimitPolicy, context: LimitContext): HttpRateLimit {
  const { meta, target } = policy;
  const { namespace, name } = meta;
  return create(HttpRateLimitSchema, {
    metadata: { group: "policy.hauberk.io", kind: "HTTPRateLimitPolicy", namespace, name },
    ...(target.kind === "Server" ? {} : { route: { ...target, namespace } }),
    ...wireLimits(policy, context),
  });
}

/** What a proxy asks the quota service for. */
export function quotaKey({ meta }: RateLimitPolicy): string {
  return `${meta.namespace}/${meta.name}`;
}

/** The Servers that a policy's requests come in by. */
export function serversOfPolicy(policy: RateLimitPolicy, snapshot: Snapshot): readonly Server[] {
  return [...snapshot.Server.values()].filter(
    (server) =>
      server.meta.namespace === policy.meta.namespace && policiesOf(server, snapshot).includes(policy),
  );
}

/**
 * Thousandths of a request per second for a proxy that has not heard of a lease: an even part, so that all of them
 * together keep the limit. The divisor is a power of two: proxies are told anew only when their number doubles.
 */
function initialShare(policy: RateLimitPolicy, perSecond: number, snapshot: Snapshot): number {
  const workloads = serversOfPolicy(policy, snapshot).reduce(
    (sum, server) => sum + countSelected(server, snapshot),
    0,
  );
  return Math.floor((perSecond * 1_000) / 2 ** Math.ceil(Math.log2(Math.max(1, workloads))));
}

/** As much of our policy as Linkerd's proxy can keep: no burst, and the cluster's limit at each server. */
function approximately(policy: RateLimitPolicy, settings: MeshSettings): HttpLocalRateLimit {
  const { meta, limits } = policy;
  const { namespace, name } = meta;
  const { total } = limits;
  const { identity, overrides } = limits.scope === "Local" ? limits : { identity: undefined, overrides: [] };
  const message = create(HttpLocalRateLimitSchema, {
    metadata: resourceRef({ group: "policy.hauberk.io", kind: "HTTPRateLimitPolicy", namespace, name }),
    ...(total === undefined ? {} : { total: { requestsPerSecond: total.perSecond } }),
    ...(identity === undefined ? {} : { identity: { requestsPerSecond: identity.perSecond } }),
    overrides: overrides.map(({ rate, accounts }) => ({
      limit: { requestsPerSecond: rate.perSecond },
      clients: { identities: identitiesOf(accounts, settings).map((dnsName) => ({ name: dnsName })) },
    })),
  });
  return extend(message, RateLimitExtensionSchema, { superseded: true });
}

/** The limits of `server`. */
export function limitsOf(server: Server, context: LimitContext): Limits {
  const { snapshot, settings } = context;
  if (!hasRequests(server.proxyProtocol)) return { linkerd: undefined, extended: [] };
  const own = policiesOf(server, snapshot).slice(0, POLICIES_MAX);
  const extended = own.map((policy) => extendedLimit(policy, context));
  const [linkerd] = linkerdPolicies(server, snapshot);
  if (linkerd !== undefined) {
    return server.proxyProtocol === "gRPC"
      ? { linkerd: undefined, extended: [linkerdAsExtended(linkerd, settings), ...extended] }
      : { linkerd: linkerdLimit(linkerd, settings), extended };
  }
  const ofServer = own.find(({ target }) => target.kind === "Server");
  return { linkerd: ofServer && approximately(ofServer, settings), extended };
}
