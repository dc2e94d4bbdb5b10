/** A transparency log as its tiles tell it (C2SP tlog-tiles, signed-note): everything that is in it, or that it lies. */
import { createHash, verify, type KeyObject } from "node:crypto";

/** Hashes and entries per tile. */
const TILE = 256;
/** An entry's length in a bundle of entries has two bytes. */
const LENGTH_BYTES = 2;
/** Most entries that are read: a log of one project. A shared one is read by those who watch it. */
const ENTRIES_MAX = 1_000_000;
/** Bytes of a key's identifier before a note's signature. */
const KEY_ID_BYTES = 4;

/** Reads a file of the log by its path. @throws if it is not there. */
export type ReadTile = (path: string) => Promise<Buffer>;

/** The log is not what it says. */
export class LogError extends Error {
  override readonly name = "LogError";
  readonly refusal: "checkpoint-wrong" | "log-altered" | "log-too-long";
  constructor(refusal: LogError["refusal"], detail: string) {
    super(`${refusal}: ${detail}`);
    this.refusal = refusal;
  }
}

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

/** What RFC 9162 hashes an entry to. */
export const leafHash = (entry: Uint8Array): Buffer => sha256(LEAF, entry);
/** The same of two subtrees. */
export const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer => sha256(NODE, left, right);

/** Root of a tree (RFC 9162, 2.1.1), by the stack of complete subtrees. */
export function rootOf(leaves: readonly Buffer[]): Buffer {
  const stack: { readonly size: number; readonly hash: Buffer }[] = [];
  for (const leaf of leaves) {
    let top = { size: 1, hash: leaf };
    for (let before = stack.at(-1); before?.size === top.size; before = stack.at(-1)) {
      stack.pop();
      top = { size: before.size * 2, hash: nodeHash(before.hash, top.hash) };
    }
    stack.push(top);
  }
  const last = stack.pop();
  if (last === undefined) return sha256();
  return stack.reduceRight((right, { hash }) => nodeHash(hash, right), last.hash);
}

/** A number in a path: `x001/x234/067` (tlog-tiles, "Merkle Tree"). */
function pathOf(index: number): string {
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0");
  const groups = padded.match(/.{3}/g) ?? [];
  return groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join("/");
}

/** A checkpoint whose signature is the log's. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** Base64. */
  readonly root: string;
}

/** Reads a checkpoint. @throws {@link LogError} if `key` did not sign it in the name of its origin. */
export function readCheckpoint(text: string, key: KeyObject): Checkpoint {
  const end = text.indexOf("\n\n");
  const [origin = "", size = "", root = ""] = text.slice(0, end).split("\n");
  const body = Buffer.from(text.slice(0, end + 1));
  const isSigned = text
    .slice(end + 2)
    .split("\n")
    .some((line) => {
      const [dash, name, signature = ""] = line.split(" ");
      const bytes = Buffer.from(signature, "base64").subarray(KEY_ID_BYTES);
      return dash === "\u2014" && name === origin && verify("sha256", body, key, bytes);
    });
  if (end < 0 || !isSigned) throw new LogError("checkpoint-wrong", "no signature of the log's is on it");
  if (!/^\d{1,15}$/.test(size)) throw new LogError("checkpoint-wrong", "it tells no size");
  return { origin, size: Number(size), root };
}

function entriesIn(tile: Buffer, path: string): readonly Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at < tile.length;) {
    const length = at + LENGTH_BYTES <= tile.length ? tile.readUInt16BE(at) : Infinity;
    const end = at + LENGTH_BYTES + length;
    if (end > tile.length) throw new LogError("log-altered", `${path} ends within an entry`);
    entries.push(tile.subarray(at + LENGTH_BYTES, end));
    at = end;
  }
  return entries;
}

/**
 * All entries of the log, after its root was computed from them and compared with what the checkpoint signs.
 * @throws {@link LogError}
 */
export async function readLog(
  read: ReadTile,
  key: KeyObject,
): Promise<{ readonly checkpoint: Checkpoint; readonly entries: readonly Buffer[] }> {
  const checkpoint = readCheckpoint((await read("checkpoint")).toString("utf8"), key);
  if (checkpoint.size > ENTRIES_MAX)
    throw new LogError("log-too-long", `it has ${checkpoint.size} entries, at most ${ENTRIES_MAX} are read`);
  const entries: Buffer[] = [];
  for (let tile = 0; tile * TILE < checkpoint.size; tile += 1) {
    const width = Math.min(TILE, checkpoint.size - tile * TILE);
    const path = `tile/entries/${pathOf(tile)}${width < TILE ? `.p/${width}` : ""}`;
    const found = entriesIn(await read(path), path);
    if (found.length !== width) throw new LogError("log-altered", `${path} has ${found.length} entries`);
    entries.push(...found);
  }
  if (rootOf(entries.map(leafHash)).toString("base64") !== checkpoint.root)
    throw new LogError("log-altered", "its entries do not give the root that its checkpoint signs");
  return { checkpoint, entries };
}
