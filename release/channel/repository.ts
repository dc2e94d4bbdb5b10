/** The channel's repository as a folder that any web server can serve. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { z } from "zod";
import type { Keyring } from "./keys.ts";
import {
  channelDocument,
  rootDocument,
  snapshotDocument,
  targetsDocument,
  timestampDocument,
  type Document,
  type Target,
} from "./metadata.ts";
import { addRelease, readList, writeDescription, writeList, type Release } from "./release.ts";
import { CHANNELS, descriptionOf, listOf, SIGSTORE_TARGET, TRUST_TARGET, type ChannelName } from "./roles.ts";

const METADATA = "metadata";
const TARGETS = "targets";

/** A file is never seen half written: a reader of the repository may come at any moment. */
async function put(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.partial`;
  await writeFile(partial, bytes);
  await rename(partial, path);
}

async function latest(dir: string, role: string): Promise<number> {
  const folder = join(dir, METADATA);
  if (!existsSync(folder)) return 0;
  const versions = (await readdir(folder)).flatMap((file) => {
    const found = new RegExp(`^(\\d+)\\.${role}\\.json$`).exec(file);
    return found === null ? [] : [Number(found[1])];
  });
  return Math.max(0, ...versions);
}

const Signed = z.looseObject({
  signed: z.looseObject({
    version: z.number(),
    targets: z.record(z.string(), z.object({ hashes: z.object({ sha256: z.string() }) })).optional(),
  }),
});

function storedName(path: string, sha256: string): string {
  const { dir, base } = posix.parse(path);
  return posix.join(dir, `${sha256}.${base}`);
}

/** The newest document of a role, as it lies in the repository. */
async function documentOf(dir: string, role: string): Promise<Document> {
  const version = await latest(dir, role);
  const bytes = await readFile(join(dir, METADATA, `${version}.${role}.json`));
  return { version, bytes };
}

async function targetsOf(dir: string, role: string): Promise<readonly Target[]> {
  if ((await latest(dir, role)) === 0) return [];
  const { bytes } = await documentOf(dir, role);
  const { targets = {} } = Signed.parse(JSON.parse(bytes.toString())).signed;
  return Promise.all(
    Object.entries(targets).map(async ([path, { hashes }]) => ({
      path,
      bytes: await readFile(join(dir, TARGETS, storedName(path, hashes.sha256))),
    })),
  );
}

async function putTargets(dir: string, targets: readonly Target[]): Promise<void> {
  for (const { path, bytes } of targets) {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    await put(join(dir, TARGETS, storedName(path, sha256)), bytes);
    // `cosign initialize` looks for targets below the metadata.
    if (path === SIGSTORE_TARGET) await put(join(dir, METADATA, TARGETS, storedName(path, sha256)), bytes);
  }
}

async function putDocument(dir: string, role: string, document: Document): Promise<void> {
  await put(join(dir, METADATA, `${document.version}.${role}.json`), document.bytes);
}

/** Snapshot and timestamp over whatever lies there; the timestamp comes last, and only with it the rest counts. */
async function conclude(dir: string, ring: Keyring, now: Date): Promise<void> {
  const documents = new Map<string, Document>();
  for (const role of ["targets", ...CHANNELS]) documents.set(role, await documentOf(dir, role));
  const snapshot = snapshotDocument((await latest(dir, "snapshot")) + 1, documents, ring, now);
  await putDocument(dir, "snapshot", snapshot);
  await refreshTimestamp(dir, ring, now);
}

/** Signs a new timestamp over the newest snapshot. To be run at least every day. */
export async function refreshTimestamp(dir: string, ring: Keyring, now: Date): Promise<void> {
  const path = join(dir, METADATA, "timestamp.json");
  const before = existsSync(path) ? Signed.parse(JSON.parse(await readFile(path, "utf8"))).signed.version : 0;
  const document = timestampDocument(before + 1, await documentOf(dir, "snapshot"), ring, now);
  await put(path, document.bytes);
}

const WithSigstore = z.looseObject({ sigstore: z.unknown().optional() });

/** What the top-level targets vouch for: whom to believe, and the trust root in it once more, for cosign. */
function trustTargets(trust: string): readonly Target[] {
  const { sigstore } = WithSigstore.parse(JSON.parse(trust));
  const whom = { path: TRUST_TARGET, bytes: Buffer.from(trust) };
  if (sigstore === undefined) return [whom];
  return [whom, { path: SIGSTORE_TARGET, bytes: Buffer.from(JSON.stringify(sigstore)) }];
}

/**
 * Makes an empty repository, which vouches for `trust`: whom a verifier of images is to believe.
 * @throws if there is one already, or keys are missing.
 */
export async function createRepository(
  dir: string,
  { ring, trust, now }: { readonly ring: Keyring; readonly trust: string; readonly now: Date },
): Promise<void> {
  if ((await latest(dir, "root")) > 0) throw new Error("there is a repository already");
  const root = rootDocument(1, ring, now);
  const top = trustTargets(trust);
  await putTargets(dir, top);
  await putDocument(dir, "root", root);
  await putDocument(dir, "targets", targetsDocument(1, top, ring, now));
  for (const channel of CHANNELS) {
    const list: readonly Target[] = [{ path: listOf(channel), bytes: writeList({ channel, releases: [] }) }];
    await putTargets(dir, list);
    await putDocument(dir, channel, channelDocument(channel, 1, list, ring, now));
  }
  await conclude(dir, ring, now);
}

/** Adds a release to a channel. @throws if the channel has this version with other content, or keys are missing. */
export async function addToChannel(
  dir: string,
  channel: ChannelName,
  release: Release,
  { ring, now }: { readonly ring: Keyring; readonly now: Date },
): Promise<void> {
  const targets = await targetsOf(dir, channel);
  const listed = targets.find(({ path }) => path === listOf(channel));
  if (listed === undefined) throw new Error(`the repository has no channel ${channel}`);
  const bytes = writeDescription(release);
  const list = addRelease(readList(listed.bytes), release, bytes);
  const added: readonly Target[] = [
    { path: listOf(channel), bytes: writeList(list) },
    { path: descriptionOf(channel, release.version), bytes },
  ];
  const kept = targets.filter(({ path }) => added.every((one) => one.path !== path));
  const all = [...kept, ...added];
  const document = channelDocument(channel, (await latest(dir, channel)) + 1, all, ring, now);
  await putTargets(dir, added);
  await putDocument(dir, channel, document);
  await conclude(dir, ring, now);
}

/**
 * Replaces keys: `next` names all keys from now on; the root's signers of both rings sign. Everything is signed anew, so
 * that no document of a key that was replaced remains in force.
 */
export async function rotateKeys(
  dir: string,
  { ring, next, now }: { readonly ring: Keyring; readonly next: Keyring; readonly now: Date },
): Promise<void> {
  const root = rootDocument((await latest(dir, "root")) + 1, next, now, ring);
  const top = await targetsOf(dir, "targets");
  const targets = targetsDocument((await latest(dir, "targets")) + 1, top, next, now);
  const channels = await Promise.all(
    CHANNELS.map(async (channel) => {
      const version = (await latest(dir, channel)) + 1;
      return {
        channel,
        document: channelDocument(channel, version, await targetsOf(dir, channel), next, now),
      };
    }),
  );
  await putDocument(dir, "root", root);
  await putDocument(dir, "targets", targets);
  for (const { channel, document } of channels) await putDocument(dir, channel, document);
  await conclude(dir, next, now);
}
