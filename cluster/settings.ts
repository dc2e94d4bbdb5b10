/** What each program of a cluster is told, as text. Pure; JSON where the program reads YAML. */
import { join } from "node:path";
import { nodePathsOf, pathsOf, type Node, type Place } from "./place.ts";

/** The image of every pod's first process; there is no registry, so it must have been loaded. */
export const PAUSE_IMAGE = "hauberk.test/pause:1";

export interface Programs {
  /** The folder of the built programs. */
  readonly bin: string;
  /** `runc`, built with seccomp: pods ask for the default profile. */
  readonly runc: string;
}

/** How a node's file system stores images: layers cannot lie over a file system of layers. */
export type Snapshotter = "overlayfs" | "native";

/** A file of credentials for a client of the API server. */
export function kubeconfig(
  place: Place,
  {
    user,
    authority,
    certificate,
    key,
  }: Readonly<Record<"user" | "authority" | "certificate" | "key", string>>,
): string {
  const { name, api } = place;
  return json({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name, cluster: { server: api, "certificate-authority-data": encode(authority) } }],
    users: [
      {
        name: user,
        user: { "client-certificate-data": encode(certificate), "client-key-data": encode(key) },
      },
    ],
    contexts: [{ name, context: { cluster: name, user } }],
    "current-context": name,
  });
}

/** containerd's own format. */
export function containerd(node: Node, programs: Programs, snapshotter: Snapshotter): string {
  const paths = nodePathsOf(node);
  const { containers, run, socket, network } = paths;
  // The plug-ins for what no node of ours has; tracing would dial a collector.
  const disabled = [
    "io.containerd.nri.v1.nri",
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
  ];
  return [
    "version = 3",
    `root = ${quote(containers)}`,
    `state = ${quote(join(run, "containerd"))}`,
    `disabled_plugins = [${disabled.map(quote).join(", ")}]`,
    "[grpc]",
    `address = ${quote(socket)}`,
    "[ttrpc]",
    `address = ${quote(`${socket}.ttrpc`)}`,
    `[plugins."io.containerd.cri.v1.images"]`,
    `snapshotter = ${quote(snapshotter)}`,
    `[plugins."io.containerd.cri.v1.images".pinned_images]`,
    `sandbox = ${quote(PAUSE_IMAGE)}`,
    `[plugins."io.containerd.cri.v1.runtime"]`,
    "disable_apparmor = true",
    // A root without CAP_SYS_RESOURCE may not lower the score.
    "restrict_oom_score_adj = true",
    `[plugins."io.containerd.cri.v1.runtime".cni]`,
    `bin_dirs = [${quote(programs.bin)}, ${quote(paths.plugins)}]`,
    `conf_dir = ${quote(network)}`,
    "use_internal_loopback = true",
    `[plugins."io.containerd.cri.v1.runtime".containerd]`,
    `default_runtime_name = "runc"`,
    `[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]`,
    `runtime_type = "io.containerd.runc.v2"`,
    `[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]`,
    `BinaryName = ${quote(programs.runc)}`,
    `Root = ${quote(join(run, "runc"))}`,
    "SystemdCgroup = false",
    "",
  ].join("\n");
}

/** The pods' network: a bridge on the node; everything else is routed by the node. */
export function podNetwork(node: Node): string {
  return json({
    cniVersion: "1.0.0",
    name: node.name,
    plugins: [
      {
        type: "bridge",
        bridge: "cni0",
        isGateway: true,
        ipMasq: false,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          dataDir: nodePathsOf(node).addresses,
          ranges: podRanges(node).map((subnet) => [{ subnet }]),
          routes: [{ dst: "0.0.0.0/0" }, ...(node.six === undefined ? [] : [{ dst: "::/0" }])],
        },
      },
    ],
  });
}

/** The kubelet's configuration. */
export function kubelet(place: Place, node: Node): string {
  const { certificates, settings } = pathsOf(place);
  const paths = nodePathsOf(node);
  return json({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    containerRuntimeEndpoint: `unix://${paths.socket}`,
    failCgroupV1: false,
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${node.cgroup}`,
    enforceNodeAllocatable: ["pods"],
    failSwapOn: false,
    makeIPTablesUtilChains: false,
    localStorageCapacityIsolation: false,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: join(certificates, "authority.crt") },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: join(certificates, `${node.name}-server.crt`),
    tlsPrivateKeyFile: join(certificates, `${node.name}-server.key`),
    clusterDomain: place.domain,
    clusterDNS: [place.dnsAddress],
    resolvConf: join(settings, "resolv.conf"),
    podLogsDir: paths.podLogs,
    volumePluginDir: join(paths.kubelet, "volume-plugins"),
    serializeImagePulls: false,
    registryPullQPS: 0,
    eventRecordQPS: 0,
    kubeAPIQPS: 100,
    kubeAPIBurst: 200,
    // What was loaded cannot be fetched again.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    evictionHard: {
      "memory.available": "50Mi",
      "nodefs.available": "1%",
      "imagefs.available": "1%",
      "nodefs.inodesFree": "1%",
    },
    maxPods: 200,
    nodeStatusUpdateFrequency: "5s",
  });
}

/** kube-proxy's configuration. */
export function kubeProxy(place: Place, node: Node): string {
  return json({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    bindAddress: node.six === undefined ? "0.0.0.0" : "::",
    metricsBindAddress: "127.0.0.1:10249",
    clientConnection: { kubeconfig: join(pathsOf(place).settings, "proxy.kubeconfig") },
    clusterCIDR: podRanges(node).join(","),
    hostnameOverride: node.name,
    // The limits are the machine's, and not a node's to set.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    nftables: { minSyncPeriod: "0s" },
  });
}

/** CoreDNS's configuration. It runs beside the node's programs, so names are there before the first pod. */
export function corefile(place: Place): string {
  return `.:53 {
  bind ${place.first.address}
  errors
  ready 127.0.0.1:8181
  cache 5
  loadbalance
  kubernetes ${place.domain} in-addr.arpa {
    kubeconfig ${join(pathsOf(place).settings, "dns.kubeconfig")}
    pods insecure
    ttl 5
  }
}
`;
}

/** What every cluster has in it: its names, as a Service whose endpoint is the first node. */
export function addons(place: Place): readonly Readonly<Record<string, unknown>>[] {
  const dns = { name: "kube-dns", namespace: "kube-system" };
  const access = { name: "hauberk:names" };
  const group = "rbac.authorization.k8s.io";
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "dns-tcp", port: 53, protocol: "TCP" },
  ];
  return [
    {
      apiVersion: `${group}/v1`,
      kind: "ClusterRole",
      metadata: access,
      rules: [
        { apiGroups: [""], resources: ["services", "pods", "namespaces"], verbs: ["list", "watch"] },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
      ],
    },
    {
      apiVersion: `${group}/v1`,
      kind: "ClusterRoleBinding",
      metadata: access,
      roleRef: { apiGroup: group, kind: "ClusterRole", name: access.name },
      subjects: [{ apiGroup: group, kind: "User", name: "hauberk:names" }],
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { ...dns, labels: { "k8s-app": "kube-dns" } },
      spec: { clusterIP: place.dnsAddress, ports },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: {
        name: "kube-dns-node",
        namespace: "kube-system",
        labels: { "kubernetes.io/service-name": "kube-dns" },
      },
      addressType: "IPv4",
      endpoints: [{ addresses: [place.first.address], conditions: { ready: true } }],
      ports,
    },
  ];
}

function encode(pem: string): string {
  return Buffer.from(pem).toString("base64");
}

/** What a node's network says of itself where addresses are given out by the cluster: kubelets ask from its first one. */
export function nodeNetwork(node: Node): Readonly<Record<string, unknown>> {
  const podCIDRs = podRanges(node);
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: node.name },
    spec: { podCIDR: podCIDRs[0], podCIDRs },
  };
}

/** Addresses of a node's pods: a range of each family. */
function podRanges({ podPrefix, six }: Node): readonly string[] {
  return [`${podPrefix}.0/24`, ...(six === undefined ? [] : [`${six.podPrefix}::/64`])];
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function quote(value: string): string {
  return JSON.stringify(value);
}
