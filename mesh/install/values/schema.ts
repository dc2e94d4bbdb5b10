/**
 * Everything that can be set of a control plane. Names and meanings are those of Linkerd's chart, so that a user's values
 * file is good here; defaults differ where ours are measured or safer. Strict: a value that nobody reads is a mistake.
 */
import { z } from "zod";
import { NODE_CHOICES } from "@hauberk/fips-profile/claims.ts";
import { REVISION_LABEL } from "../../model/revision.ts";
import { debugContainer, networkValidator, proxy, proxyInit } from "./proxy.ts";
import { CIDRS, count, flag, json, labels, record, resources, text, words } from "./leaf.ts";

/** Where webhooks look, unless told otherwise: a namespace can opt out with a label. */
const OPT_OUT = {
  matchExpressions: [
    { key: "config.linkerd.io/admission-webhooks", operator: "NotIn", values: ["disabled"] },
  ],
};

/** Of a webhook's certificate, which the control plane makes and renews itself. Only the defaults are possible. */
const CERTIFICATE = {
  externalSecret: flag(
    false,
    "Has to be false: the control plane makes and rotates the webhook's certificate.",
  ),
  crtPEM: text("", "Has to be empty: see externalSecret."),
  keyPEM: text("", "Has to be empty: see externalSecret."),
  caBundle: text("", "Has to be empty: see externalSecret."),
  injectCaFrom: text("", "Has to be empty: see externalSecret."),
  injectCaFromSecret: text("", "Has to be empty: see externalSecret."),
};

const kubeAPI = () =>
  record("How hard the Kubernetes API may be asked.", {
    clientQPS: count(100, "Calls a second."),
    clientBurst: count(200, "Calls at once."),
  });

/** The resources of a component of the control plane, measured at rest on a small cluster: 90 to 117 MiB each. */
const small = (memory: string, limit: string) =>
  resources("What its container asks for and may have.", {
    cpu: { request: "50m" },
    memory: { request: memory, limit },
  });

/** What a component's pods may say for themselves. */
const component = () => ({
  podAnnotations: labels("Annotations of its pods."),
  additionalArgs: json(z.array(z.string()), [], "Arguments after those that are made from values."),
  additionalEnv: json(z.array(z.looseObject({ name: z.string().min(1) })), [], "Variables of its container."),
});

const identity = record("The identity component: certificates for proxies.", {
  externalCA: flag(false, "Whether somebody else makes the ConfigMap linkerd-identity-trust-roots."),
  approvedProxies: words(
    ["any", "require"],
    "any",
    "Whether only those builds of the proxy get certificates that the ConfigMap hauberk-approved-proxies lists.",
  ),
  serviceAccountTokenProjection: flag(true, "Has to be true: tokens have an audience of our own."),
  issuer: record("The issuer of proxies' certificates.", {
    scheme: words(
      ["linkerd.io/tls", "kubernetes.io/tls"],
      "linkerd.io/tls",
      "Which keys the Secret linkerd-identity-issuer has; kubernetes.io/tls: somebody else makes it.",
    ),
    clockSkewAllowance: text("20s", "How long before it is issued a proxy's certificate begins."),
    trustSchedule: text(
      "expiry",
      "When the trust anchor is replaced: expiry, before it ends; off; or a period such as 2160h.",
    ),
    trustSpread: text("60s", "How long a change of trust may take to reach whoever reads it."),
    issuanceLifetime: text("24h0m0s", "How long a proxy's certificate is good for."),
    tls: record("The issuer, for the scheme linkerd.io/tls.", {
      crtPEM: text("", "Its certificate; required."),
      keyPEM: text("", "Its private key; required."),
    }),
  }),
  kubeAPI: kubeAPI(),
  ...component(),
});

export const Values = z.strictObject({
  clusterDomain: text("cluster.local", "DNS domain of the cluster."),
  clusterNetworks: text(
    "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8",
    "Networks in which proxies look for services: pods and services, not nodes.",
  ),
  cniEnabled: flag(false, "Whether the CNI plugin redirects connections, instead of an init container."),
  disableIPv6: flag(false, "Leaves IPv6 alone."),
  imagePullPolicy: words(["IfNotPresent", "Always", "Never"], "IfNotPresent", "When images are pulled."),
  imagePullSecrets: json(z.array(z.looseObject({ name: z.string() })), [], "Secrets for a private registry."),
  linkerdVersion: text("", "Version of the images; empty: this one."),
  controllerImage: text("hauberk/controller", "Image of the control plane."),
  controllerImageVersion: text("", "Its tag or digest; empty: linkerdVersion."),
  controllerReplicas: count(1, "Pods of each component."),
  controllerUID: count(2103, "User that the control plane runs as."),
  controllerGID: json(z.number().int(), -1, "Group that the control plane runs as; below 0: the image's."),
  controllerLogLevel: words(
    ["error", "warn", "info", "debug", "trace"],
    "info",
    "How much the control plane logs.",
  ),
  controllerLogFormat: words(["plain", "json"], "json", "How the control plane logs."),
  controller: record("All components together.", {
    podDisruptionBudget: record("Where enablePodDisruptionBudget is set.", {
      maxUnavailable: count(1, "Pods of a component that may be away at once."),
    }),
  }),
  enablePodAntiAffinity: flag(false, "Puts the pods of a component on different nodes."),
  enablePodDisruptionBudget: flag(false, "Protects each component from being evicted as a whole."),
  enableH2Upgrade: flag(true, "Whether meshed HTTP/1 travels on HTTP/2."),
  enablePprof: flag(false, "Has to be false: there is no profiler in the control plane."),
  enableEndpointSlices: flag(true, "Has to be true: there is no other way."),
  deploymentStrategy: json(
    z.looseObject({}),
    { rollingUpdate: { maxUnavailable: "25%", maxSurge: "25%" } },
    "How components are rolled out.",
  ),
  revisionHistoryLimit: count(10, "Old ReplicaSets that are kept."),
  priorityClassName: text("", "Priority of the control plane's pods."),
  runtimeClassName: text("", "Runtime class of the control plane's pods."),
  nodeSelector: json(
    z.record(z.string(), z.string()),
    { "kubernetes.io/os": "linux" },
    "Nodes for the control plane.",
  ),
  nodeAffinity: json(z.looseObject({}), {}, "Affinity of the control plane to nodes."),
  tolerations: json(z.array(z.looseObject({})), [], "Taints that the control plane tolerates."),
  podAnnotations: labels("Annotations of all pods of the control plane."),
  podLabels: labels("Labels of all pods of the control plane."),
  commonLabels: labels("Labels of all objects."),
  webhookFailurePolicy: words(
    ["Ignore", "Fail"],
    "Ignore",
    "What becomes of objects of namespaces that did not ask for the mesh, while a webhook is away.",
  ),
  prometheusUrl: text("", "Where metrics are already; told to extensions."),
  disableHeartBeat: flag(true, "Has to be true: nothing here calls home."),
  heartbeatSchedule: text("", "Has no meaning: there is no heartbeat."),
  identityTrustAnchorsPEM: text("", "Trust anchors; required unless identity.externalCA."),
  identityTrustDomain: text("", "Trust domain; empty: clusterDomain."),
  identity,
  destinationController: record("The destination component: discovery and policy.", component()),
  policyController: record("Policy, a part of the destination component.", {
    logLevel: text("", "Has no meaning: the component has one log, controllerLogLevel."),
    probeNetworks: json(CIDRS, [], "Networks that probes come from; none: addresses of each pod's own node."),
  }),
  proxyInjector: record("The proxy-injector component and its webhook.", {
    namespaceSelector: json(
      z.looseObject({}),
      {
        matchExpressions: [
          ...OPT_OUT.matchExpressions,
          { key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["kube-system", "cert-manager"] },
          // Namespaces of a revision are its injector's.
          { key: REVISION_LABEL, operator: "DoesNotExist" },
        ],
      },
      "Namespaces whose pods the webhook is asked about.",
    ),
    objectSelector: json(
      z.looseObject({}),
      {
        matchExpressions: [
          { key: "linkerd.io/control-plane-component", operator: "DoesNotExist" },
          { key: "linkerd.io/cni-resource", operator: "DoesNotExist" },
        ],
      },
      "Pods that the webhook is asked about.",
    ),
    unsupportedPods: words(
      ["refuse", "skip"],
      "refuse",
      "What becomes of pods that ask for the mesh and cannot be in it, such as those on the node's network.",
    ),
    timeoutSeconds: count(10, "How long the API server waits for the webhook."),
    ...CERTIFICATE,
    ...component(),
  }),
  profileValidator: record("The webhook for ServiceProfiles.", {
    namespaceSelector: json(z.looseObject({}), OPT_OUT, "Namespaces that it is asked about."),
    ...CERTIFICATE,
  }),
  policyValidator: record("The webhook for policies and routes.", {
    namespaceSelector: json(z.looseObject({}), OPT_OUT, "Namespaces that it is asked about."),
    ...CERTIFICATE,
  }),
  destinationResources: small("120Mi", "500Mi"),
  identityResources: small("100Mi", "250Mi"),
  proxyInjectorResources: small("110Mi", "250Mi"),
  networkPolicies: flag(
    true,
    "Lets connections to the control plane's pods reach the ports that they serve, and no other.",
  ),
  podMonitor: record("PodMonitors for the Prometheus operator.", {
    enabled: flag(false, "Makes them."),
    labels: labels("Labels of the PodMonitors."),
    scrapeInterval: text("10s", "How often."),
    scrapeTimeout: text("10s", "How long a scrape may take."),
    controller: record("Of the control plane.", { enabled: flag(true, "Makes this one.") }),
    proxy: record("Of all proxies.", { enabled: flag(true, "Makes this one.") }),
  }),
  egress: record("Traffic that leaves the cluster.", {
    globalEgressNetworkNamespace: text("linkerd-egress", "Namespace whose EgressNetworks hold for all."),
  }),
  kubeAPI: kubeAPI(),
  fips: record("The FIPS profile: docs/guide/fips.md says what it claims.", {
    enabled: flag(
      false,
      "Runs the images named here with -fips after their names, and lets nothing become ready that is not in approved mode.",
    ),
    node: words(
      NODE_CHOICES,
      "certified",
      "Module of the control plane: certified (classical) or hybrid (post-quantum, no certificate known).",
    ),
  }),
  proxy,
  proxyInit,
  networkValidator,
  debugContainer,
});
export type Values = z.infer<typeof Values>;
