/** Control groups of the kernel, version 1 or 2: what a process and its children may hold. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What a group limits. */
export type Resource = "memory" | "pids";

interface Files {
  readonly max: string;
  readonly current: string;
  readonly unlimited: string;
}

const VERSION_1: Readonly<Record<Resource, Files>> = {
  memory: { max: "memory.limit_in_bytes", current: "memory.usage_in_bytes", unlimited: "-1" },
  pids: { max: "pids.max", current: "pids.current", unlimited: "max" },
};
const VERSION_2: Readonly<Record<Resource, Files>> = {
  memory: { max: "memory.max", current: "memory.current", unlimited: "max" },
  pids: { max: "pids.max", current: "pids.current", unlimited: "max" },
};

/** A group of our own. */
export class Group {
  readonly #dir: string;
  readonly #files: Files;

  private constructor(dir: string, files: Files) {
    this.#dir = dir;
    this.#files = files;
  }

  /** Makes it where this machine has such groups; throws with the reason where it has none. */
  static async make(resource: Resource, name: string): Promise<Group> {
    const mounts = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" "));
    const [, first] =
      mounts.find(([, , type, options]) => type === "cgroup" && options?.split(",").includes(resource)) ?? [];
    if (first !== undefined) return Group.#at(join(first, name), VERSION_1[resource]);
    const [, second] =
      mounts.find(([, at = "", type]) => type === "cgroup2" && controls(at).includes(resource)) ?? [];
    if (second === undefined) throw new Error(`no control groups for ${resource} are mounted`);
    await writeFile(join(second, "cgroup.subtree_control"), `+${resource}`);
    return Group.#at(join(second, name), VERSION_2[resource]);
  }

  static async #at(dir: string, files: Files): Promise<Group> {
    await mkdir(dir, { recursive: true });
    const group = new Group(dir, files);
    await group.limit(undefined);
    return group;
  }

  /** Whoever writes its process id there joins. */
  get joining(): string {
    return join(this.#dir, "cgroup.procs");
  }

  async current(): Promise<number> {
    return Number(await readFile(join(this.#dir, this.#files.current), "utf8"));
  }

  /** Bytes, or processes and threads; `undefined`: as many as there are. */
  async limit(max: number | undefined): Promise<void> {
    await writeFile(join(this.#dir, this.#files.max), max === undefined ? this.#files.unlimited : `${max}`);
  }

  /** Possible when nobody is in it any more. */
  async remove(): Promise<void> {
    await rmdir(this.#dir);
  }
}

function controls(root: string): readonly string[] {
  const file = join(root, "cgroup.controllers");
  return existsSync(file) ? readFileSync(file, "utf8").trim().split(" ") : [];
}
