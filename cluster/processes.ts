/** Programs that outlive the command that starts them: each with a record by which it, and nothing else, is ended. */
import { spawn } from "node:child_process";
import { mkdirSync, openSync, closeSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Node, Paths } from "./place.ts";
import type { Started } from "./programs.ts";

const Record_ = z.strictObject({ pid: z.number().int().positive(), startedTicks: z.string() });
type ProcessRecord = z.infer<typeof Record_>;

/** What a program runs in. */
export interface Surroundings {
  readonly paths: Paths;
  readonly bin: string;
  /** The folder of the group that it joins before it runs. */
  readonly group: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Starts a program in a node's network, unless it runs. It owns its session: no terminal ends it. */
export function start({ id, program, args, files }: Started, node: Node, where: Surroundings): void {
  if (isRunning(where.paths, id)) return;
  const { paths, bin, group, environment } = where;
  mkdirSync(paths.logs, { recursive: true });
  mkdirSync(paths.processes, { recursive: true });
  const log = openSync(join(paths.logs, `${id}.log`), "a");
  try {
    // `ip netns exec` would mount another /sys, without the groups.
    const entering = ["nsenter", `--net=/run/netns/${node.namespace}`, ...fileSystem(files, paths)];
    const child = spawn(
      "sh",
      [
        "-c",
        'echo $$ >"$1/cgroup.procs" && shift && exec "$@"',
        "sh",
        group,
        ...entering,
        join(bin, program),
        ...args,
      ],
      {
        detached: true,
        stdio: ["ignore", log, log],
        env: { ...environment, GOMAXPROCS: "2" },
        cwd: "/",
      },
    );
    child.once("error", () => undefined);
    const { pid } = child;
    if (pid === undefined) throw new Error(`${program} could not be started`);
    const record: ProcessRecord = { pid, startedTicks: startedTicks(pid) ?? "" };
    writeFileSync(join(paths.processes, `${id}.json`), JSON.stringify(record));
    child.unref();
  } finally {
    closeSync(log);
  }
}

/** Mounts each `FROM:TO` of the words before `--`, then becomes what stands behind it. */
const MOUNTING =
  'mount --make-rshared / && while [ "$1" != -- ]; do mount --bind "${1%%:*}" "${1#*:}" || exit 1; shift; done; shift; exec "$@"';

/** The words that put a program into the file system that it is to see. */
function fileSystem(files: Started["files"], paths: Paths): readonly string[] {
  switch (files?.type) {
    case undefined:
      return [];
    case "own": {
      const pairs = files.mounts.map(({ from, to }) => `${from}:${to}`);
      // What the machine mounts later is seen; what the node mounts is its own, and ends with it.
      return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", MOUNTING, "sh", ...pairs, "--"];
    }
    case "of": {
      const record = recordOf(paths, files.id);
      if (record === undefined) throw new Error(`${files.id}, whose files are to be seen, was not started`);
      return [`--mount=/proc/${record.pid}/ns/mnt`];
    }
  }
}

/** Whether the program that was started under `id` still runs. */
export function isRunning(paths: Paths, id: string): boolean {
  const record = recordOf(paths, id);
  return record !== undefined && startedTicks(record.pid) === record.startedTicks;
}

/** The programs that were started, by id. */
export function startedIds(paths: Paths): readonly string[] {
  try {
    return readdirSync(paths.processes)
      .map((file) => file.replace(/\.json$/, ""))
      .toSorted();
  } catch {
    return [];
  }
}

/** The end of a program's log, for the message that it failed. */
export function lastWords(paths: Paths, id: string): string {
  try {
    return readFileSync(join(paths.logs, `${id}.log`), "utf8")
      .trim()
      .split("\n")
      .slice(-5)
      .join("\n");
  } catch {
    return "";
  }
}

/** @throws with the last words of the first program that ended by itself. */
export function assertRunning(paths: Paths, ids: readonly string[]): void {
  const ended = ids.find((id) => !isRunning(paths, id));
  if (ended !== undefined) throw new Error(`${ended} ended:\n${lastWords(paths, ended)}`);
}

/** Resident memory of a program in KiB; `undefined` if it has ended. */
export function residentKiB(paths: Paths, id: string): number | undefined {
  const record = recordOf(paths, id);
  if (record === undefined || !isRunning(paths, id)) return undefined;
  const status = readFileSync(`/proc/${record.pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? "0");
}

/** Asks a program to end, and does not wait. */
export function stop(paths: Paths, id: string, signal: NodeJS.Signals): void {
  const record = recordOf(paths, id);
  if (record === undefined || !isRunning(paths, id)) return;
  process.kill(record.pid, signal);
}

function recordOf(paths: Paths, id: string): ProcessRecord | undefined {
  try {
    return Record_.parse(JSON.parse(readFileSync(join(paths.processes, `${id}.json`), "utf8")));
  } catch {
    return undefined;
  }
}

/** When a process began, in ticks since the machine did: a number used again is told from the process it was. */
function startedTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A process that has ended and that nobody has waited for.
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
