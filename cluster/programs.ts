/** The programs of a cluster: which there are, and the arguments of each. Pure. */
import { join } from "node:path";
import { nodePathsOf, pathsOf, type Node, type Place } from "./place.ts";

/** How much of a cluster runs: an API server to talk to, or nodes that run pods. */
export type Extent = "api" | "full";

/** A program as it is started in a node's network namespace. */
export interface Started {
  /** Unique within the cluster; names its log. */
  readonly id: string;
  readonly program: string;
  readonly args: readonly string[];
  /** What it sees of the file system; absent: what this machine has. */
  readonly files?: Files;
}

/** A node has folders of its own at places that are the same on every node, as its pods and their plug-ins expect. */
export type Files =
  | { readonly type: "own"; readonly mounts: readonly Mount[] }
  /** Those of the program started under this id. */
  | { readonly type: "of"; readonly id: string };

/** A folder of the node, and the place at which its programs find it. */
export interface Mount {
  readonly from: string;
  readonly to: string;
}

/** Where network plug-ins, their settings, what they remember and pods' networks are on every node. */
export function nodeMounts(node: Node): readonly Mount[] {
  const { network, plugins, results, networks } = nodePathsOf(node);
  return [
    { from: network, to: "/etc/cni/net.d" },
    { from: plugins, to: "/opt/cni/bin" },
    { from: results, to: "/var/lib/cni" },
    { from: networks, to: "/run/netns" },
  ];
}

/** etcd and the API server. The store's durability is given up: nothing in it outlives the cluster. */
export function apiPrograms(place: Place): readonly Started[] {
  const { certificates, etcd } = pathsOf(place);
  const file = (name: string): string => join(certificates, name);
  const store = "http://127.0.0.1:2379";
  const issuer = `https://kubernetes.default.svc.${place.domain}`;
  const flags = {
    "etcd-servers": store,
    "advertise-address": place.first.address,
    "secure-port": "6443",
    "service-cluster-ip-range": place.serviceRanges.join(","),
    "allow-privileged": "true",
    profiling: "false",
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "client-ca-file": file("authority.crt"),
    "tls-cert-file": file("apiserver.crt"),
    "tls-private-key-file": file("apiserver.key"),
    "kubelet-client-certificate": file("kubelet-client.crt"),
    "kubelet-client-key": file("kubelet-client.key"),
    "kubelet-certificate-authority": file("authority.crt"),
    "kubelet-preferred-address-types": "InternalIP",
    "service-account-issuer": issuer,
    "api-audiences": issuer,
    "service-account-key-file": file("accounts.pub"),
    "service-account-signing-key-file": file("accounts.key"),
    "requestheader-client-ca-file": file("front.crt"),
    "requestheader-allowed-names": "front-proxy-client",
    "requestheader-username-headers": "X-Remote-User",
    "requestheader-group-headers": "X-Remote-Group",
    "requestheader-extra-headers-prefix": "X-Remote-Extra-",
    "enable-aggregator-routing": "true",
    "proxy-client-cert-file": file("front-client.crt"),
    "proxy-client-key-file": file("front-client.key"),
  };
  return [
    {
      id: "etcd",
      program: "etcd",
      args: flagsOf({
        "data-dir": etcd,
        "unsafe-no-fsync": "true",
        "listen-client-urls": store,
        "advertise-client-urls": store,
        "listen-peer-urls": "http://127.0.0.1:2380",
        "log-level": "warn",
      }),
    },
    { id: "kube-apiserver", program: "kube-apiserver", args: flagsOf(flags) },
  ];
}

/** The programs that need an API server that answers. */
export function controlPrograms(place: Place, extent: Extent): readonly Started[] {
  const { certificates, settings } = pathsOf(place);
  const common = (user: string): Record<string, string> => {
    const config = join(settings, `${user}.kubeconfig`);
    return {
      kubeconfig: config,
      "authentication-kubeconfig": config,
      "authorization-kubeconfig": config,
      "leader-elect": "false",
      profiling: "false",
      "bind-address": "127.0.0.1",
    };
  };
  const controllers: Started = {
    id: "kube-controller-manager",
    program: "kube-controller-manager",
    args: flagsOf({
      ...common("controllers"),
      "use-service-account-credentials": "true",
      "root-ca-file": join(certificates, "authority.crt"),
      "service-account-private-key-file": join(certificates, "accounts.key"),
      "cluster-signing-cert-file": join(certificates, "authority.crt"),
      "cluster-signing-key-file": join(certificates, "authority.key"),
    }),
  };
  switch (extent) {
    case "api":
      return [controllers];
    case "full":
      return [
        controllers,
        { id: "kube-scheduler", program: "kube-scheduler", args: flagsOf(common("scheduler")) },
        { id: "coredns", program: "coredns", args: [join(settings, "Corefile")] },
      ];
  }
}

/** The container runtime of a node, which needs nothing. */
export function runtimeProgram(place: Place, node: Node): Started {
  const settings = join(pathsOf(place).settings, `${node.name}-containerd.toml`);
  return {
    id: `${node.name}-containerd`,
    program: "containerd",
    args: ["--config", settings],
    files: { type: "own", mounts: nodeMounts(node) },
  };
}

/** What makes a runtime a node. */
export function nodePrograms(place: Place, node: Node): readonly Started[] {
  const { settings } = pathsOf(place);
  const { kubelet } = nodePathsOf(node);
  return [
    {
      id: `${node.name}-kubelet`,
      program: "kubelet",
      files: { type: "of", id: runtimeProgram(place, node).id },
      args: flagsOf({
        config: join(settings, `${node.name}-kubelet.json`),
        kubeconfig: join(settings, `${node.name}.kubeconfig`),
        "root-dir": kubelet,
        "cert-dir": join(kubelet, "pki"),
        "hostname-override": node.name,
        "node-ip": [node.address, ...(node.six === undefined ? [] : [node.six.address])].join(","),
      }),
    },
    {
      id: `${node.name}-kube-proxy`,
      program: "kube-proxy",
      args: flagsOf({ config: join(settings, `${node.name}-kube-proxy.json`) }),
    },
  ];
}

function flagsOf(flags: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}
