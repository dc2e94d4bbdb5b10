/** Where the targets and their kept inputs are. The form of a corpus is that of `proxy/fuzz/src/corpus.rs`. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");
/** The control plane's fuzzer. */
export const MESH_MAIN = join(ROOT, "mesh", "fuzz", "main.ts");

/** Marks the targets of the control plane. */
const MESH_PREFIX = "mesh-";
const NAMED: ReadonlyMap<string, string> = new Map([
  ["r", "\r"],
  ["n", "\n"],
  ["t", "\t"],
  ["\\", "\\"],
]);

/** A target of either plane. */
export interface Target {
  /** Unique among both. */
  readonly name: string;
  readonly plane: "proxy" | "mesh";
  /** As its plane calls it. */
  readonly own: string;
  readonly corpus: string;
}

function targetsOf(plane: Target["plane"], prefix: string): readonly Target[] {
  const folder = join(ROOT, plane, "fuzz", "corpus");
  return readdirSync(folder)
    .filter((file) => file.endsWith(".txt"))
    .map((file) => basename(file, ".txt"))
    .toSorted()
    .map((own) => ({ name: `${prefix}${own}`, plane, own, corpus: join(folder, `${own}.txt`) }));
}

/** Every target of both planes. */
export function targets(): readonly Target[] {
  return [...targetsOf("proxy", ""), ...targetsOf("mesh", MESH_PREFIX)];
}

/** The kept inputs, as bytes. */
export function inputsOf(corpus: string): readonly Buffer[] {
  return readFileSync(corpus, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const text = line.replaceAll(/\\(?:([rnt\\])|x([0-9a-fA-F]{2}))/g, (_, named?: string, hex?: string) =>
        named === undefined ? String.fromCodePoint(Number.parseInt(hex ?? "", 16)) : (NAMED.get(named) ?? ""),
      );
      return Buffer.from(text, "latin1");
    });
}

/** The line that keeps an input in a corpus. */
export function lineOf(input: Uint8Array): string {
  return Array.from(input, (byte) => {
    const char = String.fromCodePoint(byte);
    const [name] = Array.from(NAMED).find(([, named]) => named === char) ?? [];
    if (name !== undefined) return `\\${name}`;
    return byte >= 0x20 && byte < 0x7f && char !== "#" ? char : `\\x${byte.toString(16).padStart(2, "0")}`;
  }).join("");
}
