/** Authorizations, authentications, limits and faults: what they speak of, and whether it can be. Pure. */
import { workloadIdentity } from "../model/identity.ts";
import { keyOf, type Meta, type NamespacedName } from "../model/meta.ts";
import type { ExternalAuthorization } from "../model/authentication.ts";
import type {
  AuthorizationPolicy,
  FaultInjection,
  MeshTlsAuthentication,
  Server,
  ServerAuthorization,
} from "../model/policy.ts";
import type { LocalRateLimitPolicy, RateLimitPolicy } from "../model/rate_limit.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { InboundContext } from "./authz.ts";
import { error, warning, type Finding } from "./finding.ts";
import { networkFindings } from "./finding_networks.ts";
import { selectorFindings, serverMissing } from "./finding_server.ts";
import { hasRequests } from "./rate_limit.ts";

const SPEC_TARGET = ["spec", "targetRef"] as const;

interface Reference {
  readonly group: string;
  readonly kind: "Server" | "Namespace" | "HTTPRoute" | "GRPCRoute" | "Service";
  readonly name: string;
}

function exists({ group, kind, name }: Reference, namespace: string, snapshot: Snapshot): boolean {
  const key = keyOf({ namespace, name });
  switch (kind) {
    case "Namespace":
      return true;
    case "Server":
      return snapshot.Server.has(key);
    case "Service":
      return snapshot.Service.has(key);
    case "HTTPRoute":
      return snapshot.HTTPRoute.has(`${group}/${key}`);
    case "GRPCRoute":
      return snapshot.GRPCRoute.has(key);
  }
}

/** A target that is not there yet: objects may come in any order, so it is no more than a word. */
function targetMissing(target: Reference, { namespace }: Meta, snapshot: Snapshot): readonly Finding[] {
  if (exists(target, namespace, snapshot)) return [];
  const message = `${target.kind} ${namespace}/${target.name} does not exist yet; until then this has no effect`;
  return [warning([...SPEC_TARGET, "name"], message)];
}

/** A route that does not attach to a Server is none that authorizations or limits could speak of. */
function routeOffServer(target: Reference, { namespace }: Meta, snapshot: Snapshot): readonly Finding[] {
  if (target.kind !== "HTTPRoute" && target.kind !== "GRPCRoute") return [];
  const key = keyOf({ namespace, name: target.name });
  const route =
    target.kind === "HTTPRoute"
      ? snapshot.HTTPRoute.get(`${target.group}/${key}`)
      : snapshot.GRPCRoute.get(key);
  if (route === undefined || route.parents.some(({ kind }) => kind === "Server")) return [];
  const message = `${target.kind} ${key} attaches to no Server; this has no effect`;
  return [warning([...SPEC_TARGET, "name"], message)];
}

/** Where the object lies that a policy requires; `undefined` for kinds that need none. */
function authenticationMissing(
  { kind, namespace, name }: AuthorizationPolicy["required"][number],
  snapshot: Snapshot,
): boolean {
  const key = keyOf({ namespace, name });
  switch (kind) {
    case "ServiceAccount":
    case "Unknown":
      return false;
    case "ExternalAuthorization":
    case "HeaderAuthentication":
    case "JWTAuthentication":
    case "MeshTLSAuthentication":
    case "NetworkAuthentication":
      return !snapshot[kind].has(key);
  }
}

export function policyFindings(policy: AuthorizationPolicy, context: InboundContext): readonly Finding[] {
  const { meta, target, required } = policy;
  const { snapshot, settings } = context;
  const elsewhere =
    target.kind === "Namespace" && target.name !== meta.namespace
      ? [error([...SPEC_TARGET, "name"], `a policy can only target its own Namespace ${meta.namespace}`)]
      : [];
  const references = required.flatMap((reference, at) => {
    const path = ["spec", "requiredAuthenticationRefs", at];
    if (reference.kind === "Unknown")
      return [error([...path, "kind"], `${reference.written} is not a kind of authentication`)];
    if (reference.kind === "ServiceAccount" && workloadIdentity(reference, settings) === undefined)
      return [error([...path, "name"], `ServiceAccount ${keyOf(reference)} can have no identity`)];
    if (!authenticationMissing(reference, snapshot)) return [];
    const message = `${reference.kind} ${keyOf(reference)} does not exist yet; until then the policy admits nobody`;
    return [warning([...path, "name"], message)];
  });
  const missing = targetMissing(target, meta, snapshot);
  return [...elsewhere, ...references, ...missing, ...routeOffServer(target, meta, snapshot)];
}

/** Accounts that no certificate can name. */
function accountFindings(
  accounts: readonly NamespacedName[],
  path: readonly PropertyKey[],
  { settings }: InboundContext,
): readonly Finding[] {
  return accounts.flatMap((account) =>
    workloadIdentity(account, settings) === undefined
      ? [error(path, `ServiceAccount ${keyOf(account)} can have no identity`)]
      : [],
  );
}

export function meshTlsFindings(
  { accounts, namespaces }: MeshTlsAuthentication,
  context: InboundContext,
): readonly Finding[] {
  const path = ["spec", "identityRefs"];
  const names = namespaces.flatMap((namespace) =>
    accountFindings([{ namespace, name: "default" }], path, context).map(() =>
      error(path, `${JSON.stringify(namespace)} is no namespace`),
    ),
  );
  return [...accountFindings(accounts, path, context), ...names];
}

export function serverAuthorizationFindings(
  { meta, server, networks, clients }: ServerAuthorization,
  context: InboundContext,
): readonly Finding[] {
  const { snapshot } = context;
  const path = ["spec", "client", "meshTLS"];
  const who =
    clients.type !== "identities"
      ? []
      : clients.identities.length + clients.accounts.length === 0
        ? [warning(path, "names nobody: it admits no client")]
        : accountFindings(clients.accounts, [...path, "serviceAccounts"], context);
  const speaksOf =
    "name" in server
      ? serverMissing(server.name, {
          namespace: meta.namespace,
          path: ["spec", "server", "name"],
          snapshot,
        })
      : selectorFindings(server.selector, ["spec", "server", "selector"]);
  return [...networkFindings(networks ?? [], ["spec", "client", "networks"]), ...who, ...speaksOf];
}

function withoutRequests({ meta, proxyProtocol }: Server): string {
  return `Server ${meta.name} speaks ${proxyProtocol}, which has no requests to count`;
}

export function localLimitFindings(
  policy: LocalRateLimitPolicy,
  { snapshot, settings }: InboundContext,
): readonly Finding[] {
  const { meta, overrides, totalPerSecond, identityPerSecond } = policy;
  const { namespace } = meta;
  const target = [...SPEC_TARGET, "name"];
  const limitsNothing =
    totalPerSecond === undefined && identityPerSecond === undefined && overrides.length === 0
      ? [warning(["spec"], "limits nothing: give total, identity or overrides")]
      : [];
  const clients = overrides.flatMap(({ accounts }, at) => {
    const path = ["spec", "overrides", at, "clientRefs"];
    if (accounts.length === 0) return [error(path, "names no client")];
    return accountFindings(accounts, path, { snapshot, settings });
  });
  const server = snapshot.Server.get(keyOf({ namespace, name: policy.server }));
  const mute =
    server !== undefined && !hasRequests(server.proxyProtocol)
      ? [warning(target, withoutRequests(server))]
      : [];
  const other = [...snapshot.HTTPLocalRateLimitPolicy.values()].find(
    (one) => one.meta.namespace === namespace && one.server === policy.server && one.meta.name !== meta.name,
  );
  const second =
    other === undefined
      ? []
      : [
          warning(
            target,
            `HTTPLocalRateLimitPolicy ${keyOf(other.meta)} limits this Server; the elder has effect`,
          ),
        ];
  const missing = serverMissing(policy.server, { namespace, path: target, snapshot });
  return [...limitsNothing, ...clients, ...missing, ...mute, ...second];
}

export function limitFindings(policy: RateLimitPolicy, context: InboundContext): readonly Finding[] {
  const { meta, target, limits } = policy;
  const { snapshot } = context;
  const overrides = limits.scope === "Local" ? limits.overrides : [];
  const clients = overrides.flatMap(({ accounts }, at) =>
    accountFindings(accounts, ["spec", "overrides", at, "clientRefs"], context),
  );
  const server =
    target.kind === "Server"
      ? snapshot.Server.get(keyOf({ namespace: meta.namespace, name: target.name }))
      : undefined;
  const mute =
    server !== undefined && !hasRequests(server.proxyProtocol)
      ? [warning([...SPEC_TARGET, "name"], withoutRequests(server))]
      : [];
  return [
    ...clients,
    ...mute,
    ...targetMissing(target, meta, snapshot),
    ...routeOffServer(target, meta, snapshot),
  ];
}

export function faultFindings(
  { meta, target, accounts }: FaultInjection,
  context: InboundContext,
): readonly Finding[] {
  const { snapshot } = context;
  return [
    ...targetMissing(target, meta, snapshot),
    ...accountFindings(accounts, ["spec", "clients"], context),
  ];
}

export function externalFindings(
  { backend }: ExternalAuthorization,
  { snapshot }: InboundContext,
): readonly Finding[] {
  const service = snapshot.Service.get(keyOf(backend));
  const path = ["spec", "backendRef"];
  const until = "until then policies that require this admit nobody";
  if (service === undefined)
    return [warning([...path, "name"], `Service ${keyOf(backend)} does not exist yet; ${until}`)];
  if (service.ports.some(({ port }) => port === backend.port)) return [];
  return [warning([...path, "port"], `Service ${keyOf(backend)} has no port ${backend.port}; ${until}`)];
}
