/**
 * Corpora as text: one input a line, with `\\`, `\r`, `\n`, `\t` and `\xNN` for what is not printable ASCII. Empty lines
 * and lines that begin with `#` are for the reader. The data plane's corpora have the same form.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const NAMED: ReadonlyMap<string, number> = new Map([
  ["r", 13],
  ["n", 10],
  ["t", 9],
  ["\\", 92],
]);

/** One input of a line. What is no escape stands for itself. */
export function unescape(line: string): Uint8Array {
  const bytes: number[] = [];
  for (const [whole, named, hex] of line.matchAll(/\\(?:([rnt\\])|x([0-9a-fA-F]{2}))|[^]/gu)) {
    if (named !== undefined) bytes.push(NAMED.get(named) ?? 0);
    else if (hex !== undefined) bytes.push(Number.parseInt(hex, 16));
    else bytes.push(...Buffer.from(whole, "utf8"));
  }
  return Uint8Array.from(bytes);
}

/** The line of an input. */
export function escape(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => {
    const [named] = Array.from(NAMED).find(([, code]) => code === byte) ?? [];
    if (named !== undefined) return `\\${named}`;
    return byte >= 0x20 && byte < 0x7f
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, "0")}`;
  }).join("");
}

/** The inputs kept for a target. */
export function readCorpus(target: string): readonly Uint8Array[] {
  const text = readFileSync(join(import.meta.dirname, "corpus", `${target}.txt`), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(unescape);
}
