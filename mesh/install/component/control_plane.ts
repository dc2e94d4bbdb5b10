/** The control plane as a chart: three components, what they are told, and what the API server is told of them. */
import type { Chart, Template } from "../chart.ts";
import { NAMESPACE, decimal, joined, value } from "../template/node.ts";
import { access } from "./access.ts";
import { CONFIGURATION } from "./config.ts";
import { service, workload, type ComponentSpec } from "./deployment.ts";
import { COMPONENTS, MESH_VERSION, ofCluster } from "./meta.ts";
import { monitors } from "./monitor.ts";
import { REGISTRATIONS } from "./registration.ts";
import { TRUST_DOMAIN } from "./sidecar.ts";

const GRPC = { destination: 8086, policy: 8090, identity: 8080 } as const;
const ADMIN = { destination: 9996, identity: 9990, injector: 9995 } as const;
const HTTPS = 443;

/** Flags that every role has. */
function commonFlags(admin: number): ComponentSpec["flags"] {
  return { "control-plane-namespace": NAMESPACE, "admin-listen": { listen: admin } };
}

/** Flags of the roles that speak of names. */
const DOMAINS = { "cluster-domain": value("clusterDomain"), "trust-domain": TRUST_DOMAIN };

const destination: ComponentSpec = {
  component: "destination",
  kubeAPI: "kubeAPI",
  values: "destinationController",
  resources: "destinationResources",
  flags: {
    ...commonFlags(ADMIN.destination),
    ...DOMAINS,
    "cluster-networks": value("clusterNetworks"),
    "probe-networks": joined(value("policyController.probeNetworks"), ","),
    "default-inbound-policy": value("proxy.defaultInboundPolicy"),
    "opaque-ports": value("proxy.opaquePorts"),
    "destination-listen": { listen: GRPC.destination },
    "policy-listen": { listen: GRPC.policy },
    "policy-validator-listen": { listen: 9443 },
    "profile-validator-listen": { listen: 8443 },
    "quota-replicas": decimal("controllerReplicas"),
  },
  ports: [
    { name: "dest-grpc", port: GRPC.destination },
    { name: "policy-grpc", port: GRPC.policy },
    { name: "sp-validator", port: 8443 },
    { name: "policy-https", port: 9443 },
  ],
  admin: { name: "dest-admin", port: ADMIN.destination },
};

const identity: ComponentSpec = {
  component: "identity",
  kubeAPI: "identity.kubeAPI",
  values: "identity",
  resources: "identityResources",
  flags: {
    ...commonFlags(ADMIN.identity),
    ...DOMAINS,
    "approved-proxies": value("identity.approvedProxies"),
    "identity-listen": { listen: GRPC.identity },
    "issuance-lifetime": value("identity.issuer.issuanceLifetime"),
    "clock-skew": value("identity.issuer.clockSkewAllowance"),
    "trust-schedule": value("identity.issuer.trustSchedule"),
    "trust-spread": value("identity.issuer.trustSpread"),
    "external-ca": value("identity.externalCA"),
  },
  ports: [{ name: "ident-grpc", port: GRPC.identity }],
  admin: { name: "ident-admin", port: ADMIN.identity },
};

const injector: ComponentSpec = {
  component: "proxy-injector",
  kubeAPI: "kubeAPI",
  values: "proxyInjector",
  resources: "proxyInjectorResources",
  flags: { ...commonFlags(ADMIN.injector), listen: { listen: 8443 }, version: MESH_VERSION },
  ports: [{ name: "proxy-injector", port: 8443 }],
  admin: { name: "injector-admin", port: ADMIN.injector },
};

const SPECS = [destination, identity, injector];

const dst = { name: "grpc", port: GRPC.destination, target: "dest-grpc" } as const;
const ident = { name: "grpc", port: GRPC.identity, target: "ident-grpc" } as const;

const SERVICES: readonly Template[] = [
  service("destination", "linkerd-dst", [dst]),
  service("destination", "linkerd-dst-headless", [dst], { headless: true }),
  service("destination", "linkerd-policy", [{ name: "grpc", port: GRPC.policy, target: "policy-grpc" }], {
    headless: true,
  }),
  service("destination", "linkerd-sp-validator", [{ name: "sp-validator", port: HTTPS }]),
  service("destination", "linkerd-policy-validator", [
    { name: "policy-https", port: HTTPS, target: "policy-https" },
  ]),
  service("identity", "linkerd-identity", [ident]),
  service("identity", "linkerd-identity-headless", [ident], { headless: true }),
  service("proxy-injector", "linkerd-proxy-injector", [{ name: "proxy-injector", port: HTTPS }]),
];

export const CONTROL_PLANE_CHART: Chart = {
  name: "hauberk-control-plane",
  description: "The control plane of the Hauberk service mesh: destination, identity and proxy-injector.",
  templates: [
    ...CONFIGURATION,
    ...SPECS.flatMap(workload),
    ...COMPONENTS.flatMap(access),
    ...SERVICES,
    ...REGISTRATIONS,
    ...monitors(COMPONENTS),
  ],
};

/** The namespace: with Helm it is the release's, so only the command line writes it. */
export const NAMESPACE_TEMPLATE: Template = {
  file: "namespace",
  kind: "Namespace",
  object: {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: ofCluster(NAMESPACE, undefined, {
      "linkerd.io/is-control-plane": "true",
      "config.linkerd.io/admission-webhooks": "disabled",
      "kubernetes.io/metadata.name": NAMESPACE,
      // Its init containers need NET_ADMIN.
      "pod-security.kubernetes.io/enforce": "privileged",
    }),
  },
};
