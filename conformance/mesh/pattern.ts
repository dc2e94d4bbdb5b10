/** Long bodies that are never the same twice in a row, made and checked without being kept. */
import { createHash } from "node:crypto";

const PART_BYTES = 64 * 1024;

/** `length` bytes in parts, each 32 bit word of them different from its neighbours. */
export function* patterned(length: number): Generator<Buffer> {
  for (let sent = 0; sent < length;) {
    const part = Buffer.alloc(Math.min(PART_BYTES, length - sent));
    for (let at = 0; at + 4 <= part.length; at += 4) part.writeUInt32BE((sent + at) >>> 0, at);
    yield part;
    sent += part.length;
  }
}

/** The SHA-256 of {@link patterned}. */
export function patternSha256(length: number): string {
  const hash = createHash("sha256");
  for (const part of patterned(length)) hash.update(part);
  return hash.digest("hex");
}
