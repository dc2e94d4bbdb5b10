/** Unpacks an archive of ours below a folder. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";

/** Node unpacks to 130 MB. */
const ARCHIVE_BYTES_MAX = 512 * 1024 * 1024;

/** Unpacks `archive` into `dir` and gives its only folder. @throws if an entry would lie elsewhere, or is a link. */
export async function extractArchive(archive: Uint8Array, dir: string): Promise<string> {
  const reader = extract();
  reader.end(gunzipSync(archive, { maxOutputLength: ARCHIVE_BYTES_MAX }));
  const roots = new Set<string>();
  for await (const entry of reader) {
    const { name, type, mode } = entry.header;
    if (type === "directory") {
      entry.resume();
      continue;
    }
    const parts = name.split("/");
    const isBelow = parts.length > 1 && parts.every((part) => part !== "" && part !== "." && part !== "..");
    if (type !== "file" || !isBelow) throw new Error(`${name}: an archive of ours has no such entry`);
    roots.add(parts[0] ?? "");
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), await buffer(entry), { mode: mode & 0o755, flag: "wx" });
  }
  const [root, ...more] = roots;
  if (root === undefined || more.length > 0) throw new Error("an archive of ours has one folder");
  return join(dir, root);
}
