/** What can be set of the CNI plugin's installer. Names are those of Linkerd's chart, where it has them. */
import { z } from "zod";
import { json, labels, record, resources, text, words } from "../values/leaf.ts";

export const CniValues = z.strictObject({
  destCNIBinDir: text("/opt/cni/bin", "The node's directory of plugins."),
  destCNINetDir: text("/etc/cni/net.d", "The node's directory of network configurations."),
  destCNICacheDir: text("/var/lib/cni", "Where the node's container runtime remembers pods' networks."),
  networkNamespaceDir: text("/var/run/netns", "Where the node's container runtime keeps pods' networks."),
  image: record("The image: the proxy's, which holds the plugin.", {
    name: text("hauberk/proxy", "Its name."),
    version: text("", "Its tag or digest; empty: this version."),
    pullPolicy: words(["IfNotPresent", "Always", "Never"], "IfNotPresent", "When it is pulled."),
  }),
  imagePullSecrets: json(z.array(z.looseObject({ name: z.string() })), [], "Secrets for a private registry."),
  priorityClassName: text(
    "system-node-critical",
    "Pods that start before the plugin is there are held back.",
  ),
  nodeSelector: json(
    z.record(z.string(), z.string()),
    { "kubernetes.io/os": "linux" },
    "Nodes that get the plugin.",
  ),
  tolerations: json(
    z.array(z.looseObject({})),
    [{ operator: "Exists" }],
    "Taints that it tolerates: every one.",
  ),
  podLabels: labels("Labels of its pods."),
  commonLabels: labels("Labels of all objects."),
  resources: resources("What it asks for and may have.", {
    cpu: { request: "5m" },
    memory: { request: "10Mi", limit: "50Mi" },
  }),
});
export type CniValues = z.infer<typeof CniValues>;
