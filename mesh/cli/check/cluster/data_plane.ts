/** Checks of proxies: the control plane's own, and those of applications. */
import { hasPort, parsePorts } from "@hauberk/mesh/model/ports.ts";
import { SUCCESS, error, known, none, warning, type Check, type Finding } from "../check.ts";
import { unready } from "./existence.ts";
import type { ClusterFacts, PodFact, ServiceFact } from "./facts.ts";

type ClusterCheck = Check<ClusterFacts>;

const CONTROL_PLANE_NS = "linkerd.io/control-plane-ns";
const OPAQUE = "config.linkerd.io/opaque-ports";

/** A pod is meshed where the label says whose it is (INTERFACE §3). */
function isMeshed(pod: PodFact, namespace: string): boolean {
  return (
    pod.labels[CONTROL_PLANE_NS] === namespace && pod.containers.some(({ name }) => name === "linkerd-proxy")
  );
}

function proxyVersion(pod: PodFact): string {
  const image = pod.containers.find(({ name }) => name === "linkerd-proxy")?.image ?? "";
  const tag = /:([^:/@]+)(?:@.*)?$/.exec(image)?.[1] ?? "";
  return (pod.annotations["linkerd.io/proxy-version"] ?? tag).replace(/@.*$/, "");
}

type Scope = "control-plane" | "data-plane";

function proxies({ pods, namespace, dataPlane }: ClusterFacts, scope: Scope) {
  if (!pods.ok) return pods;
  const value = pods.value.filter((pod) => {
    if (!isMeshed(pod, namespace) || pod.isLeaving) return false;
    const isControlPlane = pod.labels["linkerd.io/control-plane-component"] !== undefined;
    if (scope === "control-plane") return isControlPlane && pod.namespace === namespace;
    return !isControlPlane && (dataPlane === undefined || pod.namespace === dataPlane);
  });
  return { ok: true as const, value };
}

function ofProxies(
  facts: ClusterFacts,
  scope: Scope,
  judge: (pod: PodFact) => string | undefined,
  as: (message: string) => Finding = error,
): Finding {
  return known(proxies(facts, scope), (pods) =>
    none(
      pods.flatMap((pod) => judge(pod) ?? []),
      as,
    ),
  );
}

function otherThan(version: string, what: string) {
  return (pod: PodFact): string | undefined =>
    proxyVersion(pod) === version
      ? undefined
      : `* ${pod.namespace}/${pod.name}: ${proxyVersion(pod)}, ${what} ${version}`;
}

function versions(
  category: string,
  scope: Scope,
  hints: { readonly upToDate: string; readonly cli: string },
  words: { readonly upToDate: string; readonly cli: string },
): readonly ClusterCheck[] {
  return [
    {
      category,
      description: words.upToDate,
      hint: hints.upToDate,
      fatal: false,
      find: (facts) => ofProxies(facts, scope, otherThan(facts.expectedVersion, "the newest is"), warning),
    },
    {
      category,
      description: words.cli,
      hint: hints.cli,
      fatal: false,
      find: (facts) => ofProxies(facts, scope, otherThan(facts.cliVersion, "this program is"), warning),
    },
  ];
}

export const CONTROL_PLANE_PROXIES: readonly ClusterCheck[] = [
  {
    category: "linkerd-control-plane-proxy",
    description: "control plane proxies are healthy",
    hint: "l5d-cp-proxy-healthy",
    fatal: true,
    passes: true,
    find: (facts) =>
      known(proxies(facts, "control-plane"), (pods) =>
        pods.length === 0
          ? error("no pod of the control plane has a proxy")
          : none(pods.flatMap((pod) => unready(pod) ?? [])),
      ),
  },
  ...versions(
    "linkerd-control-plane-proxy",
    "control-plane",
    { upToDate: "l5d-cp-proxy-version", cli: "l5d-cp-proxy-cli-version" },
    { upToDate: "control plane proxies are up-to-date", cli: "control plane proxies and cli versions match" },
  ),
];

/** Labels and annotations that mean something on one kind of object only, and are found on another by mistake. */
const POD_ONLY = /^(?:linkerd\.io\/inject|config\.(?:alpha\.|beta\.)?linkerd\.io\/)/;
const SERVICE_ANNOTATIONS = new Set([OPAQUE]);
/** What the injector and selectors write as labels. */
const WRONG_LABELS =
  /^(?:config\.(?:alpha\.|beta\.)?linkerd\.io\/(?!admission-webhooks$)|linkerd\.io\/inject$)/;

function misplaced({
  namespace,
  name,
  labels,
}: {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}): readonly string[] {
  return Object.keys(labels)
    .filter((label) => WRONG_LABELS.test(label))
    .map((label) => `* ${namespace}/${name}: ${label} is an annotation, not a label`);
}

function misplacedAnnotations({ namespace, name, annotations }: ServiceFact): readonly string[] {
  return Object.keys(annotations)
    .filter((annotation) => POD_ONLY.test(annotation) && !SERVICE_ANNOTATIONS.has(annotation))
    .map((annotation) => `* ${namespace}/${name}: ${annotation} has no meaning on a Service`);
}

function servicesOf({ services, dataPlane }: ClusterFacts): ClusterFacts["services"] {
  if (!services.ok || dataPlane === undefined) return services;
  return { ok: true, value: services.value.filter(({ namespace }) => namespace === dataPlane) };
}

function selects({ selector, namespace }: ServiceFact, pod: PodFact): boolean {
  const wanted = Object.entries(selector);
  return (
    wanted.length > 0 &&
    namespace === pod.namespace &&
    wanted.every(([label, value]) => pod.labels[label] === value)
  );
}

/** Ports that one side of a connection takes for opaque and the other does not. */
function disagreements(service: ServiceFact, pods: readonly PodFact[]): readonly string[] {
  return pods
    .filter((pod) => selects(service, pod))
    .flatMap((pod) => {
      const [ofService, ofPod] = [service.annotations[OPAQUE], pod.annotations[OPAQUE]];
      if ((ofService ?? "") === "" && (ofPod ?? "") === "") return [];
      const at = `* ${service.namespace}/${service.name} and pod ${pod.name}:`;
      return service.ports.flatMap(({ port, targetPort }) => {
        if (typeof targetPort !== "number") return [];
        const isOpaqueHere = ofService !== undefined && hasPort(parsePorts(ofService).ports, port);
        const isOpaqueThere = ofPod !== undefined && hasPort(parsePorts(ofPod).ports, targetPort);
        if (isOpaqueHere === isOpaqueThere) return [];
        return isOpaqueHere
          ? [`${at} port ${port} is opaque on the Service and not on the pod`]
          : [`${at} port ${targetPort} is opaque on the pod and not on the Service`];
      });
    });
}

const DATA_PLANE = "linkerd-data-plane";

/** With `--proxy`. */
export const DATA_PLANE_CHECKS: readonly ClusterCheck[] = [
  {
    category: DATA_PLANE,
    description: "data plane namespace exists",
    hint: "l5d-data-plane-exists",
    fatal: true,
    find: ({ namespaces, dataPlane }) =>
      known(namespaces, (all) =>
        dataPlane === undefined || all.some(({ name }) => name === dataPlane)
          ? SUCCESS
          : error(`there is no namespace ${dataPlane}`),
      ),
  },
  {
    category: DATA_PLANE,
    description: "data plane proxies are ready",
    hint: "l5d-data-plane-ready",
    fatal: true,
    passes: true,
    find: (facts) =>
      known(proxies(facts, "data-plane"), (pods) =>
        pods.length === 0
          ? error(`no pod ${facts.dataPlane === undefined ? "" : `of ${facts.dataPlane} `}has a proxy`)
          : none(pods.flatMap((pod) => unready(pod) ?? [])),
      ),
  },
  ...versions(
    DATA_PLANE,
    "data-plane",
    { upToDate: "l5d-data-plane-version", cli: "l5d-data-plane-cli-version" },
    { upToDate: "data plane is up-to-date", cli: "data plane and cli versions match" },
  ),
  {
    category: DATA_PLANE,
    description: "data plane pod labels are configured correctly",
    hint: "l5d-data-plane-pod-labels",
    fatal: false,
    find: (facts) => known(proxies(facts, "data-plane"), (pods) => none(pods.flatMap(misplaced), warning)),
  },
  {
    category: DATA_PLANE,
    description: "data plane service labels are configured correctly",
    hint: "l5d-data-plane-services-labels",
    fatal: false,
    find: (facts) => known(servicesOf(facts), (all) => none(all.flatMap(misplaced), warning)),
  },
  {
    category: DATA_PLANE,
    description: "data plane service annotations are configured correctly",
    hint: "l5d-data-plane-services-annotations",
    fatal: false,
    find: (facts) => known(servicesOf(facts), (all) => none(all.flatMap(misplacedAnnotations), warning)),
  },
  {
    category: "linkerd-opaque-ports-definition",
    description: "opaque ports are properly annotated",
    hint: "linkerd-opaque-ports-definition",
    fatal: false,
    find: (facts) =>
      known(proxies(facts, "data-plane"), (pods) =>
        known(servicesOf(facts), (all) =>
          none(
            all.flatMap((service) => disagreements(service, pods)),
            warning,
          ),
        ),
      ),
  },
];

const VALID_EXTENSIONS = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** Versions, high availability, and namespaces of extensions. */
export const VERSION_CHECKS: readonly ClusterCheck[] = [
  {
    category: "linkerd-version",
    description: "can determine the latest version",
    hint: "l5d-version-latest",
    fatal: false,
    find: () => SUCCESS,
  },
  {
    category: "linkerd-version",
    description: "cli is up-to-date",
    hint: "l5d-version-cli",
    fatal: false,
    find: ({ cliVersion, expectedVersion }) =>
      cliVersion === expectedVersion
        ? SUCCESS
        : warning(`this is ${cliVersion}, the newest is ${expectedVersion}`),
  },
];

export const CONTROL_PLANE_VERSION: readonly ClusterCheck[] = [
  {
    category: "control-plane-version",
    description: "can retrieve the control plane version",
    hint: "l5d-version-control",
    fatal: true,
    find: ({ config }) => known(config, () => SUCCESS),
  },
  {
    category: "control-plane-version",
    description: "control plane is up-to-date",
    hint: "l5d-version-control",
    fatal: false,
    find: ({ config, expectedVersion }) =>
      known(config, ({ linkerdVersion }) =>
        linkerdVersion === expectedVersion
          ? SUCCESS
          : warning(`the control plane is ${linkerdVersion}, the newest is ${expectedVersion}`),
      ),
  },
  {
    category: "control-plane-version",
    description: "control plane and cli versions match",
    hint: "l5d-version-control",
    fatal: false,
    find: ({ config, cliVersion }) =>
      known(config, ({ linkerdVersion }) =>
        linkerdVersion === cliVersion
          ? SUCCESS
          : warning(`the control plane is ${linkerdVersion}, this program is ${cliVersion}`),
      ),
  },
];

export const LAST: readonly ClusterCheck[] = [
  {
    category: "linkerd-ha-checks",
    description: "multiple replicas of control plane pods",
    hint: "l5d-control-plane-replicas",
    fatal: false,
    find: ({ config, replicaSets }) =>
      known(config, ({ controllerReplicas }) => {
        if (controllerReplicas < 2) return SUCCESS;
        return known(replicaSets, (sets) =>
          none(
            sets
              .filter(({ wanted, ready }) => wanted > 0 && ready < 2)
              .map(({ name, ready }) => `* ${name} has ${ready} ready pods`),
            warning,
          ),
        );
      }),
  },
  {
    category: "linkerd-extension-checks",
    description: "namespace configuration for extensions",
    hint: "l5d-extension-namespaces",
    fatal: false,
    find: ({ namespaces }) =>
      known(namespaces, (all) => {
        const extensions = all.flatMap(({ name, labels }) => {
          const extension = labels["linkerd.io/extension"];
          return extension === undefined ? [] : [{ name, extension }];
        });
        const wrong = extensions.filter(({ extension }) => !VALID_EXTENSIONS.test(extension));
        const twice = extensions.filter(
          ({ extension }, at) => extensions.findIndex((one) => one.extension === extension) !== at,
        );
        return none(
          [
            ...wrong.map(
              ({ name, extension }) => `* ${name}: ${JSON.stringify(extension)} is no name of an extension`,
            ),
            ...twice.map(
              ({ name, extension }) => `* ${name}: the extension ${extension} has another namespace, too`,
            ),
          ],
          warning,
        );
      }),
  },
];
