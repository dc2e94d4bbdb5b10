/**
 * One build step, in namespaces of its own: no network, no inherited environment, nothing of the machine's files but
 * what is declared, and one folder to write to. What a step says of itself is not believed: whoever runs it hashes
 * its inputs and outputs.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isDigest, type Digest } from "@hauberk/crypto/digest.ts";

/** A folder or file that a step may read. */
export interface Input {
  /** Where it is on this machine. */
  readonly from: string;
  /** Where the step sees it. */
  readonly at: string;
}

export interface Step {
  readonly name: string;
  readonly inputs: readonly Input[];
  readonly environment: Readonly<Record<string, string>>;
  readonly command: readonly [string, ...string[]];
  /** Empty folder on this machine that becomes `/out`. */
  readonly out: string;
  /** Scratch folder on this machine that becomes `/scratch`. */
  readonly work: string;
  readonly epochSeconds: number;
  readonly msMax: number;
}

/** Output that is kept for the message of a step that fails. */
const LOG_BYTES_MAX = 64 * 1024;

/** The machine's own files that every step sees, read-only: the system's programs and libraries. */
// Debian names its compiler and linker through /etc/alternatives.
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives"] as const;

/** `'` is the only character that quotes do not hold. */
const quote = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/**
 * The shell program that makes the step's root and enters it. It runs as root of a fresh user namespace; every path
 * is quoted. Mounts are made private first, so that nothing of this reaches the machine.
 */
export function entrance(step: Pick<Step, "inputs" | "out" | "work" | "command">, root: string): string {
  const bind = (from: string, at: string, access: "ro" | "rw") => [
    `if [ -d ${quote(from)} ]; then mkdir -p ${quote(root + at)}; else mkdir -p ${quote(join(root + at, ".."))}; : > ${quote(root + at)}; fi`,
    `mount --rbind ${quote(from)} ${quote(root + at)}`,
    ...(access === "ro" ? [`mount -o remount,bind,ro ${quote(root + at)}`] : []),
  ];
  return [
    "set -eu",
    "mount --make-rprivate /",
    `mount -t tmpfs -o size=64m,mode=755 tmpfs ${quote(root)}`,
    ...SYSTEM.flatMap((path) => [
      `if [ -L ${path} ]; then ln -s "$(readlink ${path})" ${quote(root + path)}; elif [ -d ${path} ]; then mkdir -p ${quote(root + path)}; mount --rbind ${path} ${quote(root + path)}; mount -o remount,bind,ro ${quote(root + path)}; fi`,
    ]),
    `mkdir -p ${quote(`${root}/proc`)} ${quote(`${root}/dev`)} ${quote(`${root}/tmp`)} ${quote(`${root}/old`)}`,
    `mount -t proc proc ${quote(`${root}/proc`)}`,
    ...["null", "zero", "urandom", "random"].flatMap((name) => [
      `: > ${quote(`${root}/dev/${name}`)}`,
      `mount --bind /dev/${name} ${quote(`${root}/dev/${name}`)}`,
    ]),
    ...step.inputs.flatMap(({ from, at }) => bind(from, at, "ro")),
    ...bind(step.out, "/out", "rw"),
    ...bind(step.work, "/scratch", "rw"),
    `cd ${quote(root)}`,
    "pivot_root . old",
    "umount -l /old",
    "cd /scratch",
    `exec ${step.command.map(quote).join(" ")}`,
  ].join("\n");
}

/** Runs the step. @throws with the end of its output if it fails or takes too long. */
export async function runStep(step: Step, root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  const flags = ["--user", "--map-root-user", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork"];
  const child = spawn("unshare", [...flags, "--kill-child", "sh", "-c", entrance(step, root)], {
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
      HOME: "/scratch",
      LC_ALL: "C",
      TZ: "UTC",
      SOURCE_DATE_EPOCH: String(step.epochSeconds),
      ...step.environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: step.msMax,
    killSignal: "SIGKILL",
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-LOG_BYTES_MAX);
    });
  }
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status, signal) => resolve(status ?? signal ?? "nothing"));
  });
  if (code !== 0) throw new Error(`step ${step.name} ended with ${code}:\n${log}`);
}

/** The digest of a file of any size. */
export async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  const written = `sha256:${hash.digest("hex")}`;
  if (!isDigest(written)) throw new Error("a SHA-256 has 64 digits");
  return written;
}

/** Digests of all files below a folder, by relative path, sorted. */
export async function digestsBelow(dir: string): Promise<ReadonlyMap<string, Digest>> {
  const names = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = new Map<string, Digest>();
  for (const file of files.toSorted()) found.set(file.slice(dir.length + 1), await digestOfFile(file));
  return found;
}
