/** Who may connect: authorizations of servers and routes. Pure. */
import { create } from "@bufbuild/protobuf";
import { AuthnSchema, AuthzSchema, NetworkSchema, type Authn, type Authz } from "../api/gen/inbound_pb.ts";
import { defaultRef, resourceRef, wireNetwork } from "../api/wire.ts";
import type { Cidr, Network } from "../model/address.ts";
import { workloadIdentity } from "../model/identity.ts";
import { compare, keyOf, type Meta, type NamespacedName } from "../model/meta.ts";
import type {
  AccessPolicy,
  AuthorizationPolicy,
  Clients,
  Server,
  ServerAuthorization,
} from "../model/policy.ts";
import { selects } from "../model/selector.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { Snapshot } from "../state/snapshot.ts";

/** Every address: the wire has no other way to say so. */
const EVERYWHERE: readonly Network[] = [
  { cidr: { address: { family: 4, bits: 0n }, prefix: 0 }, except: [] },
  { cidr: { address: { family: 6, bits: 0n }, prefix: 0 }, except: [] },
];

export interface InboundContext {
  readonly snapshot: Snapshot;
  readonly settings: MeshSettings;
}

function wireNetworks(networks: readonly Network[]) {
  return networks.map(({ cidr, except }) =>
    create(NetworkSchema, { net: wireNetwork(cidr), except: except.map(wireNetwork) }),
  );
}

function whole(cidrs: readonly Cidr[]): readonly Network[] {
  return cidrs.map((cidr) => ({ cidr, except: [] }));
}

const UNAUTHENTICATED: Authn = create(AuthnSchema, { permit: { case: "unauthenticated", value: {} } });

const TLS_UNAUTHENTICATED: Authn = create(AuthnSchema, {
  permit: { case: "meshTLS", value: { clients: { case: "unauthenticated", value: {} } } },
});

/** mTLS by one of these: exact names, `*` for all, `*.suffix` for all below. */
function authenticated(patterns: readonly string[]): Authn {
  const identities = patterns.filter((pattern) => !pattern.startsWith("*")).map((name) => ({ name }));
  const suffixes = patterns
    .filter((pattern) => pattern.startsWith("*"))
    .map((pattern) => ({ parts: pattern === "*" ? [] : pattern.slice(2).split(".") }));
  return create(AuthnSchema, {
    permit: { case: "meshTLS", value: { clients: { case: "identities", value: { identities, suffixes } } } },
  });
}

/** The names of accounts; one that has no identity can present none, and is left out. */
function accountNames(accounts: readonly NamespacedName[], settings: MeshSettings): readonly string[] {
  return accounts.flatMap((account) => workloadIdentity(account, settings)?.dnsName ?? []);
}

function authz(meta: Meta, kind: string, networks: readonly Network[], authentication: Authn): Authz {
  const group = "policy.linkerd.io";
  return create(AuthzSchema, {
    networks: wireNetworks(networks),
    authentication,
    labels: { group, kind: kind.toLowerCase(), name: meta.name },
    metadata: resourceRef({ group, kind: kind.toLowerCase(), namespace: meta.namespace, name: meta.name }),
  });
}

/** An authorization that no object made. */
function defaultAuthz(name: string, networks: readonly Network[], authentication: Authn): Authz {
  return create(AuthzSchema, {
    networks: wireNetworks(networks),
    authentication,
    labels: { group: "", kind: "default", name },
    metadata: defaultRef(name),
  });
}

/** What an access policy lets in. `audit` lets all in and is told apart by its name in logs and metrics. */
export function accessAuthz(policy: AccessPolicy, { settings }: InboundContext): readonly Authz[] {
  switch (policy) {
    case "deny":
      return [];
    case "audit":
    case "all-unauthenticated":
      return [defaultAuthz(policy, EVERYWHERE, UNAUTHENTICATED)];
    case "all-authenticated":
      return [defaultAuthz(policy, EVERYWHERE, authenticated(["*"]))];
    case "cluster-unauthenticated":
      return [defaultAuthz(policy, whole(settings.clusterNetworks), UNAUTHENTICATED)];
    case "cluster-authenticated":
      return [defaultAuthz(policy, whole(settings.clusterNetworks), authenticated(["*"]))];
  }
}

/** Probes of the pod itself, from where the node asks. */
export function probeAuthz({ settings }: InboundContext): Authz {
  return defaultAuthz("probe", whole(settings.probeNetworks), UNAUTHENTICATED);
}

/** Why a policy lets nobody in. */
interface PolicyProblem {
  readonly reason: "AuthenticationNotFound";
  readonly message: string;
}

export type ResolvedPolicy =
  | { readonly ok: true; readonly networks: readonly Network[]; readonly authentication: Authn }
  | { readonly ok: false; readonly problem: PolicyProblem };

/** What a policy requires; a requirement that cannot be found is one that nobody meets. */
export function resolvePolicy(
  policy: AuthorizationPolicy,
  { snapshot, settings }: InboundContext,
): ResolvedPolicy {
  let networks = EVERYWHERE;
  let authentication = UNAUTHENTICATED;
  for (const reference of policy.required) {
    const missing = (): ResolvedPolicy => {
      const message = `${reference.kind} ${reference.namespace}/${reference.name} not found`;
      return { ok: false, problem: { reason: "AuthenticationNotFound", message } };
    };
    switch (reference.kind) {
      case "ServiceAccount":
        authentication = authenticated(accountNames([reference], settings));
        break;
      case "NetworkAuthentication": {
        const found = snapshot.NetworkAuthentication.get(keyOf(reference));
        if (found === undefined) return missing();
        networks = found.networks;
        break;
      }
      case "MeshTLSAuthentication": {
        const found = snapshot.MeshTLSAuthentication.get(keyOf(reference));
        if (found === undefined) return missing();
        const { controlPlaneNamespace, trustDomain } = settings;
        const suffix = `serviceaccount.identity.${controlPlaneNamespace}.${trustDomain}`;
        authentication = authenticated([
          ...found.identities,
          ...accountNames(found.accounts, settings),
          ...found.namespaces.map((namespace) => `*.${namespace}.${suffix}`),
        ]);
        break;
      }
    }
  }
  return { ok: true, networks, authentication };
}

/** The authorizations of all policies whose target is `isTarget`, in the order of their names. */
function policiesAuthz(
  namespace: string,
  isTarget: (target: AuthorizationPolicy["target"]) => boolean,
  context: InboundContext,
): readonly Authz[] {
  return [...context.snapshot.AuthorizationPolicy.values()]
    .filter((policy) => policy.meta.namespace === namespace && isTarget(policy.target))
    .toSorted((a, b) => compare(a.meta.name, b.meta.name))
    .flatMap((policy) => {
      const resolved = resolvePolicy(policy, context);
      if (!resolved.ok) return [];
      return [authz(policy.meta, "AuthorizationPolicy", resolved.networks, resolved.authentication)];
    });
}

function authnOf(clients: Clients, settings: MeshSettings): Authn {
  switch (clients.type) {
    case "unauthenticated":
      return UNAUTHENTICATED;
    case "tls-unauthenticated":
      return TLS_UNAUTHENTICATED;
    case "identities":
      return authenticated([...clients.identities, ...accountNames(clients.accounts, settings)]);
  }
}

function speaksOf({ server }: ServerAuthorization, { meta }: Server): boolean {
  return "name" in server ? server.name === meta.name : selects(server.selector, meta.labels);
}

/** Everything that lets clients in at a Server: its access policy, policies on it or its namespace, and the older kind. */
export function serverAuthz(server: Server, context: InboundContext): readonly Authz[] {
  const { settings, snapshot } = context;
  const { namespace, name } = server.meta;
  const policies = policiesAuthz(
    namespace,
    (target) =>
      (target.kind === "Server" && target.name === name) ||
      (target.kind === "Namespace" && target.name === namespace),
    context,
  );
  const older = [...snapshot.ServerAuthorization.values()]
    .filter((authorization) => authorization.meta.namespace === namespace && speaksOf(authorization, server))
    .toSorted((a, b) => compare(a.meta.name, b.meta.name))
    .map(({ meta, networks, clients }) =>
      authz(
        meta,
        "ServerAuthorization",
        networks ?? whole(settings.clusterNetworks),
        authnOf(clients, settings),
      ),
    );
  return [...accessAuthz(server.accessPolicy, context), ...policies, ...older];
}

/** What lets clients in at one route, beside what its Server does. */
export function routeAuthz(
  route: { readonly meta: Meta; readonly group: string },
  kind: "HTTPRoute" | "GRPCRoute",
  context: InboundContext,
): readonly Authz[] {
  return policiesAuthz(
    route.meta.namespace,
    (target) => target.kind === kind && target.group === route.group && target.name === route.meta.name,
    context,
  );
}
