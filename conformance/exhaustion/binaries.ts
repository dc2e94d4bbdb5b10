/** The binaries of the data plane, and a script that stands before one of them. */
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

const BUILT = join(import.meta.dirname, "..", "..", "proxy", "target", "bin");
/** Names the folder of both binaries, instead of the build's. */
export const SETTING = "HAUBERK_BIN_DIR";

/** Names of the two binaries. */
const NAMES = ["hauberk-proxy", "hauberk-sandbox"] as const;
type Name = (typeof NAMES)[number];

/** Where a binary is that a mesh started now would run. */
export function binaryPath(name: Name): string {
  return join(resolve(process.env[SETTING] ?? BUILT), name);
}

/** A shell program that ends by running the binary in whose place it stands. */
export interface Wrapper {
  readonly name: Name;
  /** Lines before the binary is run; its arguments are `$@`. */
  readonly before: readonly string[];
}

/** Runs `start` with binaries in `dir` of which one is wrapped; what the environment said before holds again after. */
export async function withWrapper<T>(dir: string, wrapper: Wrapper, start: () => Promise<T>): Promise<T> {
  const before = process.env[SETTING];
  const wrapped = binaryPath(wrapper.name);
  const others = NAMES.filter((name) => name !== wrapper.name).map((name) => ({
    name,
    path: binaryPath(name),
  }));
  const bin = join(dir, "bin");
  await mkdir(bin);
  for (const { name, path } of others) await symlink(path, join(bin, name));
  const script = ["#!/bin/sh", ...wrapper.before, `exec '${wrapped}' "$@"`, ""].join("\n");
  await writeFile(join(bin, wrapper.name), script);
  await chmod(join(bin, wrapper.name), 0o755);
  process.env[SETTING] = bin;
  try {
    return await start();
  } finally {
    if (before === undefined) delete process.env[SETTING];
    else process.env[SETTING] = before;
  }
}
