/** What a cluster has of this machine: network namespaces, a bridge, groups of processes, mounts. */
import { execFile, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { BRIDGE, neighbours6Of, neighboursOf, type Node, type Place } from "./place.ts";
import type { Snapshotter } from "./settings.ts";

const run = promisify(execFile);

/** The file systems on which no overlay can lie: overlayfs itself. */
const OVERLAYFS_MAGIC = 0x794c7630;
/** How long ended processes may take to go. */
const GONE_MS_MAX = 10_000;
const STEP_MS = 50;

/** Makes the node's namespace, its link to the bridge, and its routes to all other nodes' pods. */
export async function connectNode(place: Place, node: Node, environment: NodeJS.ProcessEnv): Promise<void> {
  if (existsSync(`/run/netns/${node.namespace}`)) return;
  const hasBridge = existsSync(`/sys/class/net/${BRIDGE.name}`);
  const bridge = hasBridge
    ? []
    : [
        `link add ${BRIDGE.name} type bridge`,
        `addr add ${BRIDGE.address}/${BRIDGE.length} dev ${BRIDGE.name}`,
        `link set ${BRIDGE.name} up`,
      ];
  const six =
    node.six === undefined
      ? []
      : [`addr replace ${BRIDGE.address6}/${BRIDGE.length6} dev ${BRIDGE.name} nodad`];
  const outside = [
    ...bridge,
    ...six,
    `netns add ${node.namespace}`,
    `link add ${node.link} type veth peer name eth0 netns ${node.namespace}`,
    `link set ${node.link} master ${BRIDGE.name} up`,
  ];
  const inside = [
    "link set lo up",
    `addr add ${node.address}/${BRIDGE.length} dev eth0`,
    "link set eth0 up",
    `route add default via ${BRIDGE.address}`,
    ...neighboursOf(place.number, node.index).map(({ pods, node: via }) => `route add ${pods} via ${via}`),
    ...(node.six === undefined
      ? []
      : [
          `addr add ${node.six.address}/${BRIDGE.length6} dev eth0 nodad`,
          `route add default via ${BRIDGE.address6}`,
          ...neighbours6Of(place.number, node.index).map(
            ({ pods, node: via }) => `route add ${pods} via ${via}`,
          ),
        ]),
  ];
  await ip([], outside, environment);
  await ip(["-n", node.namespace], inside, environment);
  const settings = [
    "ipv4/ip_forward",
    "ipv4/conf/all/route_localnet",
    ...(node.six === undefined ? [] : ["ipv6/conf/all/forwarding"]),
  ].map((name) => `/proc/sys/net/${name}`);
  for (const setting of settings)
    await inNamespace(node, ["sh", "-c", 'echo 1 >"$1"', "sh", setting], environment);
}

/** Removes the node's namespace and link, and the bridge after the last one. */
export async function disconnectNode(node: Node, environment: NodeJS.ProcessEnv): Promise<void> {
  // A namespace goes when the last connection in it has ended, which may be a minute later; its link goes at once.
  if (existsSync(`/sys/class/net/${node.link}`)) await ip([], [`link del ${node.link}`], environment);
  if (existsSync(`/run/netns/${node.namespace}`)) await ip([], [`netns del ${node.namespace}`], environment);
  const ports = `/sys/class/net/${BRIDGE.name}/brif`;
  await until(() => !existsSync(join(ports, node.link)));
  if (existsSync(ports) && readdirSync(ports).length === 0)
    await ip([], [`link del ${BRIDGE.name}`], environment);
}

/** Runs a command in a node's network, and gives what it printed. */
export async function inNamespace(
  node: Node,
  command: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<string> {
  const { stdout } = await run("nsenter", [`--net=/run/netns/${node.namespace}`, ...command], {
    env: environment,
  });
  return stdout;
}

async function ip(
  flags: readonly string[],
  lines: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<void> {
  const child = spawn("ip", [...flags, "-batch", "-"], {
    stdio: ["pipe", "ignore", "pipe"],
    env: environment,
  });
  const failed = Promise.withResolvers<number>();
  child.once("error", failed.reject);
  child.once("close", (code) => failed.resolve(code ?? 1));
  child.stdin.end(`${lines.join("\n")}\n`);
  const complaint = await text(child.stderr);
  if ((await failed.promise) !== 0) throw new Error(`ip: ${complaint.trim()}`);
}

/**
 * Watches of files that one user may hold (inotify(7)). A node takes about twenty, and the kernel's own limit of 128 ends
 * the kubelet of a fifth one.
 */
const WATCHES = { setting: "/proc/sys/fs/inotify/max_user_instances", least: 1_024 } as const;

/** Lets this machine watch enough files. The setting stays: others may have begun to need it. */
export function allowWatches(): void {
  const { setting, least } = WATCHES;
  if (Number(readFileSync(setting, "utf8")) < least) writeFileSync(setting, String(least));
}

/** The unified hierarchy: the one place where a group can be ended whole. Mounted here if it is nowhere. */
export async function unifiedHierarchy(place: Place): Promise<string> {
  const found = mounts().find(({ type }) => type === "cgroup2");
  if (found !== undefined) return found.at;
  const at = join(place.dir, "cgroup");
  mkdirSync(at, { recursive: true });
  await run("mount", ["-t", "cgroup2", "none", at]);
  return at;
}

/** Makes the groups of the cluster in every hierarchy; gives the folder of the group of its own programs. */
export async function makeGroups(place: Place): Promise<string> {
  const unified = await unifiedHierarchy(place);
  const own = join(unified, place.cgroup, "programs");
  mkdirSync(own, { recursive: true });
  const hierarchies = mounts().filter(({ at, type }) => type === "cgroup" || isWhole(at, type));
  for (const { at } of hierarchies) {
    for (const node of place.nodes) {
      for (const group of [place.cgroup, node.cgroup]) {
        const dir = join(at, group);
        mkdirSync(dir, { recursive: true });
        inheritSets(dir);
      }
    }
  }
  return own;
}

/** Whether a unified hierarchy has the controllers: beside those of the first version it has none. */
function isWhole(at: string, type: string): boolean {
  return type === "cgroup2" && readFileSync(join(at, "cgroup.controllers"), "utf8").trim() !== "";
}

/** In the first version of groups, one without its own processors and memory takes no process. */
function inheritSets(dir: string): void {
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    const path = join(dir, file);
    if (existsSync(path) && readFileSync(path, "utf8").trim() === "")
      writeFileSync(path, readFileSync(join(dir, "..", file)));
  }
}

/** Ends every process of the cluster, those in pods among them, and removes its groups. */
export async function endGroups(place: Place): Promise<void> {
  const unified = join(await unifiedHierarchy(place), place.cgroup);
  if (existsSync(unified)) {
    writeFileSync(join(unified, "cgroup.kill"), "1");
    await until(() => readFileSync(join(unified, "cgroup.events"), "utf8").includes("populated 0"));
  }
  for (const { at } of mounts().filter(({ type }) => type.startsWith("cgroup")))
    removeGroup(join(at, place.cgroup));
}

function removeGroup(dir: string): void {
  if (!existsSync(dir)) return;
  for (const entry of readdirSync(dir, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(dir, entry.name));
  rmdirSync(dir);
}

/** Unmounts everything below a folder, the innermost first. */
export async function unmountBelow(dir: string): Promise<void> {
  const below = mounts()
    .map(({ at }) => at)
    .filter((at) => at.startsWith(`${dir}/`))
    .toSorted((one, other) => other.length - one.length);
  for (const at of below) await run("umount", ["-l", at]);
}

/** How images can be stored below `dir`. */
export function snapshotterFor(dir: string): Snapshotter {
  return statfsSync(dir).type === OVERLAYFS_MAGIC ? "native" : "overlayfs";
}

/** All mounts (proc_pid_mountinfo(5)). */
function mounts(): readonly { readonly at: string; readonly type: string }[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [before = "", after = ""] = line.split(" - ");
      return { at: before.split(" ")[4] ?? "", type: after.split(" ")[0] ?? "" };
    });
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + GONE_MS_MAX;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`still there after ${GONE_MS_MAX} ms`);
    await sleep(STEP_MS);
  }
}
