/**
 * The CNI plugin's installer: one pod on each node, which puts the plugin in place and keeps it there. It asks no API
 * server, so it has an account without rights.
 */
import type { Chart, Template } from "../chart.ts";
import { resourcesOf } from "../component/meta.ts";
import {
  NAMESPACE,
  VERSION,
  entries,
  merge,
  text,
  value,
  when,
  withDefault,
  type Expression,
  type TemplateMap,
} from "../template/node.ts";

const NAME = "linkerd-cni";
const HOST = "/host";
const SELECTOR: TemplateMap = { "k8s-app": NAME };

function metadata(name: string | Expression, more: TemplateMap = {}): TemplateMap {
  return {
    name,
    ...more,
    annotations: { "linkerd.io/created-by": text`hauberk/${VERSION}` },
    labels: merge({ "linkerd.io/cni-resource": "true" }, entries("commonLabels")),
  };
}

/** Directories of the node that are written, below one root, and that of networks where it is. */
const DIRECTORIES = [
  { name: "cni-bin", path: "destCNIBinDir" },
  { name: "cni-net", path: "destCNINetDir" },
  { name: "cni-cache", path: "destCNICacheDir" },
] as const;

const container = merge(
  {
    name: "install-cni",
    image: text`${value("image.name")}:${withDefault(value("image.version"), VERSION)}`,
    imagePullPolicy: value("image.pullPolicy"),
    args: [
      "install-cni",
      `--host=${HOST}`,
      text`--bin-dir=${value("destCNIBinDir")}`,
      text`--net-dir=${value("destCNINetDir")}`,
      text`--cache-dir=${value("destCNICacheDir")}`,
    ],
    readinessProbe: {
      exec: {
        command: [
          "/hauberk-proxy",
          "install-cni",
          "--check",
          `--host=${HOST}`,
          text`--bin-dir=${value("destCNIBinDir")}`,
          text`--net-dir=${value("destCNINetDir")}`,
        ],
      },
      periodSeconds: 5,
    },
  },
  ...resourcesOf("resources"),
  {
    securityContext: {
      allowPrivilegeEscalation: false,
      // To enter the network of a pod that was there before the plugin, and to redirect it.
      capabilities: { add: ["NET_ADMIN", "SYS_ADMIN"], drop: ["ALL"] },
      readOnlyRootFilesystem: true,
      runAsNonRoot: false,
      runAsUser: 0,
      seccompProfile: { type: "RuntimeDefault" },
    },
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [
      ...DIRECTORIES.map(({ name, path }) => ({
        name,
        mountPath: text`${{ $: "literal", text: HOST }}${value(path)}`,
      })),
      {
        name: "netns",
        mountPath: value("networkNamespaceDir"),
        mountPropagation: "HostToContainer",
        readOnly: true,
      },
    ],
  },
);

const daemonSet: Template = {
  file: "daemonset",
  kind: "DaemonSet",
  object: {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: metadata(NAME, { namespace: NAMESPACE }),
    spec: {
      selector: { matchLabels: SELECTOR },
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } },
      template: {
        metadata: {
          annotations: { "linkerd.io/inject": "disabled" },
          labels: merge(
            SELECTOR,
            { "linkerd.io/cni-resource": "true" },
            entries("podLabels"),
            entries("commonLabels"),
          ),
        },
        spec: merge(
          { nodeSelector: value("nodeSelector") },
          when("tolerations", { tolerations: value("tolerations") }),
          when("priorityClassName", { priorityClassName: value("priorityClassName") }),
          {
            // It makes pods' networks work, so it cannot wait for one.
            hostNetwork: true,
            automountServiceAccountToken: false,
            serviceAccountName: NAME,
            securityContext: { seccompProfile: { type: "RuntimeDefault" } },
            containers: [container],
            volumes: [
              ...DIRECTORIES.map(({ name, path }) => ({
                name,
                hostPath: { path: value(path), type: "DirectoryOrCreate" },
              })),
              { name: "netns", hostPath: { path: value("networkNamespaceDir"), type: "DirectoryOrCreate" } },
            ],
          },
        ),
      },
    },
  },
};

const serviceAccount: Template = {
  file: "serviceaccount",
  kind: "ServiceAccount",
  object: merge(
    {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: metadata(NAME, { namespace: NAMESPACE }),
      automountServiceAccountToken: false,
    },
    when("imagePullSecrets", { imagePullSecrets: value("imagePullSecrets") }),
  ),
};

export const CNI_CHART: Chart = {
  name: "hauberk-cni",
  description:
    "The CNI plugin of the Hauberk service mesh: pods are redirected without a capability of their own.",
  templates: [serviceAccount, daemonSet],
};

/** With Helm it is the release's namespace, so only the command line writes it. */
export const CNI_NAMESPACE: Template = {
  file: "namespace",
  kind: "Namespace",
  object: {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name: NAMESPACE,
      annotations: { "linkerd.io/inject": "disabled" },
      labels: {
        "linkerd.io/cni-resource": "true",
        "config.linkerd.io/admission-webhooks": "disabled",
        "pod-security.kubernetes.io/enforce": "privileged",
      },
    },
  },
};
