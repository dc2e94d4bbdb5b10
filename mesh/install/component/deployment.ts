/** The Deployment of a component: its container, its proxy, and what keeps its pods up and apart. */
import { NODE_CHOICES } from "@hauberk/fips-profile/claims.ts";
import { environmentFor } from "@hauberk/fips-profile/provider.ts";
import type { Template } from "../chart.ts";
import {
  NAMESPACE,
  all,
  any,
  atLeast,
  decimal,
  each,
  entries,
  equal,
  literal,
  merge,
  not,
  text,
  value,
  when,
  withDefault,
  type Expression,
  type Item,
  type Node,
  type TemplateMap,
} from "../template/node.ts";
import {
  MESH_VERSION,
  WORKLOAD_LABEL,
  inNamespace,
  nameOf,
  resourcesOf,
  selectorOf,
  type Component,
} from "./meta.ts";
import {
  PROXY_VOLUMES,
  REDIRECTION,
  imageOf,
  initContainer,
  proxyContainer,
  securityContext,
  validatorContainer,
} from "./sidecar.ts";

export interface Serving {
  readonly name: string;
  readonly port: number;
}

/** A flag that is an address: of every family that pods have. */
interface Listening {
  readonly listen: number;
}

/** What makes a component different from another. */
export interface ComponentSpec {
  readonly component: Component;
  /** The group of values that says how hard it may ask the Kubernetes API. */
  readonly kubeAPI: string;
  /** The group of values with `podAnnotations`, `additionalArgs` and `additionalEnv`. */
  readonly values: string;
  /** The group of values with its resources. */
  readonly resources: string;
  readonly flags: Readonly<Record<string, Expression | Listening>>;
  readonly ports: readonly Serving[];
  /** Metrics and health. */
  readonly admin: Serving;
}

const CONTROLLER_IMAGE = imageOf(
  value("controllerImage"),
  withDefault(value("controllerImageVersion"), MESH_VERSION),
);

/** With the FIPS profile: approved mode from the start of the process, which cannot leave it. Last, so that nothing before it holds. */
const APPROVED_MODE: readonly Item[] = NODE_CHOICES.flatMap((choice) =>
  Object.entries(environmentFor(choice)).map(([name, set]) =>
    when(all("fips.enabled", equal("fips.node", choice)), { name, value: set }),
  ),
);

/** The token for the Kubernetes API, mounted only where it is used: the proxy's container has none. */
const API_ACCESS = "kube-api-access";
const API_TOKEN_SECONDS = 3_607;
const API_VOLUME: TemplateMap = {
  name: API_ACCESS,
  projected: {
    defaultMode: 0o440,
    sources: [
      { serviceAccountToken: { expirationSeconds: API_TOKEN_SECONDS, path: "token" } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      {
        downwardAPI: {
          items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
        },
      },
    ],
  },
};

function words(flag: string, set: Expression | Listening): readonly Item[] {
  if (!("listen" in set)) return [text`--${literal(flag)}=${set}`];
  return [
    when(not("disableIPv6"), text`--${literal(flag)}=[::]:${literal(String(set.listen))}`),
    when("disableIPv6", text`--${literal(flag)}=0.0.0.0:${literal(String(set.listen))}`),
  ];
}

function controllerContainer({ component, kubeAPI, values, resources, flags, ports, admin }: ComponentSpec) {
  return merge(
    { name: component },
    ...CONTROLLER_IMAGE,
    {
      imagePullPolicy: value("imagePullPolicy"),
      args: [
        component,
        ...Object.entries(flags).flatMap(([flag, set]) => words(flag, set)),
        each(`${values}.additionalArgs`),
      ],
      env: [
        { name: "HOSTNAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
        { name: "HAUBERK_LOG_LEVEL", value: value("controllerLogLevel") },
        { name: "HAUBERK_LOG_FORMAT", value: value("controllerLogFormat") },
        { name: "HAUBERK_KUBE_QPS", value: decimal(`${kubeAPI}.clientQPS`) },
        { name: "HAUBERK_KUBE_BURST", value: decimal(`${kubeAPI}.clientBurst`) },
        each(`${values}.additionalEnv`),
        ...APPROVED_MODE,
      ],
      ports: [...ports, admin].map(({ name, port }) => ({ name, containerPort: port, protocol: "TCP" })),
      livenessProbe: {
        httpGet: { path: "/live", port: admin.name },
        initialDelaySeconds: 10,
        timeoutSeconds: 1,
      },
      readinessProbe: {
        httpGet: { path: "/ready", port: admin.name },
        failureThreshold: 7,
        timeoutSeconds: 1,
      },
    },
    ...resourcesOf(resources),
    {
      securityContext: securityContext("controllerUID", "controllerGID"),
      terminationMessagePolicy: "FallbackToLogsOnError",
      volumeMounts: [
        { name: API_ACCESS, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount", readOnly: true },
      ],
    },
  );
}

function affinity(component: Component): TemplateMap {
  const term = (topologyKey: string): TemplateMap => ({
    labelSelector: {
      // Of this Deployment alone: a revision's pods may stand beside it.
      matchLabels: { [WORKLOAD_LABEL]: nameOf(component) },
    },
    topologyKey,
  });
  return {
    affinity: merge(
      when("enablePodAntiAffinity", {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 100, podAffinityTerm: term("topology.kubernetes.io/zone") },
          ],
          requiredDuringSchedulingIgnoredDuringExecution: [term("kubernetes.io/hostname")],
        },
      }),
      when("nodeAffinity", { nodeAffinity: value("nodeAffinity") }),
    ),
  };
}

function podSpec(spec: ComponentSpec) {
  const { component, ports, admin } = spec;
  return merge(
    when("priorityClassName", { priorityClassName: value("priorityClassName") }),
    when("runtimeClassName", { runtimeClassName: value("runtimeClassName") }),
    { nodeSelector: value("nodeSelector") },
    when("tolerations", { tolerations: value("tolerations") }),
    when(any("enablePodAntiAffinity", "nodeAffinity"), affinity(component)),
    {
      automountServiceAccountToken: false,
      serviceAccountName: nameOf(component),
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    },
    when(not("cniEnabled"), { initContainers: [initContainer()] }),
    when("cniEnabled", { initContainers: [validatorContainer()] }),
    {
      containers: [
        proxyContainer(
          component,
          [...ports, admin].map(({ port }) => port),
        ),
        controllerContainer(spec),
      ],
      volumes: [API_VOLUME, ...PROXY_VOLUMES],
    },
  );
}

function deployment(spec: ComponentSpec): Template {
  const { component, values } = spec;
  return {
    file: `${component}-deployment`,
    kind: "Deployment",
    object: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: inNamespace(nameOf(component), {
        component,
        labels: {
          "app.kubernetes.io/name": component,
          "app.kubernetes.io/part-of": "Linkerd",
          "app.kubernetes.io/version": MESH_VERSION,
        },
      }),
      spec: {
        replicas: value("controllerReplicas"),
        revisionHistoryLimit: value("revisionHistoryLimit"),
        selector: { matchLabels: selectorOf(component) },
        strategy: value("deploymentStrategy"),
        template: {
          metadata: {
            annotations: merge(
              {
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
                "config.linkerd.io/default-inbound-policy": "all-unauthenticated",
                "linkerd.io/created-by": text`hauberk/${MESH_VERSION}`,
                "linkerd.io/proxy-version": withDefault(value("proxy.image.version"), MESH_VERSION),
              },
              ...REDIRECTION,
              entries("podAnnotations"),
              entries(`${values}.podAnnotations`),
            ),
            labels: merge(
              selectorOf(component),
              { "linkerd.io/workload-ns": NAMESPACE },
              entries("podLabels"),
              entries("commonLabels"),
            ),
          },
          spec: podSpec(spec),
        },
      },
    },
  };
}

function disruptionBudget({ component }: ComponentSpec): Template {
  return {
    file: `${component}-poddisruptionbudget`,
    kind: "PodDisruptionBudget",
    condition: all("enablePodDisruptionBudget", atLeast("controllerReplicas", 2)),
    object: {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: inNamespace(nameOf(component), { component }),
      spec: {
        maxUnavailable: value("controller.podDisruptionBudget.maxUnavailable"),
        selector: { matchLabels: selectorOf(component) },
      },
    },
  };
}

function tcp(port: Node): TemplateMap {
  return { port, protocol: "TCP" };
}

/**
 * What of a component can be reached: what it serves, and its proxy. From where is left open: the API server, kubelets
 * and whoever scrapes have addresses that nobody here knows, and what each may do is decided by their identities.
 */
function networkPolicy({ component, ports, admin }: ComponentSpec): Template {
  return {
    file: `${component}-networkpolicy`,
    kind: "NetworkPolicy",
    condition: all("networkPolicies"),
    object: {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: inNamespace(nameOf(component), { component }),
      spec: {
        podSelector: { matchLabels: selectorOf(component) },
        policyTypes: ["Ingress", "Egress"],
        ingress: [
          {
            ports: [
              ...[...ports, admin].map(({ port }) => tcp(port)),
              ...["inbound", "control", "admin"].map((name) => tcp(value(`proxy.ports.${name}`))),
            ],
          },
        ],
        egress: [{}],
      },
    },
  };
}

function serviceAccount({ component }: ComponentSpec): Template {
  return {
    file: `${component}-serviceaccount`,
    kind: "ServiceAccount",
    object: merge(
      {
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: inNamespace(nameOf(component), { component }),
        automountServiceAccountToken: false,
      },
      when("imagePullSecrets", { imagePullSecrets: value("imagePullSecrets") }),
    ),
  };
}

/** A Service in front of a component. */
export function service(
  component: Component,
  name: string,
  ports: readonly (Serving & { readonly target?: string })[],
  { headless = false }: { readonly headless?: boolean } = {},
): Template {
  return {
    file: `${name}-service`,
    kind: "Service",
    object: {
      apiVersion: "v1",
      kind: "Service",
      metadata: inNamespace(name, { component }),
      spec: {
        type: "ClusterIP",
        ...(headless ? { clusterIP: "None" } : {}),
        ipFamilyPolicy: "PreferDualStack",
        selector: selectorOf(component),
        ports: ports.map(({ name: port, port: number, target = port }) => ({
          name: port,
          port: number,
          protocol: "TCP",
          targetPort: target,
        })),
      },
    },
  };
}

/** Everything of a component but its services. */
export function workload(spec: ComponentSpec): readonly Template[] {
  return [serviceAccount(spec), networkPolicy(spec), disruptionBudget(spec), deployment(spec)];
}
