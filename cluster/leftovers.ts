/** What the programs of a node leave outside their own folder, and how it is told whose it is. */
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { nodePathsOf, type Node } from "./place.ts";

/** Links to pods' logs, for collectors of logs. */
const LOG_LINKS = "/var/log/containers";
/** Where every node has folders of its own: the machine's stay empty. */
const MOUNT_POINTS = ["/etc/cni/net.d", "/opt/cni/bin", "/var/lib/cni"] as const;
/** Folders that are made at a fixed place and are empty at the end; the innermost first. */
const FOLDERS = [
  LOG_LINKS,
  ...MOUNT_POINTS,
  "/etc/cni",
  "/opt/cni",
  "/run/containerd/s",
  "/run/containerd",
  "/var/lib/kubelet/device-plugins",
  "/var/lib/kubelet",
] as const;

const Bootstrap = z.object({ address: z.string() });

/** Removes what a node left; to be called when its processes have ended and before its folder goes. */
export function removeLeftovers(node: Node): void {
  const paths = nodePathsOf(node);
  for (const link of entriesOf(LOG_LINKS)) {
    const path = join(LOG_LINKS, link);
    if (readlinkSync(path).startsWith(`${paths.podLogs}/`)) rmSync(path);
  }
  const tasks = join(paths.run, "containerd", "io.containerd.runtime.v2.task", "k8s.io");
  for (const task of entriesOf(tasks)) {
    const address = addressOf(join(tasks, task, "bootstrap.json"));
    if (address !== undefined) rmSync(address, { force: true });
  }
}

/** Makes the places at which nodes mount folders of their own. */
export function makeMountPoints(): void {
  for (const folder of MOUNT_POINTS) mkdirSync(folder, { recursive: true });
}

/** Removes the folders that nobody has anything in any more. */
export function removeEmptyFolders(): void {
  for (const folder of FOLDERS) if (existsSync(folder) && entriesOf(folder).length === 0) rmdirSync(folder);
}

/** The socket of the process that holds a container. */
function addressOf(file: string): string | undefined {
  try {
    const { address } = Bootstrap.parse(JSON.parse(readFileSync(file, "utf8")));
    return address.replace(/^unix:\/\//, "");
  } catch {
    return undefined;
  }
}

function entriesOf(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
