/** Inbound policies of the namespace in which the servers are. */

export const SERVERS = "servers";
const POLICY = "policy.linkerd.io/v1alpha1";
const GROUP = "policy.linkerd.io";

/** What an AuthorizationPolicy points at. */
interface Reference {
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
}

function object(apiVersion: string, kind: string, name: string, spec: object): object {
  return { apiVersion, kind, metadata: { name, namespace: SERVERS }, spec };
}

/** A Server of the pods labelled `app`, which lets nobody in by itself. */
export function deny(
  name: string,
  where: { readonly app: string; readonly port: number; readonly proxyProtocol: string },
): object {
  const { app, port, proxyProtocol } = where;
  const podSelector = { matchLabels: { app } };
  return object("policy.linkerd.io/v1beta3", "Server", name, {
    podSelector,
    port,
    proxyProtocol,
    accessPolicy: "deny",
  });
}

/** The service account `account` in the callers' namespace. */
export function identity(account: string): string {
  return `${account}.callers.serviceaccount.identity.linkerd.cluster.local`;
}

export function authenticated(name: string, accounts: readonly string[]): object {
  return object(POLICY, "MeshTLSAuthentication", name, { identities: accounts.map(identity) });
}

export function networks(name: string, cidrs: readonly string[]): object {
  return object(POLICY, "NetworkAuthentication", name, { networks: cidrs.map((cidr) => ({ cidr })) });
}

export function mtls(name: string): Reference {
  return { kind: "MeshTLSAuthentication", name };
}

export function network(name: string): Reference {
  return { kind: "NetworkAuthentication", name };
}

export function allow(target: Reference, by: Reference): object {
  const group = target.kind === "Namespace" ? "core" : GROUP;
  return object(POLICY, "AuthorizationPolicy", `${target.name}-${by.name}`, {
    targetRef: { group, ...target },
    requiredAuthenticationRefs: [{ group: GROUP, ...by }],
  });
}

/** A route of requests that the Server `server` receives. */
export function httpRoute(name: string, server: string, matches: readonly object[]): object {
  return object("policy.linkerd.io/v1beta3", "HTTPRoute", name, {
    parentRefs: [{ group: GROUP, kind: "Server", name: server }],
    rules: [{ matches }],
  });
}

/** A route of one method of the application's gRPC service. */
export function grpcRoute(name: string, server: string, method: string): object {
  return object("gateway.networking.k8s.io/v1", "GRPCRoute", name, {
    parentRefs: [{ group: GROUP, kind: "Server", name: server }],
    rules: [{ matches: [{ method: { service: "conformance.Streams", method } }] }],
  });
}

export function ofGrpcRoute(name: string): Reference {
  return { group: "gateway.networking.k8s.io", kind: "GRPCRoute", name };
}
