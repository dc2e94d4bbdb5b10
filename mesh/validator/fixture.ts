/** For tests: a small cluster to judge objects beside. */
import { parseCidr } from "../model/address.ts";
import type { InboundContext } from "../policy/authz.ts";
import { accept, NOTHING_ACCEPTED } from "../source/manifests/accept.ts";
import { complete } from "../source/manifests/complete.ts";
import { parseYaml } from "../source/manifests/parse.ts";
import { applyAll, emptySnapshot, relistAll } from "../state/snapshot.ts";

const networks = (...texts: readonly string[]) =>
  texts.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === undefined) throw new Error(`${text} is no network`);
    return cidr;
  });

/** Services, a workload, and one object of each kind that others speak of. */
export const CLUSTER = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, clusterIP: 10.96.0.10, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: authz, namespace: shop}
spec: {selector: {app: authz}, clusterIP: 10.96.0.11, ports: [{port: 9191}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web, tier: front}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}, {name: admin, containerPort: 9000}]}]}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, port: http, proxyProtocol: HTTP/1}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: bytes, namespace: shop}
spec: {podSelector: {matchLabels: {app: bytes}}, port: 5000, proxyProtocol: opaque}
---
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: on-server, namespace: shop}
spec: {parentRefs: [{group: policy.linkerd.io, kind: Server, name: web}], rules: [{}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: on-service, namespace: shop}
spec: {parentRefs: [{group: "", kind: Service, name: web, port: 80}], rules: [{}]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: clients, namespace: shop}
spec: {identities: ["*"]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: internet, namespace: shop}
spec: {trafficPolicy: Deny}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: {name: first, namespace: shop}
spec: {targetRef: {kind: Server, name: web}, total: {requestsPerSecond: 10}}
`;

/** The objects of `texts` as the webhooks see them. */
export function contextOf(texts: readonly string[]): InboundContext {
  const { documents, problems } = parseYaml("cluster.yaml", texts.join("\n---\n"));
  const completed = complete(accept(NOTHING_ACCEPTED, { documents, problems, broken: new Set() }));
  const [problem] = completed.problems;
  if (problem !== undefined) throw new Error(`${problem.object}: ${problem.message}`);
  return {
    snapshot: applyAll(emptySnapshot(), relistAll(completed.objects)),
    settings: {
      clusterDomain: "cluster.local",
      trustDomain: "cluster.local",
      controlPlaneNamespace: "linkerd",
      clusterNetworks: networks("10.0.0.0/8"),
      probeNetworks: [],
      defaultInboundPolicy: "all-unauthenticated",
      opaquePorts: [],
    },
  };
}
