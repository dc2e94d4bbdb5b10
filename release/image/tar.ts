/** Archives that depend on nothing but their entries: sorted, owned by numbers, of one time. */
import { buffer } from "node:stream/consumers";
import { pack } from "tar-stream";

/** One thing in an archive. Paths are relative, without `./`; parents need not be given. */
export type Entry =
  | {
      readonly kind: "file";
      readonly path: string;
      readonly mode: number;
      readonly bytes: Uint8Array;
      /** Capabilities that whoever runs the file may take up, by number, if its bounds have them. */
      readonly permitted?: readonly number[];
    }
  | { readonly kind: "directory"; readonly path: string; readonly mode: number; readonly owner?: number }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

/** Folders that entries lie in and that nobody gave. */
function parentsOf(entries: readonly Entry[]): readonly Entry[] {
  const given = new Set(entries.map(({ path }) => path));
  const missing = new Map<string, Entry>();
  for (const { path } of entries) {
    const parts = path.split("/");
    for (let length = 1; length < parts.length; length += 1) {
      const folder = parts.slice(0, length).join("/");
      if (!given.has(folder)) missing.set(folder, { kind: "directory", path: folder, mode: 0o755 });
    }
  }
  return [...missing.values()];
}

/** By code unit, which no locale changes. */
function byPath(a: Entry, b: Entry): number {
  if (a.path === b.path) throw new Error(`two entries are called ${a.path}`);
  return a.path < b.path ? -1 : 1;
}

/** Extended attributes in archives, as GNU tar and container runtimes write and read them. */
const CAPABILITY = "SCHILY.xattr.security.capability";

/**
 * A file's permitted capabilities (`struct vfs_cap_data`, revision 2). The effective bit is not set: with it, nobody
 * who lacks one of them could run the file at all.
 */
function permitting(capabilities: readonly number[]): string {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32LE(0x02_00_00_00, 0);
  for (const number of capabilities) {
    if (number > 30) throw new Error(`capability ${number} has no place in the archive's text`);
    bytes.writeUInt32LE(bytes.readUInt32LE(4) + 2 ** number, 4);
  }
  // A byte above 127 would be two in UTF-8, which is what the archive's records are in.
  if (bytes.some((byte) => byte > 0x7f)) throw new Error("these capabilities do not fit the archive's text");
  return bytes.toString("latin1");
}

function headerOf(entry: Entry, mtime: Date) {
  const common = { name: entry.path, mtime, uid: 0, gid: 0, uname: "", gname: "" };
  switch (entry.kind) {
    case "file":
      return {
        ...common,
        type: "file",
        mode: entry.mode,
        size: entry.bytes.length,
        ...(entry.permitted === undefined ? {} : { pax: { [CAPABILITY]: permitting(entry.permitted) } }),
      } as const;
    case "directory": {
      const owner = entry.owner ?? 0;
      return { ...common, type: "directory", mode: entry.mode, uid: owner, gid: owner } as const;
    }
    case "link":
      return { ...common, type: "symlink", mode: 0o777, linkname: entry.target } as const;
  }
}

/** The archive of `entries` with every time set to `epochSeconds`. */
export async function archive(entries: readonly Entry[], epochSeconds: number): Promise<Buffer> {
  const mtime = new Date(epochSeconds * 1000);
  const out = pack();
  const written = buffer(out);
  for (const entry of [...parentsOf(entries), ...entries].toSorted(byPath)) {
    const header = headerOf(entry, mtime);
    if (entry.kind === "file") out.entry(header, Buffer.from(entry.bytes));
    else out.entry(header);
  }
  out.finalize();
  return written;
}
