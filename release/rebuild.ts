/** Makes a release again from its commit and compares: that what is offered is what its source gives. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentsOf, readDescription } from "./channel/release.ts";
import { isKindName } from "./kinds.ts";
import { CACHE } from "./make.ts";
import { makeAll } from "./pipeline.ts";
import { Layout } from "./oci/layout.ts";
import { Index, MediaType, parseDocument, platformName } from "./oci/model.ts";
import { nameOfPlatform, type Platform } from "./platform.ts";
import { exportSource } from "./source.ts";

/** One kind's digest as the release has it and as it came out now. */
export interface Compared {
  readonly name: string;
  readonly released: string;
  readonly rebuilt: string;
}

/** Names of the platforms that the release in `dir` is for; none if all of it is of no platform. */
async function platformsIn(dir: string, names: readonly string[]): Promise<ReadonlySet<string>> {
  const layout = await Layout.open(join(dir, "images"));
  const found = new Set<string>();
  for (const name of names) {
    const stored = await layout.document(name);
    if (stored?.descriptor.mediaType !== MediaType.index) continue;
    for (const { platform } of parseDocument(Index, stored.bytes, name).manifests)
      found.add(platformName(platform));
  }
  return found;
}

/**
 * Rebuilds the release in `dir` from the checkout at `root`, at the commit that the release names, for those of `platforms` that it is for.
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
  const has = await platformsIn(dir, names);
  const wanted = platforms.filter((platform) => has.size === 0 || has.has(nameOfPlatform(platform)));
  const work = await mkdtemp(join(tmpdir(), "hauberk-rebuild-"));
  try {
    const { commit: revision, version } = release;
    const source = await exportSource(root, { revision, dir: join(work, "source"), version });
    const { repository } = release;
    const order = { out: join(work, "out"), work, cache: CACHE, names, platforms: wanted, repository, say };
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
