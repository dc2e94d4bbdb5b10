/** Makes a release again from its commit and compares: that what is offered is what its source gives. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDescription } from "./channel/release.ts";
import { Layout } from "./oci/layout.ts";
import { exportSource } from "./source.ts";
import { buildAll, fetchInputs, imageAll } from "./stages.ts";
import { isImageName } from "./verify/release.ts";

/** One image's digest as the release has it and as it came out now. */
export interface Compared {
  readonly name: string;
  readonly released: string;
  readonly rebuilt: string;
}

/**
 * Rebuilds the release in `dir` from the checkout at `root`, at the commit that the release names.
 * @throws if the checkout does not have the commit.
 */
export async function rebuild(dir: string, root: string): Promise<readonly Compared[]> {
  const release = readDescription(await readFile(join(dir, "release.json")));
  const names = Object.keys(release.images).filter(isImageName);
  const work = await mkdtemp(join(tmpdir(), "hauberk-rebuild-"));
  try {
    const { commit: revision, version } = release;
    const source = await exportSource(root, { revision, dir: join(work, "source"), version });
    const inputs = await fetchInputs(source, join(work, "inputs"));
    const built = await buildAll(source, inputs, { dir: join(work, "build"), names });
    await mkdir(join(work, "out"), { recursive: true });
    const layout = await Layout.create(join(work, "out", "images"));
    const images = await imageAll(layout, { source, inputs, built });
    return images.map(({ name, index }) => ({
      name,
      released: release.images[name] ?? "none",
      rebuilt: index.digest,
    }));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
