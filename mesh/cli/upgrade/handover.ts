/**
 * The command line of the release that is being installed. Manifests belong to a release, so only its own program renders and applies
 * them: another one fetches that program, proven like everything else, and lets it go on.
 */
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { extractArchive } from "@hauberk/release/artifact/extract.ts";
import type { Release } from "@hauberk/release/channel/release.ts";
import {
  Index,
  isDigest,
  Manifest,
  parseDocument,
  platformName,
  type Digest,
} from "@hauberk/release/oci/model.ts";
import type { Store } from "@hauberk/release/oci/store.ts";
import { nameOfPlatform, platformHere } from "@hauberk/release/platform.ts";

/** The archives of the command line in a release. */
export const CLI_ARCHIVE = "hauberk-cli";
/** Tells a program that another one has handed over to it, and for which version. */
const HANDED_OVER = "HAUBERK_HANDED_OVER";

/** The archive for this machine. @throws if the release has none for it. */
async function archiveFor(store: Store, digest: Digest): Promise<Buffer> {
  const wanted = nameOfPlatform(platformHere());
  const stored = await store.document(digest);
  if (stored === undefined) throw new Error(`${store.name} has no ${digest}`);
  const { manifests } = parseDocument(Index, stored.bytes, digest);
  const mine = manifests.find(({ platform }) => platformName(platform) === wanted);
  if (mine === undefined) throw new Error(`the release has no command line for ${wanted}`);
  const manifest = await store.document(mine.digest);
  if (manifest === undefined) throw new Error(`${store.name} has no ${mine.digest}`);
  const [content] = parseDocument(Manifest, manifest.bytes, mine.digest).layers;
  if (content === undefined) throw new Error(`${mine.digest} has no content`);
  return store.blob(content.digest);
}

/** What a program was called with, going to exactly this version. */
export function argumentsFor(words: readonly string[], version: string): readonly string[] {
  const isTold = words.some((word) => word === "--to" || word.startsWith("--to="));
  return isTold ? words : [...words, "--to", version];
}

/** Whether this program was called by another one for the version that it is not. */
export function wasHandedOver(version: string): boolean {
  return process.env[HANDED_OVER] === version;
}

function runTo(program: string, words: readonly string[], version: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const environment = { ...process.env, [HANDED_OVER]: version };
    const child = spawn(program, words, { stdio: "inherit", env: environment });
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
  });
}

/** Unpacks the proven command line of `release` out of `store`, runs it with these words, and gives its exit code. */
export async function handOver(store: Store, release: Release, words: readonly string[]): Promise<number> {
  const digest = release.artifacts[CLI_ARCHIVE];
  if (digest === undefined || !isDigest(digest))
    throw new Error(`${release.version} holds no ${CLI_ARCHIVE}`);
  const dir = await mkdtemp(join(tmpdir(), "hauberk-cli-"));
  try {
    const root = await extractArchive(await archiveFor(store, digest), dir);
    const program = join(root, "bin", "hauberk");
    await chmod(program, 0o755);
    return await runTo(program, argumentsFor(words, release.version), release.version);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
