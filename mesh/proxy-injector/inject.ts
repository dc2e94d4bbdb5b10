/** What injection adds to a pod: decided from the pod, its namespace, its owner and the mesh's values alone. Pure. */
import { z } from "zod";
import { AnnotationReader, Enabled, Flag, Quantity, type AnnotationProblem } from "./annotations.ts";
import {
  IDENTITY_DIR,
  TOKEN_FILE,
  debugContainer,
  initContainer,
  proxyContainer,
  validatorContainer,
  volumes,
  type ContainerChoices,
} from "./containers.ts";
import { defaultsOf } from "./defaults.ts";
import { inheritedAnnotations } from "./inherit.ts";
import { REVISION_LABEL, ofRevision } from "../model/revision.ts";
import { namedPorts, tcpPorts, type Pod } from "./pod.ts";
import { trustDomainOf, type EnvVar, type InjectorSettings } from "./settings.ts";
import { sidecar, type Sidecar, type SidecarConfig } from "./sidecar.ts";

type Strings = Readonly<Record<string, string>>;

/** The workload that a pod belongs to, at its root: the Deployment and not its ReplicaSet. */
export interface Owner {
  readonly kind: string;
  readonly name: string;
}

/** What a mesh puts into every pod. */
export interface Mesh {
  readonly settings: InjectorSettings;
  /** The control plane's. */
  readonly namespace: string;
  /** Which control plane of that namespace; absent: the first. */
  readonly revision?: string | undefined;
  readonly trustAnchorsPem: string;
  /** Of `trustAnchorsPem`, in hexadecimal. */
  readonly trustRootSha256: string;
  /** Who injects, as `linkerd.io/created-by` says it. */
  readonly createdBy: string;
}

export interface InjectionContext {
  readonly mesh: Mesh;
  readonly namespace: { readonly name: string; readonly annotations: Strings };
  readonly owner: Owner | undefined;
}

/** What is added to a pod. Nothing of it is taken away or changed. */
export interface Additions {
  readonly labels: Strings;
  readonly annotations: Strings;
  readonly volumes: readonly unknown[];
  readonly initContainers: { readonly first: readonly unknown[]; readonly last: readonly unknown[] };
  readonly containers: { readonly first: readonly unknown[]; readonly last: readonly unknown[] };
}

export interface Injection {
  readonly additions: Additions;
  readonly problems: readonly AnnotationProblem[];
}

/** What the CNI plugin is to redirect: the words of `hauberk-proxy init`. */
const REDIRECT = "hauberk.io/redirect";

/** The values of the pod that only Kubernetes knows, as references that it resolves in `env`. */
const REFERENCES: readonly EnvVar[] = [
  { name: "_pod_name", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
  { name: "_pod_ns", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
  { name: "_pod_uid", valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
  { name: "_pod_nodeName", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
  { name: "_pod_sa", valueFrom: { fieldRef: { fieldPath: "spec.serviceAccountName" } } },
  { name: "_pod_ips", valueFrom: { fieldRef: { fieldPath: "status.podIPs" } } },
];

/** What is added to `pod`. Whether it should be is `admit`'s question. */
export function inject(pod: Pod, context: InjectionContext): Injection {
  const { mesh, namespace, owner } = context;
  const annotations = pod.metadata?.annotations ?? {};
  const reader = new AnnotationReader(defaultsOf(mesh.settings), {
    namespace: namespace.annotations,
    pod: annotations,
  });
  const uid = reader.read("proxy-uid", Id) ?? mesh.settings.proxy.uid;
  const made = sidecar(
    {
      namespace: "$(_pod_ns)",
      name: "$(_pod_name)",
      node: "$(_pod_nodeName)",
      serviceAccount: "$(_pod_sa)",
      ips: ["$(_pod_ips)"],
      ports: tcpPorts(pod),
      namedPorts: namedPorts(pod),
      annotations,
      namespaceAnnotations: namespace.annotations,
    },
    sidecarConfig(mesh, uid),
  );
  const choices = choose(reader, { settings: mesh.settings, uid, made: made.sidecar });
  const debug = debugOf(reader, mesh.settings);
  const { cniEnabled } = mesh.settings;
  const proxy = proxyContainer(choices, { env: environment(made.sidecar), settings: mesh.settings });
  const network = cniEnabled
    ? validatorContainer(choices, mesh.settings)
    : initContainer(choices, { args: made.sidecar.init, settings: mesh.settings });
  // The validator tells first of all. A classic proxy starts after all init containers, so the redirection comes last:
  // until then they have the network that they would have without a mesh.
  const isFirst = choices.isNative || cniEnabled;
  return {
    additions: {
      labels: labels(mesh, { namespace: namespace.name, owner }),
      annotations: {
        ...inheritedAnnotations(pod, { namespace: namespace.annotations, settings: mesh.settings }),
        "linkerd.io/created-by": mesh.createdBy,
        "linkerd.io/proxy-version":
          // A version that is pinned has its digest after it.
          (reader.read("proxy-version", z.string().min(1)) ?? mesh.settings.linkerdVersion).replace(
            /@.*$/,
            "",
          ),
        "linkerd.io/trust-root-sha256": mesh.trustRootSha256,
        // The CNI plugin gets the pod's annotations from the container runtime, and asks nobody else.
        ...(cniEnabled ? { [REDIRECT]: JSON.stringify(made.sidecar.init) } : {}),
      },
      volumes: volumes(mesh.settings),
      initContainers: {
        first: [...(isFirst ? [network] : []), ...(choices.isNative ? [proxy] : [])],
        last: isFirst ? [] : [network],
      },
      containers: { first: choices.isNative ? [] : [proxy], last: debug },
    },
    problems: [...reader.problems, ...made.problems, ...unmet(pod, { context, choices })],
  };
}

/** What is asked for and cannot be had: from this proxy, or of this way to run it. */
function unmet(
  pod: Pod,
  { context, choices }: { readonly context: InjectionContext; readonly choices: ContainerChoices },
): readonly AnnotationProblem[] {
  const { owner, namespace } = context;
  const asked = pod.metadata?.annotations?.[INJECT] ?? namespace.annotations[INJECT];
  const isJob = owner?.kind === "Job" || owner?.kind === "CronJob";
  return [
    // Another proxy does not know that approved mode is asked of it, and would be ready without.
    ...(context.mesh.settings.fips.enabled && !choices.isOurs
      ? [
          {
            annotation: PROXY_IMAGE,
            message: "names another proxy than the FIPS profile's, whose approved mode nobody could show",
            closes: true,
          } as const,
        ]
      : []),
    // It would not start: Linkerd's, in an image of its own, does.
    ...(asked === "ingress" && choices.isOurs
      ? [
          {
            annotation: INJECT,
            message: "is ingress, a mode that this proxy does not have: use enabled",
            closes: true,
          } as const,
        ]
      : []),
    ...(isJob && !choices.isNative
      ? [
          {
            annotation: "config.linkerd.io/proxy-enable-native-sidecar",
            message: "is false: pods of this Job do not end while their proxy runs",
          },
        ]
      : []),
  ];
}

const INJECT = "linkerd.io/inject";
const PROXY_IMAGE = "config.linkerd.io/proxy-image";

/** Labels by which the control plane, metrics and people know a meshed pod (INTERFACE §3). */
function labels(
  mesh: Mesh,
  { namespace, owner }: { readonly namespace: string; readonly owner: Owner | undefined },
): Strings {
  return {
    "linkerd.io/control-plane-ns": mesh.namespace,
    "linkerd.io/workload-ns": namespace,
    ...(mesh.revision === undefined ? {} : { [REVISION_LABEL]: mesh.revision }),
    ...(owner === undefined || !OWNERS.has(owner.kind)
      ? {}
      : { [`linkerd.io/proxy-${owner.kind.toLowerCase()}`]: owner.name }),
  };
}

const OWNERS = new Set([
  "Deployment",
  "ReplicaSet",
  "ReplicationController",
  "StatefulSet",
  "DaemonSet",
  "Job",
  "CronJob",
]);

const Id = z
  .string()
  .regex(/^[1-9]\d{0,9}$/, "is no id of a user above 0")
  .transform(Number);
const PullPolicy = z.enum(["Always", "IfNotPresent", "Never"]);
const Text = z.string().min(1);
const Seconds = z
  .string()
  .regex(/^\d{1,6}$/, "is no number of seconds")
  .transform(Number);

function choose(
  reader: AnnotationReader,
  {
    settings,
    uid,
    made,
  }: { readonly settings: InjectorSettings; readonly uid: number; readonly made: Sidecar },
): ContainerChoices {
  const name = reader.read("proxy-image", Text) ?? settings.proxy.image.name;
  const version = reader.read("proxy-version", Text) ?? settings.linkerdVersion;
  // A proxy of another make has no redirection of ours.
  const isOurs = name === settings.proxy.image.name;
  const own = settings.proxy.image.version === "" ? settings.linkerdVersion : settings.proxy.image.version;
  return {
    image: `${name}:${version}`,
    isOurs,
    initImage: isOurs ? `${name}:${version}` : `${settings.proxy.image.name}:${own}`,
    pullPolicy: reader.read("image-pull-policy", PullPolicy) ?? settings.imagePullPolicy,
    uid,
    gid: reader.read("proxy-gid", Id),
    resources: resources(reader),
    isNative: reader.read("proxy-enable-native-sidecar", Flag) === "true",
    isAwaited: reader.read("proxy-await", Enabled) === "enabled",
    waitBeforeExitSeconds: reader.read("proxy-wait-before-exit-seconds", Seconds) ?? 0,
    inboundPort: made.inboundPort,
    outboundPort: made.outboundPort,
    adminPort: made.adminPort,
  };
}

/** The container's requests and limits; a ratio of the node's processors is no limit that Kubernetes knows. */
function resources(reader: AnnotationReader): ContainerChoices["resources"] {
  const of = (which: "request" | "limit"): Strings =>
    Object.fromEntries(
      ["cpu", "memory", "ephemeral-storage"].flatMap((resource) => {
        const value = reader.read(`proxy-${resource}-${which}`, Quantity);
        return value === undefined ? [] : [[resource, value]];
      }),
    );
  const [limits, requests] = [of("limit"), of("request")];
  const set = Object.entries({ limits, requests }).filter(([, part]) => Object.keys(part).length > 0);
  return set.length === 0 ? undefined : Object.fromEntries(set);
}

function debugOf(reader: AnnotationReader, settings: InjectorSettings): readonly unknown[] {
  const isAsked = reader.read("enable-debug-sidecar", Flag) === "true";
  const image = reader.read("debug-image", Text);
  const version = reader.read("debug-image-version", Text) ?? settings.linkerdVersion;
  const policy = reader.read("debug-image-pull-policy", PullPolicy) ?? settings.imagePullPolicy;
  if (!isAsked) return [];
  if (image !== undefined) return [debugContainer(`${image}:${version}`, policy)];
  reader.problems.push({
    annotation: "config.linkerd.io/enable-debug-sidecar",
    message: "no image is named by config.linkerd.io/debug-image or the value debugContainer.image.name",
  });
  return [];
}

/** Variables that only Kubernetes can resolve come first: those after them refer to them. */
function environment({ environment: variables, references }: Sidecar): readonly EnvVar[] {
  const elsewhere = new Set(references.map(({ name }) => name));
  const values = Object.entries(variables)
    .filter(([name]) => !elsewhere.has(name))
    .map(([name, value]) => ({ name, value }));
  return [...REFERENCES, ...values, ...references];
}

/** A proxy that is not in approved mode then serves nothing, and is never ready. */
const APPROVED_MODE = { HAUBERK_PROXY_FIPS: "required" } as const;

function sidecarConfig(mesh: Mesh, uid: number): SidecarConfig {
  const { settings, namespace, revision } = mesh;
  const { clusterDomain, proxy } = settings;
  const trustDomain = trustDomainOf(settings);
  const service = (name: string, port: number, account: string) => ({
    addr: `${ofRevision(name, revision)}.${namespace}.svc.${clusterDomain}.:${port}`,
    name: `${account}.${namespace}.serviceaccount.identity.${namespace}.${trustDomain}`,
  });
  return {
    clusterDomain,
    trustDomain,
    trustAnchorsPem: mesh.trustAnchorsPem,
    clusterNetworks: settings.clusterNetworks.split(",").map((network) => network.trim()),
    defaultInboundPolicy: proxy.defaultInboundPolicy,
    destination: service("linkerd-dst-headless", 8_086, "linkerd-destination"),
    policy: service("linkerd-policy", 8_090, "linkerd-destination"),
    identity: service("linkerd-identity-headless", 8_080, "linkerd-identity"),
    identityDir: IDENTITY_DIR,
    tokenFile: TOKEN_FILE,
    logLevel: proxy.logLevel,
    logFormat: proxy.logFormat,
    ...(proxy.tapServiceName === "" ? {} : { tap: proxy.tapServiceName }),
    exempt: { type: "uid", uid },
    environment: {},
    ...(settings.fips.enabled ? { unchangeable: APPROVED_MODE } : {}),
    ...(proxy.cores === 0 ? {} : { cores: String(proxy.cores) }),
    defaults: defaultsOf(settings),
    controlPlaneNamespace: namespace,
    ipv6: !settings.disableIPv6,
    streams: proxy.control.streams,
  };
}
