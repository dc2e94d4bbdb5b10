/** A follower of the channel: what the newest release is, proven, and nothing older than what was seen before. */
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { Updater } from "tuf-js";
import type { Fetcher } from "tuf-js";
import { DownloadHTTPError, DownloadLengthMismatchError } from "tuf-js/dist/error.js";
import { request } from "undici";
import { readDescription, readList, type List, type Release } from "./release.ts";
import { descriptionOf, listOf, TRUST_TARGET, type ChannelName } from "./roles.ts";

/** Why a channel is not believed. The names are stable: scripts and the tests of attacks go by them. */
export type ChannelRefusal =
  | "channel-unreachable"
  | "metadata-expired"
  | "metadata-rolled-back"
  | "metadata-mixed"
  | "metadata-altered"
  | "signers-missing"
  | "endless-data"
  | "target-altered"
  | "target-missing";

/** The channel cannot be followed; nothing was changed. */
export class ChannelError extends Error {
  override readonly name = "ChannelError";
  readonly refusal: ChannelRefusal;
  constructor(refusal: ChannelRefusal, detail: string, options?: ErrorOptions) {
    super(`${refusal}: ${detail}`, options);
    this.refusal = refusal;
  }
}

/**
 * What a follower remembers: the newest metadata it has believed, by file name, `root.json` among it. Kept where every
 * operator of a cluster finds it, it makes a rollback visible to all of them.
 */
export interface Memory {
  load(): Promise<ReadonlyMap<string, Buffer>>;
  /** Replaces what was remembered. */
  save(files: ReadonlyMap<string, Buffer>): Promise<void>;
}

/** No answer of a repository may take longer than this to begin, or pause for longer. */
const PATIENCE_MS = 15_000;
/** The largest target that is taken: a list or a description. */
const TARGET_BYTES_MAX = 1024 * 1024;

const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function* bytesOf(url: string): AsyncIterable<Uint8Array> {
  if (url.startsWith("file:")) {
    let bytes: Buffer;
    try {
      bytes = await readFile(fileURLToPath(url));
    } catch {
      throw new DownloadHTTPError("no such file", 404);
    }
    yield bytes;
    return;
  }
  const { statusCode, body } = await request(url, { headersTimeout: PATIENCE_MS, bodyTimeout: PATIENCE_MS });
  if (statusCode !== 200) {
    await body.dump();
    throw new DownloadHTTPError(`${url}: ${statusCode}`, statusCode);
  }
  yield* body;
}

/** Takes no more than is announced: a repository that never stops sending is cut off. */
async function* bounded(url: string, bytesMax: number): AsyncIterable<Uint8Array> {
  let taken = 0;
  for await (const chunk of bytesOf(url)) {
    taken += chunk.length;
    if (taken > bytesMax) throw new DownloadLengthMismatchError(`Max length reached: ${url}`);
    yield chunk;
  }
}

const fetcher: Fetcher = {
  async downloadBytes(url, maxLength) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of bounded(url, maxLength)) chunks.push(chunk);
    return Buffer.concat(chunks);
  },
  async downloadFile(url, maxLength, handler) {
    const dir = await mkdtemp(join(tmpdir(), "hauberk-target-"));
    try {
      const file = join(dir, "target");
      await pipeline(bounded(url, maxLength), createWriteStream(file));
      return await handler(file);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  },
};

/**
 * What went wrong, by the words of the pinned client: it wraps most of its errors into others, and keeps only their text.
 * In this order, because an outer text contains the inner one.
 */
const REFUSALS: readonly (readonly [RegExp, ChannelRefusal])[] = [
  [/Max length reached/, "endless-data"],
  [/is expired/, "metadata-expired"],
  [/was signed by \d+\/\d+ keys|no signature|failed to verify/, "signers-missing"],
  [
    /is less than current version|Missing file .* in new snapshot|Expected version \d+/,
    "metadata-rolled-back",
  ],
  [/does not match snapshot version|doesn't match timestamp/, "metadata-mixed"],
  [/Expected (length|hash)/, "metadata-altered"],
  [
    /is not valid JSON|Unexpected (token|end)|malformed|must be|is not (defined|an array)|expected '/,
    "metadata-altered",
  ],
];

function refusalOf(error: unknown): ChannelError {
  if (error instanceof ChannelError) return error;
  const text = reason(error);
  const [, refusal] = REFUSALS.find(([pattern]) => pattern.test(text)) ?? [];
  return new ChannelError(refusal ?? "channel-unreachable", text, { cause: error });
}

/** What a channel offers. */
export interface Offer {
  readonly list: List;
  /** Whom a verifier of images is to believe, as `readTrust` takes it. */
  readonly trust: string;
  /** Descriptions of those releases that were asked for, by version. */
  readonly releases: ReadonlyMap<string, Release>;
}

/** Where a channel is, and what is known of it. */
export interface Channel {
  /** `https:`, `http:`, or `file:` of a repository's folder. */
  readonly url: string;
  readonly name: ChannelName;
  readonly memory: Memory;
  /** The operator's own copy of a root document; needed only while nothing is remembered. */
  readonly root?: Buffer | undefined;
}

async function readFiles(dir: string): Promise<ReadonlyMap<string, Buffer>> {
  const names = (await readdir(dir)).filter((name) => name.endsWith(".json"));
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(dir, name))] as const)),
  );
}

async function targetOf(updater: Updater, dir: string, path: string): Promise<Buffer> {
  const info = await updater.getTargetInfo(path);
  if (info === undefined) throw new ChannelError("target-missing", `the channel does not vouch for ${path}`);
  if (info.length > TARGET_BYTES_MAX)
    throw new ChannelError("endless-data", `${path} has ${info.length} bytes; at most ${TARGET_BYTES_MAX}`);
  try {
    return await readFile(await updater.downloadTarget(info, join(dir, "target.bin")));
  } catch (error) {
    if (/Expected (length|hash)/.test(reason(error)))
      throw new ChannelError("target-altered", `${path}: ${reason(error)}`, { cause: error });
    throw error;
  }
}

async function believe(
  { url, name, memory, root }: Channel,
  wanted: (list: List) => readonly string[],
  dir: string,
): Promise<Offer> {
  const remembered = await memory.load();
  for (const [file, bytes] of remembered) await writeFile(join(dir, file), bytes);
  if (!remembered.has("root.json")) {
    if (root === undefined)
      throw new ChannelError("signers-missing", "no root document is known; give the one you trust");
    await writeFile(join(dir, "root.json"), root);
  }
  const base = url.replace(/\/+$/, "");
  const updater = new Updater({
    metadataDir: dir,
    metadataBaseUrl: `${base}/metadata`,
    targetBaseUrl: `${base}/targets`,
    fetcher,
  });
  await updater.refresh();
  const list = readList(await targetOf(updater, dir, listOf(name)));
  const trust = (await targetOf(updater, dir, TRUST_TARGET)).toString();
  const releases = new Map<string, Release>();
  for (const version of wanted(list)) {
    const bytes = await targetOf(updater, dir, descriptionOf(name, version));
    releases.set(version, readDescription(bytes));
  }
  await memory.save(await readFiles(dir));
  return { list, trust, releases };
}

/**
 * What the channel offers now, proven from what is remembered (or from the given root), with the descriptions of the
 * releases that `wanted` picks from its list. What was believed is remembered. @throws {@link ChannelError}
 */
export async function follow(channel: Channel, wanted: (list: List) => readonly string[]): Promise<Offer> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-channel-"));
  try {
    return await believe(channel, wanted, dir);
  } catch (error) {
    throw refusalOf(error);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** A memory in a folder of this machine. */
export function folderMemory(dir: string): Memory {
  return {
    load: async () => (existsSync(dir) ? readFiles(dir) : new Map()),
    save: async (files) => {
      await mkdir(dir, { recursive: true });
      for (const [name, bytes] of files) await writeFile(join(dir, name), bytes);
    },
  };
}
