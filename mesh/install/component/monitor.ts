/** PodMonitors, for clusters with the Prometheus operator; job names and labels are those of Linkerd's dashboards. */
import type { Template } from "../chart.ts";
import { NAMESPACE, all, entries, merge, value, type TemplateMap } from "../template/node.ts";
import { inNamespace, type Component } from "./meta.ts";

function relabel(sourceLabel: string, targetLabel: string): TemplateMap {
  return { sourceLabels: [sourceLabel], action: "replace", targetLabel };
}

function keep(sourceLabel: string, regex: string): TemplateMap {
  return { sourceLabels: [sourceLabel], action: "keep", regex };
}

function monitor(
  name: "controller" | "proxy",
  spec: {
    readonly job: string;
    readonly namespaces: TemplateMap;
    readonly relabelings: readonly TemplateMap[];
  },
): Template {
  const metadata = inNamespace(`linkerd-${name}`, { component: "monitoring" });
  return {
    file: `${name}-podmonitor`,
    kind: "PodMonitor",
    condition: all("podMonitor.enabled", `podMonitor.${name}.enabled`),
    object: {
      apiVersion: "monitoring.coreos.com/v1",
      kind: "PodMonitor",
      metadata: {
        ...metadata,
        labels: merge({ "linkerd.io/control-plane-ns": NAMESPACE }, entries("podMonitor.labels")),
      },
      spec: {
        jobLabel: "app",
        namespaceSelector: spec.namespaces,
        podMetricsEndpoints: [
          {
            interval: value("podMonitor.scrapeInterval"),
            scrapeTimeout: value("podMonitor.scrapeTimeout"),
            relabelings: [
              ...spec.relabelings,
              { action: "replace", targetLabel: "job", replacement: spec.job },
            ],
          },
        ],
        selector: { matchLabels: name === "proxy" ? { "linkerd.io/control-plane-ns": NAMESPACE } : {} },
      },
    },
  };
}

const NAMES: readonly TemplateMap[] = [
  relabel("__meta_kubernetes_namespace", "namespace"),
  relabel("__meta_kubernetes_pod_name", "pod"),
];

export function monitors(components: readonly Component[]): readonly Template[] {
  return [
    monitor("controller", {
      job: "linkerd-controller",
      namespaces: { matchNames: [NAMESPACE] },
      relabelings: [
        keep("__meta_kubernetes_pod_label_linkerd_io_control_plane_component", components.join("|")),
        keep("__meta_kubernetes_pod_container_port_name", "(.*)-admin"),
        relabel("__meta_kubernetes_pod_container_name", "component"),
        ...NAMES,
      ],
    }),
    monitor("proxy", {
      job: "linkerd-proxy",
      namespaces: { any: true },
      relabelings: [
        keep("__meta_kubernetes_pod_container_name", "linkerd-proxy"),
        keep("__meta_kubernetes_pod_container_port_name", "linkerd-admin"),
        ...NAMES,
        relabel("__meta_kubernetes_pod_label_linkerd_io_control_plane_ns", "control_plane_ns"),
        relabel("__meta_kubernetes_pod_label_linkerd_io_proxy_deployment", "deployment"),
        relabel("__meta_kubernetes_pod_label_linkerd_io_proxy_daemonset", "daemonset"),
        relabel("__meta_kubernetes_pod_label_linkerd_io_proxy_statefulset", "statefulset"),
        relabel("__meta_kubernetes_pod_label_linkerd_io_proxy_replicaset", "replicaset"),
        relabel(
          "__meta_kubernetes_pod_label_linkerd_io_proxy_replicationcontroller",
          "replicationcontroller",
        ),
        relabel("__meta_kubernetes_pod_label_linkerd_io_proxy_job", "k8s_job"),
      ],
    }),
  ];
}
