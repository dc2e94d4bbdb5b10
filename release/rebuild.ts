/** Makes a release again from its commit and compares: that what is offered is what its source gives. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentsOf, readDescription } from "./channel/release.ts";
import { isKindName } from "./kinds.ts";
import { CACHE } from "./make.ts";
import { makeAll } from "./pipeline.ts";
import type { Platform } from "./platform.ts";
import { exportSource } from "./source.ts";

/** One kind's digest as the release has it and as it came out now. */
export interface Compared {
  readonly name: string;
  readonly released: string;
  readonly rebuilt: string;
}

/**
 * Rebuilds the release in `dir` from the checkout at `root`, at the commit that the release names.
 * @throws if the checkout does not have the commit.
 */
export async function rebuild(
  dir: string,
  {
    root,
    platforms,
    say,
  }: { readonly root: string; readonly platforms: readonly Platform[]; readonly say: (line: string) => void },
): Promise<readonly Compared[]> {
  const release = readDescription(await readFile(join(dir, "release.json")));
  const names = Object.keys(contentsOf(release)).filter(isKindName);
  const work = await mkdtemp(join(tmpdir(), "hauberk-rebuild-"));
  try {
    const { commit: revision, version } = release;
    const source = await exportSource(root, { revision, dir: join(work, "source"), version });
    const { repository } = release;
    const order = { out: join(work, "out"), work, cache: CACHE, names, platforms, repository, say };
    const { made } = await makeAll(source, order);
    return made.map(({ name, whole }) => ({
      name,
      released: contentsOf(release)[name] ?? "none",
      rebuilt: whole.digest,
    }));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
