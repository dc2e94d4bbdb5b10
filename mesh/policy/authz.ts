/** Who may connect: authorizations of servers and routes. Pure. */
import { create } from "@bufbuild/protobuf";
import { AuthnSchema, AuthzSchema, NetworkSchema, type Authn, type Authz } from "../api/gen/inbound_pb.ts";
import { defaultRef, resourceRef, wireNetwork } from "../api/wire.ts";
import { parseCidr, type Cidr, type Network } from "../model/address.ts";
import type { ExternalAuthorization, JwtAuthentication, VerificationKey } from "../model/authentication.ts";
import { serviceName } from "../model/authority.ts";
import { workloadIdentity } from "../model/identity.ts";
import { keyOfLocation, type KeySets } from "../model/jwks.ts";
import { compare, keyOf, type Meta, type NamespacedName } from "../model/meta.ts";
import type {
  AccessPolicy,
  AuthorizationPolicy,
  Clients,
  MeshTlsAuthentication,
  Server,
  ServerAuthorization,
} from "../model/policy.ts";
import { selects } from "../model/selector.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { Snapshot } from "../state/snapshot.ts";
import {
  externalCheck,
  headerConditions,
  NO_REQUIREMENTS,
  tokenRequirement,
  withRequirements,
  type Proof,
  type Requirements,
} from "./requirement.ts";

/** Every address: the wire has no other way to say so. */
const EVERYWHERE: readonly Network[] = [
  { cidr: { address: { family: 4, bits: 0n }, prefix: 0 }, except: [] },
  { cidr: { address: { family: 6, bits: 0n }, prefix: 0 }, except: [] },
];

export interface InboundContext {
  readonly snapshot: Snapshot;
  readonly settings: MeshSettings;
  /** Keys that were fetched, by `keyOfLocation`. */
  readonly keySets?: KeySets;
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

/** Probes of the pod itself, from where its kubelet asks: nobody else has to see what they show. */
export function probeAuthz(kubelet: readonly string[], { settings }: InboundContext): Authz {
  const networks = settings.probeNetworks ?? kubelet.flatMap((ip) => parseCidr(ip) ?? []);
  return defaultAuthz("probe", whole(networks), UNAUTHENTICATED);
}

/** Why a policy lets nobody in. */
interface PolicyProblem {
  readonly reason: "AuthenticationNotFound" | "UnknownAuthentication" | "KeysUnavailable" | "BackendNotFound";
  readonly message: string;
}

export type ResolvedPolicy =
  | {
      readonly ok: true;
      readonly networks: readonly Network[];
      readonly proof: Proof;
      readonly requirements: Requirements;
    }
  | { readonly ok: false; readonly problem: PolicyProblem };

/** The identities that a MeshTLSAuthentication names. */
function patternsOf(found: MeshTlsAuthentication, settings: MeshSettings): readonly string[] {
  const suffix = `serviceaccount.identity.${settings.controlPlaneNamespace}.${settings.trustDomain}`;
  return [
    ...found.identities,
    ...accountNames(found.accounts, settings),
    ...found.namespaces.map((namespace) => `*.${namespace}.${suffix}`),
  ];
}

/** The keys of an issuer; `undefined` while they could not be fetched yet. */
function keysOf(
  { keys }: JwtAuthentication,
  { keySets }: InboundContext,
): readonly VerificationKey[] | undefined {
  return keys.type === "inline" ? keys.keys : keySets?.get(keyOfLocation(keys))?.keys;
}

/** Where the service is reached that is to be asked. */
function addressOf({ backend }: ExternalAuthorization, { snapshot, settings }: InboundContext) {
  const service = snapshot.Service.get(keyOf(backend));
  const [ip] = service?.clusterIps ?? [];
  if (ip === undefined || service?.ports.some(({ port }) => port === backend.port) !== true) return undefined;
  return {
    address: ip.includes(":") ? `[${ip}]:${backend.port}` : `${ip}:${backend.port}`,
    authority: `${serviceName(backend, settings.clusterDomain)}:${backend.port}`,
  };
}

function refuse(reason: PolicyProblem["reason"], message: string): ResolvedPolicy {
  return { ok: false, problem: { reason, message } };
}

/** What a policy requires; a requirement that cannot be found is one that nobody meets. */
export function resolvePolicy(policy: AuthorizationPolicy, context: InboundContext): ResolvedPolicy {
  const { snapshot, settings } = context;
  let networks = EVERYWHERE;
  let proof: Proof = { type: "anyone" };
  let requirements = NO_REQUIREMENTS;
  for (const reference of policy.required) {
    const { kind } = reference;
    const missing = () => refuse("AuthenticationNotFound", `${kind} ${keyOf(reference)} not found`);
    switch (kind) {
      case "Unknown":
        return refuse("UnknownAuthentication", `${reference.written} is not a kind of authentication`);
      case "ServiceAccount":
        proof = { type: "identities", patterns: accountNames([reference], settings) };
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
        proof = { type: "identities", patterns: patternsOf(found, settings) };
        break;
      }
      case "HeaderAuthentication": {
        const found = snapshot.HeaderAuthentication.get(keyOf(reference));
        if (found === undefined) return missing();
        requirements = { ...requirements, headers: [...requirements.headers, ...headerConditions(found)] };
        break;
      }
      case "ExternalAuthorization": {
        const found = snapshot.ExternalAuthorization.get(keyOf(reference));
        if (found === undefined) return missing();
        const where = addressOf(found, context);
        if (where === undefined) {
          const { name, namespace, port } = found.backend;
          return refuse(
            "BackendNotFound",
            `Service ${namespace}/${name} of ${kind} ${keyOf(reference)} has no cluster address with port ${port}`,
          );
        }
        requirements = { ...requirements, external: externalCheck(found, where) };
        break;
      }
      case "JWTAuthentication": {
        const found = snapshot.JWTAuthentication.get(keyOf(reference));
        if (found === undefined) return missing();
        const keys = keysOf(found, context);
        if (keys === undefined) {
          return refuse(
            "KeysUnavailable",
            `the keys of ${kind} ${keyOf(reference)} could not be fetched yet`,
          );
        }
        requirements = { ...requirements, token: tokenRequirement(found, keys) };
        break;
      }
    }
  }
  return { ok: true, networks, proof, requirements };
}

function policyAuthz(policy: AuthorizationPolicy, resolved: ResolvedPolicy & { readonly ok: true }): Authz {
  const { networks, proof, requirements } = resolved;
  const authentication = proof.type === "anyone" ? UNAUTHENTICATED : authenticated(proof.patterns);
  const plain = authz(policy.meta, "AuthorizationPolicy", networks, authentication);
  return withRequirements(plain, proof, requirements);
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
      return resolved.ok ? [policyAuthz(policy, resolved)] : [];
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
  const byDefault = accessAuthz(server.accessPolicy, context);
  // An audit admits everybody, so it is asked last: by what it admits one sees what would be denied.
  return server.accessPolicy === "audit"
    ? [...policies, ...older, ...byDefault]
    : [...byDefault, ...policies, ...older];
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
