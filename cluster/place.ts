/** Where a cluster is: names, addresses and paths, all of them from its name and number. Pure. */
import { join } from "node:path";

/** A number picks the addresses, so that clusters side by side never share one. */
export const NUMBER_MAX = 9;

/** Enough to drain one and lose another. */
export const NODES_MAX = 3;

/** The bridge between the nodes of all clusters and this machine. */
export const BRIDGE = {
  name: "hbk0",
  address: "172.31.0.1",
  length: 16,
  address6: "fd00:172:31::1",
  length6: 64,
} as const;

const NAME = /^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/;

/** A node: a network namespace, a group of processes, and a range of addresses for pods, routed between clusters. */
export interface Node {
  /** From 1; the first one also runs the cluster's own programs. */
  readonly index: number;
  readonly name: string;
  readonly namespace: string;
  /** This machine's end of the node's link. */
  readonly link: string;
  readonly address: string;
  /** The first 24 bits of its pods' addresses, as `10.241.1`. */
  readonly podPrefix: string;
  /** Where the cluster has both families: its own address, and the first 64 bits of its pods'. */
  readonly six: { readonly address: string; readonly podPrefix: string } | undefined;
  /** The group of its pods, below each hierarchy. */
  readonly cgroup: string;
  readonly dir: string;
}

/** One cluster. Its range of services ends at its nodes. */
export interface Place {
  readonly name: string;
  readonly number: number;
  readonly first: Node;
  readonly nodes: readonly Node[];
  /** The first 16 bits of the services' addresses, as `10.91`. */
  readonly servicePrefix: string;
  /** Ranges of services: one of each family that the cluster has. */
  readonly serviceRanges: readonly string[];
  readonly domain: string;
  /** The address of the cluster's names. */
  readonly dnsAddress: string;
  readonly api: string;
  /** The group of everything of the cluster, in the unified hierarchy. */
  readonly cgroup: string;
  readonly dir: string;
}

export interface Wish {
  readonly name: string;
  readonly number: number;
  readonly nodes: number;
  /** Nodes, pods and services have addresses of both families; otherwise of IPv4. */
  readonly dual?: boolean;
  /** The folder of all clusters. */
  readonly root: string;
}

/** @throws if the name is no label, or a number is out of range. */
export function placeOf({ name, number, nodes, dual = false, root }: Wish): Place {
  if (!NAME.test(name))
    throw new Error(`a cluster's name is a label of at most 20 characters: "${name}" is none`);
  if (!isWithin(number, NUMBER_MAX))
    throw new Error(`a cluster's number is from 1 to ${NUMBER_MAX}: ${number} is not`);
  if (!isWithin(nodes, NODES_MAX)) throw new Error(`a cluster has 1 to ${NODES_MAX} nodes, not ${nodes}`);
  const dir = join(root, name);
  const cgroup = `hauberk-${name}`;
  const nodeAt = (index: number): Node => ({
    index,
    name: `${name}-${index}`,
    namespace: `hbk-${name}-${index}`,
    link: `hbk${number}n${index}`,
    address: nodeAddress(number, index),
    podPrefix: podPrefix(number, index),
    six: dual ? { address: nodeAddress6(number, index), podPrefix: podPrefix6(number, index) } : undefined,
    cgroup: `${cgroup}/node${index}`,
    dir: join(dir, `node${index}`),
  });
  const servicePrefix = `10.9${number}`;
  const first = nodeAt(1);
  return {
    name,
    number,
    first,
    nodes: [first, ...Array.from({ length: nodes - 1 }, (_, more) => nodeAt(more + 2))],
    servicePrefix,
    serviceRanges: [`${servicePrefix}.0.0/16`, ...(dual ? [`fd00:10:9${number}::/112`] : [])],
    domain: "cluster.local",
    dnsAddress: `${servicePrefix}.0.10`,
    api: `https://${first.address}:6443`,
    cgroup,
    dir,
  };
}

/** Every other range of pods that there can be, and the node that it is behind: clusters come later than their neighbours. */
export function neighboursOf(
  number: number,
  index: number,
): readonly { readonly pods: string; readonly node: string }[] {
  const found: { pods: string; node: string }[] = [];
  for (let other = 1; other <= NUMBER_MAX; other += 1) {
    for (let node = 1; node <= NODES_MAX; node += 1) {
      if (other === number && node === index) continue;
      found.push({ pods: `${podPrefix(other, node)}.0/24`, node: nodeAddress(other, node) });
    }
  }
  return found;
}

/** What a word calls a cluster: `west:2` is west with number 2; a name that ends in a digit has that number. */
export function readName(word: string): { readonly name: string; readonly number: number } {
  const [name = "", number] = word.split(":");
  if (number !== undefined) return { name, number: Number(number) };
  return { name, number: Number(/[1-9]$/.exec(name)?.[0] ?? "1") };
}

/** Files and folders of a cluster. */
export function pathsOf({ dir }: Pick<Place, "dir">) {
  return {
    certificates: join(dir, "certificates"),
    settings: join(dir, "settings"),
    logs: join(dir, "logs"),
    processes: join(dir, "processes"),
    etcd: join(dir, "etcd"),
    admin: join(dir, "admin.kubeconfig"),
    description: join(dir, "cluster.json"),
  };
}
export type Paths = ReturnType<typeof pathsOf>;

/** Files and folders of a node. */
export function nodePathsOf({ dir }: Pick<Node, "dir">) {
  return {
    containers: join(dir, "containers"),
    run: join(dir, "run"),
    socket: join(dir, "run", "containerd.sock"),
    kubelet: join(dir, "kubelet"),
    /** Where network plug-ins that are installed later put their settings, and themselves. */
    network: join(dir, "network"),
    plugins: join(dir, "plugins"),
    addresses: join(dir, "addresses"),
    /** What the plug-ins remember of each pod. */
    results: join(dir, "results"),
    /** Pods' network namespaces. */
    networks: join(dir, "netns"),
    podLogs: join(dir, "pod-logs"),
    loaded: join(dir, "loaded"),
  };
}

function isWithin(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max;
}

function nodeAddress(number: number, index: number): string {
  return `172.31.${number}.${index}`;
}

function nodeAddress6(number: number, index: number): string {
  return `fd00:172:31::${number}:${index}`;
}

function podPrefix6(number: number, index: number): string {
  return `fd00:10:24${number}:${index}`;
}

/** The same of the other family; what has none is not reached, and nobody asks it. */
export function neighbours6Of(
  number: number,
  index: number,
): readonly { readonly pods: string; readonly node: string }[] {
  const found: { pods: string; node: string }[] = [];
  for (let other = 1; other <= NUMBER_MAX; other += 1)
    for (let node = 1; node <= NODES_MAX; node += 1)
      if (other !== number || node !== index)
        found.push({ pods: `${podPrefix6(other, node)}::/64`, node: nodeAddress6(other, node) });
  return found;
}

function podPrefix(number: number, index: number): string {
  return `10.24${number}.${index}`;
}
