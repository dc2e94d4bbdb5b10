/** Manifests from where a command is told: a file, a folder, standard input or a URL. */
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";

/** Most bytes of one source: some thousand workloads. */
const BYTES_MAX = 64 * 1024 * 1024;
/** How long a URL may take. */
const FETCH_MS_MAX = 30_000;

/** A source and its text. */
export interface ManifestInput {
  readonly name: string;
  readonly text: string;
}

/** Reads `FILE`, every manifest below a folder, `-` for standard input, or an http(s) URL. */
export async function readManifests(from: string): Promise<readonly ManifestInput[]> {
  if (from === "-")
    return [{ name: "standard input", text: bounded("standard input", await buffer(process.stdin)) }];
  if (/^https?:\/\//.test(from)) return [{ name: from, text: await fetched(from) }];
  const found = await stat(from);
  const files = found.isDirectory() ? await manifestsBelow(from) : [from];
  return Promise.all(files.map(async (name) => ({ name, text: bounded(name, await readFile(name)) })));
}

async function manifestsBelow(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true });
  const files = names.filter((name) => /\.(ya?ml|json)$/.test(name)).toSorted();
  return files.map((name) => join(folder, name));
}

async function fetched(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS_MAX) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return bounded(url, Buffer.from(await response.arrayBuffer()));
}

function bounded(name: string, bytes: Buffer): string {
  if (bytes.length > BYTES_MAX) throw new Error(`${name}: ${bytes.length} bytes are more than ${BYTES_MAX}`);
  return bytes.toString("utf8");
}

/** One stream of several sources. */
export function joined(texts: readonly string[]): string {
  return texts
    .map((text, index) => (index === 0 || text.startsWith("---") ? text : `---\n${text}`))
    .map((text) => (text === "" || text.endsWith("\n") ? text : `${text}\n`))
    .join("");
}
