/** All kinds the mesh understands. */
import type { ExternalAuthorization, HeaderAuthentication, JwtAuthentication } from "./authentication.ts";
import { keyOf, type NamespacedName } from "./meta.ts";
import type {
  AuthorizationPolicy,
  EgressNetwork,
  FaultInjection,
  MeshTlsAuthentication,
  NetworkAuthentication,
  Server,
  ServerAuthorization,
} from "./policy.ts";
import type { LocalRateLimitPolicy, RateLimitPolicy } from "./rate_limit.ts";
import type { GrpcRoute, HttpRoute, TcpRoute, TlsRoute } from "./route.ts";
import type { ServiceProfile } from "./profile.ts";
import type { EndpointSlice, Service } from "./service.ts";
import type { ExternalWorkload, Namespace, Node, Pod, ServiceAccount } from "./workload.ts";

/** The type of the objects of each kind. */
export interface Objects {
  readonly AuthorizationPolicy: AuthorizationPolicy;
  readonly EgressNetwork: EgressNetwork;
  readonly EndpointSlice: EndpointSlice;
  readonly ExternalAuthorization: ExternalAuthorization;
  readonly ExternalWorkload: ExternalWorkload;
  readonly GRPCRoute: GrpcRoute;
  readonly HTTPFaultInjection: FaultInjection;
  readonly HTTPLocalRateLimitPolicy: LocalRateLimitPolicy;
  readonly HTTPRateLimitPolicy: RateLimitPolicy;
  readonly HTTPRoute: HttpRoute;
  readonly HeaderAuthentication: HeaderAuthentication;
  readonly JWTAuthentication: JwtAuthentication;
  readonly MeshTLSAuthentication: MeshTlsAuthentication;
  readonly Namespace: Namespace;
  readonly NetworkAuthentication: NetworkAuthentication;
  readonly Node: Node;
  readonly Pod: Pod;
  readonly Server: Server;
  readonly ServerAuthorization: ServerAuthorization;
  readonly Service: Service;
  readonly ServiceAccount: ServiceAccount;
  readonly ServiceProfile: ServiceProfile;
  readonly TCPRoute: TcpRoute;
  readonly TLSRoute: TlsRoute;
}

export type Kind = keyof Objects;

export const KINDS = [
  "AuthorizationPolicy",
  "EgressNetwork",
  "EndpointSlice",
  "ExternalAuthorization",
  "ExternalWorkload",
  "GRPCRoute",
  "HTTPFaultInjection",
  "HTTPLocalRateLimitPolicy",
  "HTTPRateLimitPolicy",
  "HTTPRoute",
  "HeaderAuthentication",
  "JWTAuthentication",
  "MeshTLSAuthentication",
  "Namespace",
  "NetworkAuthentication",
  "Node",
  "Pod",
  "Server",
  "ServerAuthorization",
  "Service",
  "ServiceAccount",
  "ServiceProfile",
  "TCPRoute",
  "TLSRoute",
] as const satisfies readonly Kind[];

/** An object with its kind. */
export type TaggedOf<K extends Kind> = { [P in K]: { readonly kind: P; readonly object: Objects[P] } }[K];
export type Tagged = TaggedOf<Kind>;

const CLUSTER_SCOPED: ReadonlySet<Kind> = new Set<Kind>(["Namespace", "Node"]);

/** Key of an object among those of its kind. An HTTPRoute's group is part of it: both groups may hold the name. */
export function keyOfObject(
  kind: Kind,
  object: { readonly meta: NamespacedName; readonly group?: string },
): string {
  if (CLUSTER_SCOPED.has(kind)) return object.meta.name;
  const key = keyOf(object.meta);
  return kind === "HTTPRoute" && object.group !== undefined ? `${object.group}/${key}` : key;
}
