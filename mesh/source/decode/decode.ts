/** All decoders, by API group and kind. */
import { describeObject, groupOf, versionOf, type ManifestObject } from "../manifests/document.ts";
import { meshTlsAuthentication, networkAuthentication } from "./authentication.ts";
import { authorizationPolicy } from "./authorization_policy.ts";
import { egressNetwork } from "./egress_network.ts";
import { endpointSlice } from "./endpoint_slice.ts";
import { externalAuthorization } from "./external_authorization.ts";
import { externalWorkload } from "./external_workload.ts";
import { faultInjection } from "./fault_injection.ts";
import { grpcRoute } from "./grpc_route.ts";
import { headerAuthentication } from "./header_authentication.ts";
import { httpRateLimit } from "./http_rate_limit.ts";
import { gatewayHttpRoute, policyHttpRoute } from "./http_route.ts";
import { jwtAuthentication } from "./jwt_authentication.ts";
import type { Decoded, Decoder } from "./kind.ts";
import { pod } from "./pod.ts";
import { rateLimit } from "./rate_limit.ts";
import { server } from "./server.ts";
import { serverAuthorization } from "./server_authorization.ts";
import { service } from "./service.ts";
import { serviceProfile } from "./service_profile.ts";
import { tcpRoute } from "./tcp_route.ts";
import { tlsRoute } from "./tls_route.ts";
import { namespace, node, serviceAccount } from "./workload.ts";

/** Every decoder. */
export const DECODERS: readonly Decoder[] = [
  authorizationPolicy,
  egressNetwork,
  endpointSlice,
  externalAuthorization,
  externalWorkload,
  faultInjection,
  gatewayHttpRoute,
  grpcRoute,
  headerAuthentication,
  httpRateLimit,
  jwtAuthentication,
  meshTlsAuthentication,
  namespace,
  networkAuthentication,
  node,
  pod,
  policyHttpRoute,
  rateLimit,
  server,
  serverAuthorization,
  service,
  serviceAccount,
  serviceProfile,
  tcpRoute,
  tlsRoute,
];

const BY_KIND: ReadonlyMap<string, Decoder> = new Map(
  DECODERS.map((decoder) => [`${decoder.group}/${decoder.kind}`, decoder]),
);

/** Kinds of the mesh's own interface that are not honoured: better a clear word than silence. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  "gateway.networking.k8s.io/BackendTLSPolicy",
  "gateway.networking.k8s.io/UDPRoute",
  "multicluster.linkerd.io/Link",
  "split.smi-spec.io/TrafficSplit",
]);

/** Decodes an object; `undefined` for a kind that means nothing to the mesh. */
export function decode(object: ManifestObject): Decoded | undefined {
  const group = groupOf(object.apiVersion);
  const kind = `${group}/${object.kind}`;
  const decoder = BY_KIND.get(kind);
  if (decoder === undefined) {
    if (!UNSUPPORTED.has(kind)) return undefined;
    const message = `${describeObject(object)} has no effect: ${object.kind} is not supported yet`;
    return { ok: false, issues: [{ path: ["kind"], message }] };
  }
  const version = versionOf(object.apiVersion);
  if (!decoder.versions.includes(version)) {
    const message = `version ${version} is not known; known are ${decoder.versions.join(", ")}`;
    return { ok: false, issues: [{ path: ["apiVersion"], message }] };
  }
  return decoder.decode(object);
}
