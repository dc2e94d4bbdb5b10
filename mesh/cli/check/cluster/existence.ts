/** Checks that the cluster answers, that it is fit, and that the control plane is there. */
import { expectedNames } from "@hauberk/mesh/install/names.ts";
import { DEFINITIONS } from "@hauberk/mesh/install/crd/definitions.ts";
import { nameOf } from "@hauberk/mesh/install/crd/definition.ts";
import { cidrContains, parseCidr, parseIp, type Cidr } from "@hauberk/mesh/model/address.ts";
import { SUCCESS, error, known, none, warning, type Check, type Finding } from "../check.ts";
import { needed, questionKey } from "./access.ts";
import type { ClusterFacts, PodFact } from "./facts.ts";

type ClusterCheck = Check<ClusterFacts>;

/** The oldest version that the product is tried on. */
const VERSION_MIN = [1, 31] as const;
/** A node tells of itself every 10 s; what is older or from the future shows a clock that is wrong. */
const SKEW_MS_MAX = 60_000;
const GATEWAY_KINDS = ["httproutes", "grpcroutes"].map((plural) => `${plural}.gateway.networking.k8s.io`);

export const API: readonly ClusterCheck[] = [
  {
    category: "kubernetes-api",
    description: "can initialize the client",
    hint: "k8s-api",
    fatal: true,
    find: () => SUCCESS,
  },
  {
    category: "kubernetes-api",
    description: "can query the Kubernetes API",
    hint: "k8s-api",
    fatal: true,
    find: ({ server }) => known(server, () => SUCCESS),
  },
  {
    category: "kubernetes-version",
    description: "is running the minimum Kubernetes API version",
    hint: "k8s-version",
    fatal: false,
    find: ({ server }) =>
      known(server, (version) => {
        const [, major = "0", minor = "0"] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
        const [leastMajor, leastMinor] = VERSION_MIN;
        const isEnough =
          Number(major) > leastMajor || (Number(major) === leastMajor && Number(minor) >= leastMinor);
        return isEnough ? SUCCESS : error(`it is ${version}; ${VERSION_MIN.join(".")} is needed`);
      }),
  },
];

const gateway: ClusterCheck = {
  category: "gateway-api",
  description: "Gateway API CRDs are installed",
  hint: "gateway-api-crd",
  fatal: false,
  find: ({ kinds }) =>
    known(kinds, (names) =>
      none(
        GATEWAY_KINDS.filter((name) => !names.has(name)).map((name) => `* ${name} is missing`),
        warning,
      ),
    ),
};

/** Before an installation. */
export function pre(namespace: string): readonly ClusterCheck[] {
  const category = "pre-kubernetes-setup";
  return [
    {
      category,
      description: "control plane namespace does not already exist",
      hint: "pre-ns",
      fatal: false,
      find: ({ namespaces }) =>
        known(namespaces, (all) =>
          all.some(({ name }) => name === namespace) ? error(`the namespace ${namespace} exists`) : SUCCESS,
        ),
    },
    ...needed(namespace).map(({ description, hint, asks }): ClusterCheck => ({
      category,
      description,
      hint,
      fatal: false,
      find: ({ access }) =>
        known(access, (answers) =>
          none(
            asks
              .filter((question) => answers.get(questionKey(question)) !== true)
              .map((question) => `* not allowed: ${questionKey(question)}`),
          ),
        ),
    })),
    {
      category,
      description: "no clock skew detected",
      hint: "pre-k8s-clock-skew",
      fatal: false,
      find: ({ heartbeats, nowMs }) => {
        if (!heartbeats.ok) return warning(`not known: ${heartbeats.why}`);
        return none(
          heartbeats.value
            .filter(({ atMs }) => Math.abs(nowMs - atMs) > SKEW_MS_MAX)
            .map(
              ({ node, atMs }) =>
                `* ${node} said at ${new Date(atMs).toISOString()} that it lives; here it is ${new Date(nowMs).toISOString()}`,
            ),
          warning,
        );
      },
    },
    gateway,
  ];
}

export const KINDS: readonly ClusterCheck[] = [
  {
    category: "linkerd-crd",
    description: "control plane CustomResourceDefinitions exist",
    hint: "l5d-existence-crd",
    fatal: true,
    passes: true,
    find: ({ kinds }) => known(kinds, missingKinds),
  },
];

function missingKinds(names: ReadonlySet<string>): Finding {
  return none(
    DEFINITIONS.map(nameOf)
      .filter((name) => !names.has(name))
      .map((name) => `* ${name} is missing`),
  );
}

function isControlPlane({ labels, namespace }: PodFact, of: string): boolean {
  return namespace === of && labels["linkerd.io/control-plane-component"] !== undefined;
}

/** Why a pod is not ready, with the container that is to blame. */
export function unready(pod: PodFact): string | undefined {
  if (pod.isReady || pod.phase === "Succeeded" || pod.isLeaving) return undefined;
  const blamed = pod.containers
    .filter(({ isReady }) => !isReady)
    .map(({ name, reason }) => `${name}${reason === undefined ? "" : ` (${reason})`}`);
  return `* ${pod.namespace}/${pod.name}: ${pod.phase}, not ready: ${blamed.join(", ")}`;
}

/** Finds what is wrong with the pods of the control plane; that there are none is wrong, too. */
function controlPlanePods(
  { pods, namespace }: ClusterFacts,
  wrong: (pod: PodFact) => string | undefined,
  as: (message: string) => Finding = error,
): Finding {
  return known(pods, (all) => {
    const own = all.filter((pod) => isControlPlane(pod, namespace));
    if (own.length === 0) return error(`there is no pod of the control plane in ${namespace}`);
    return none(
      own.flatMap((pod) => wrong(pod) ?? []),
      as,
    );
  });
}

/** Whether every address lies in one of the control plane's networks; those outside would not be meshed. */
function within(
  { config }: ClusterFacts,
  addresses: readonly { readonly of: string; readonly ip: string }[],
): Finding {
  return known(config, ({ clusterNetworks }) => {
    const networks = clusterNetworks.split(",").flatMap((text): readonly Cidr[] => {
      const cidr = parseCidr(text.trim());
      return cidr === undefined ? [] : [cidr];
    });
    return none(
      addresses
        .filter(({ ip }) => {
          const address = parseIp(ip);
          return address !== undefined && !networks.some((cidr) => cidrContains(cidr, address));
        })
        .map(({ of, ip }) => `* ${of} has ${ip}, which is in none of clusterNetworks`),
    );
  });
}

const EXISTENCE = "linkerd-existence";

export const EXISTENCE_CHECKS: readonly ClusterCheck[] = [
  {
    category: EXISTENCE,
    description: "'linkerd-config' config map exists",
    hint: "l5d-existence-linkerd-config",
    fatal: true,
    passes: true,
    find: ({ config }) => known(config, () => SUCCESS),
  },
  {
    category: EXISTENCE,
    description: "control plane replica sets are ready",
    hint: "l5d-existence-replicasets",
    fatal: true,
    passes: true,
    find: ({ replicaSets }) =>
      known(replicaSets, (sets) =>
        none(
          sets
            .filter(({ wanted, ready }) => ready < wanted)
            .map(({ name, wanted, ready }) => `* ${name}: ${ready} of ${wanted} pods are ready`),
        ),
      ),
  },
  {
    category: EXISTENCE,
    description: "no unschedulable pods",
    hint: "l5d-existence-unschedulable-pods",
    fatal: false,
    find: (facts) =>
      controlPlanePods(
        facts,
        ({ namespace, name, unschedulable }) =>
          unschedulable === undefined ? undefined : `* ${namespace}/${name}: ${unschedulable}`,
        warning,
      ),
  },
  {
    category: EXISTENCE,
    description: "control plane pods are ready",
    hint: "l5d-api-control-ready",
    fatal: true,
    passes: true,
    find: (facts) => controlPlanePods(facts, unready),
  },
  {
    category: EXISTENCE,
    description: "cluster networks contains all node podCIDRs",
    hint: "l5d-cluster-networks-cidr",
    fatal: false,
    find: (facts) =>
      known(facts.nodes, (nodes) =>
        within(
          facts,
          nodes.flatMap(({ name, podCidrs }) =>
            podCidrs.map((cidr) => ({ of: `node ${name}`, ip: cidr.split("/")[0] ?? "" })),
          ),
        ),
      ),
  },
  {
    category: EXISTENCE,
    description: "cluster networks contains all pods",
    hint: "l5d-cluster-networks-pods",
    fatal: false,
    find: (facts) =>
      known(facts.pods, (pods) =>
        within(
          facts,
          pods
            .filter(({ onHostNetwork, phase }) => !onHostNetwork && phase === "Running")
            .flatMap(({ namespace, name, ips }) => ips.map((ip) => ({ of: `pod ${namespace}/${name}`, ip }))),
        ),
      ),
  },
  {
    category: EXISTENCE,
    description: "cluster networks contains all services",
    hint: "l5d-cluster-networks-pods",
    fatal: false,
    find: (facts) =>
      known(facts.services, (services) =>
        within(
          facts,
          services.flatMap(({ namespace, name, clusterIps }) =>
            clusterIps.map((ip) => ({ of: `service ${namespace}/${name}`, ip })),
          ),
        ),
      ),
  },
];

/** That everything of one kind which the installed values ask for is there. */
function present(kind: string, description: string, hint: string): ClusterCheck {
  return {
    category: "linkerd-config",
    description: `control plane ${description} exist`,
    hint,
    fatal: true,
    find: ({ config, objects, namespace }) =>
      known(config, (values) =>
        known(objects, (found) =>
          none(
            expectedNames(kind, values, namespace)
              .filter((name) => found.get(kind)?.has(name) !== true)
              .map((name) => `* ${kind} ${name} is missing`),
          ),
        ),
      ),
  };
}

export const CONFIGURATION: readonly ClusterCheck[] = [
  {
    category: "linkerd-config",
    description: "control plane Namespace exists",
    hint: "l5d-existence-ns",
    fatal: true,
    find: ({ namespaces, namespace }) =>
      known(namespaces, (all) =>
        all.some(({ name }) => name === namespace) ? SUCCESS : error(`there is no namespace ${namespace}`),
      ),
  },
  present("ClusterRole", "ClusterRoles", "l5d-existence-cr"),
  present("ClusterRoleBinding", "ClusterRoleBindings", "l5d-existence-crb"),
  present("ServiceAccount", "ServiceAccounts", "l5d-existence-sa"),
  {
    category: "linkerd-config",
    description: "control plane CustomResourceDefinitions exist",
    hint: "l5d-existence-crd",
    fatal: true,
    find: ({ kinds }) => known(kinds, missingKinds),
  },
  present("MutatingWebhookConfiguration", "MutatingWebhookConfigurations", "l5d-existence-mwc"),
  present("ValidatingWebhookConfiguration", "ValidatingWebhookConfigurations", "l5d-existence-vwc"),
  {
    category: "linkerd-config",
    description: "proxy-init container runs as root user if docker container runtime is used",
    hint: "l5d-proxy-init-run-as-root",
    fatal: false,
    find: ({ config, nodes }) =>
      known(config, ({ proxyInit, cniEnabled }) =>
        known(nodes, (all) => {
          const dockers = all.filter(({ runtime }) => runtime.startsWith("docker"));
          if (dockers.length === 0 || proxyInit.runAsRoot || cniEnabled) return SUCCESS;
          return error(
            dockers.map(({ name }) => `* ${name} runs docker: set proxyInit.runAsRoot`).join("\n"),
          );
        }),
      ),
  },
];

/** The CNI plugin, with `--linkerd-cni-enabled` or where the values say so. */
export function cniChecks(namespace: string): readonly ClusterCheck[] {
  const category = "linkerd-cni-plugin";
  const there = (kind: string, name: string, hint: string): ClusterCheck => ({
    category,
    description: `cni plugin ${kind} exists`,
    hint,
    fatal: true,
    find: ({ cni }) =>
      known(cni, (found) =>
        found.get(kind)?.has(name) === true
          ? SUCCESS
          : error(`there is no ${kind} ${name} (namespace ${namespace})`),
      ),
  });
  return [
    there("ServiceAccount", "linkerd-cni", "cni-plugin-sa-exists"),
    there("DaemonSet", "linkerd-cni", "cni-plugin-ds-exists"),
    {
      category,
      description: "cni plugin pod is running on all nodes",
      hint: "cni-plugin-ready",
      fatal: true,
      passes: true,
      find: ({ cniDaemon }) =>
        known(cniDaemon, ({ wanted, ready }) =>
          ready >= wanted ? SUCCESS : error(`${ready} of ${wanted} pods are ready`),
        ),
    },
  ];
}

export const GATEWAY: readonly ClusterCheck[] = [gateway];
