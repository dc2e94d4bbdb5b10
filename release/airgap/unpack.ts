/** A bundle, unpacked into a folder that goes when its user is done. Nothing in it is believed for being in it. */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { extract } from "tar-stream";

/** A release of two platforms has 500 MB, and some thousand files. */
const BUNDLE_BYTES_MAX = 4 * 1024 * 1024 * 1024;
const FILES_MAX = 20_000;

/** The archive is none of ours, or was made to do harm. */
export class BundleError extends Error {
  override readonly name = "BundleError";
}

/** Paths that stay below the folder that they are unpacked into, written in one way only. */
const PATH = /^(?!\.\.?(?:\/|$))[\w.-]+(?:\/(?!\.\.?(?:\/|$))[\w.-]+)*$/;

/** Unpacks `file` below `dir`. @throws {@link BundleError} naming the entry that is no plain file below it, or stands twice. */
export async function unpackInto(file: string, dir: string): Promise<void> {
  const { size } = await stat(file);
  if (size > BUNDLE_BYTES_MAX)
    throw new BundleError(`${file} has ${size} bytes; at most ${BUNDLE_BYTES_MAX} are taken`);
  const reader = extract();
  const feeding = pipeline(createReadStream(file), reader);
  // Whoever reads the entries hears of it too; unheard, it would end the program.
  feeding.catch(() => undefined);
  const seen = new Set<string>();
  try {
    for await (const entry of reader) {
      const { name, type } = entry.header;
      if (type !== "file")
        throw new BundleError(`${name} is a ${type ?? "nothing"}: a bundle has files only`);
      if (!PATH.test(name)) throw new BundleError(`${name} is no path below the bundle`);
      if (seen.has(name)) throw new BundleError(`${name} stands twice`);
      if (seen.size >= FILES_MAX) throw new BundleError(`more than ${FILES_MAX} files`);
      seen.add(name);
      await mkdir(dirname(join(dir, name)), { recursive: true });
      await pipeline(entry, createWriteStream(join(dir, name), { flags: "wx" }));
    }
    await feeding;
  } catch (error) {
    reader.destroy();
    if (error instanceof BundleError) throw error;
    throw new BundleError(`${file} is no bundle: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  if (!seen.has("release.json")) throw new BundleError(`${file} is no bundle: it has no release.json`);
}

/** Runs `use` with the folder that `file` unpacks to. */
export async function withBundle<T>(file: string, use: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-bundle-"));
  try {
    await unpackInto(file, dir);
    return await use(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
