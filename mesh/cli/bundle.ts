/** Air-gap bundles as commands take them: proven before anything of them is used. */
import { readFile, stat } from "node:fs/promises";
import { proveBundle, type Proven } from "@hauberk/release/airgap/prove.ts";
import { withBundle } from "@hauberk/release/airgap/unpack.ts";
import { describeChecks } from "@hauberk/release/verify/report.ts";
import { failures } from "@hauberk/release/verify/release.ts";
import type { ChannelName } from "@hauberk/release/channel/roles.ts";
import type { Release } from "@hauberk/release/channel/release.ts";
import type { Tree } from "@hauberk/mesh/install/values/values.ts";

/** How a bundle is to be proven. */
export interface Proof {
  /** File of the channel's root document. */
  readonly root: string;
  readonly channel: ChannelName;
}

/** Whether `path` is a file, as bundles are. */
export async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Runs `use` with the bundle's folder, however its proof came out. */
export async function withProven<T>(
  file: string,
  { root, channel }: Proof,
  use: (dir: string, proven: Proven) => Promise<T>,
): Promise<T> {
  const document = await readFile(root);
  return withBundle(file, async (dir) => use(dir, await proveBundle(dir, { root: document, channel })));
}

/** Runs `use` only if every demand is met. @throws naming those that are not. */
export async function withBelieved<T>(
  file: string,
  proof: Proof,
  use: (dir: string, proven: Proven) => Promise<T>,
): Promise<T> {
  return withProven(file, proof, (dir, proven) => {
    if (failures(proven.checks) === 0) return use(dir, proven);
    const failed = proven.checks
      .map(({ name, checks }) => [name, checks.filter(({ outcome }) => !outcome.ok)] as const)
      .filter(([, checks]) => checks.length > 0);
    const text = failed.map(([name, checks]) => describeChecks(name, checks)).join("");
    throw new Error(`evidence-refused: nothing of the bundle is used:\n${text}`);
  });
}

/** The values by which an installation runs the images of a release, by digest, behind the version that people read. */
export function pinned(release: Release, registry: string): Tree {
  const version = (name: string) => {
    const digest = release.images[name];
    return digest === undefined ? release.version : `${release.version}@${digest}`;
  };
  return {
    linkerdVersion: release.version,
    controllerImage: `${registry}/controller`,
    controllerImageVersion: version("controller"),
    proxy: { image: { name: `${registry}/proxy`, version: version("proxy") } },
  };
}
