/** What is released: one commit, exported whole. Files that are not committed are no part of it. */
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Source {
  /** Full commit id. */
  readonly commit: string;
  /** Of the commit, in seconds since 1970: the time of everything in the release. */
  readonly epochSeconds: number;
  readonly version: string;
  /** The exported tree. */
  readonly dir: string;
}

async function git(root: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run("git", ["-C", root, ...args], { maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

/**
 * Exports `revision` of the checkout at `root` into `dir`.
 * @throws if `revision` is HEAD and the tree differs from it: what would be released is not what is looked at.
 */
export async function exportSource(
  root: string,
  { revision, dir, version }: { readonly revision: string; readonly dir: string; readonly version: string },
): Promise<Source> {
  const commit = await git(root, "rev-parse", "--verify", `${revision}^{commit}`);
  const changed = await git(root, "status", "--porcelain", "--untracked-files=no");
  if (revision === "HEAD" && changed !== "")
    throw new Error(`the checkout has changes that are not committed:\n${changed}`);
  const epochSeconds = Number(await git(root, "show", "--no-patch", "--format=%ct", commit));
  await mkdir(dir, { recursive: true });
  const archive = `${dir}.tar`;
  await git(root, "archive", "--format=tar", `--output=${archive}`, commit);
  await run("tar", ["-xf", archive, "-C", dir]);
  return { commit, epochSeconds, version, dir };
}
