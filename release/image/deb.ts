/** Debian packages as a source of files: read, never installed. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { extract } from "tar-stream";
import { digestOf, type Digest } from "../oci/model.ts";
import type { Entry } from "./tar.ts";

const run = promisify(execFile);

/** libc6 unpacks to 13 MB; nothing that belongs in an image of ours is near this. */
const ARCHIVE_BYTES_MAX = 512 * 1024 * 1024;

export interface Deb {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** The source package, where it is called otherwise. */
  readonly source: string | undefined;
  readonly maintainer: string;
  /** Of the `.deb` file. */
  readonly digest: Digest;
  /** The control file, as `dpkg` keeps it. */
  readonly control: string;
  readonly entries: readonly Entry[];
}

async function unpack(path: string, part: "--fsys-tarfile" | "--ctrl-tarfile"): Promise<readonly Entry[]> {
  const { stdout } = await run("dpkg-deb", [part, path], {
    encoding: "buffer",
    maxBuffer: ARCHIVE_BYTES_MAX,
  });
  const reader = extract();
  const entries: Entry[] = [];
  reader.end(stdout);
  for await (const entry of reader) {
    const { name, type, mode, linkname } = entry.header;
    const bytes = await buffer(entry);
    const path = name.replace(/^\.\//, "").replace(/\/$/, "");
    if (path === "" || path === ".") continue;
    if (type === "directory") entries.push({ kind: "directory", path, mode });
    else if (type === "symlink") entries.push({ kind: "link", path, target: linkname ?? "" });
    else if (type === "file") entries.push({ kind: "file", path, mode, bytes });
    else throw new Error(`${path}: a ${type} in a package is not supported`);
  }
  return entries;
}

/** Reads a package file. @throws if it is none or lacks a name, version, architecture or maintainer. */
export async function readDeb(path: string): Promise<Deb> {
  const control = (await unpack(path, "--ctrl-tarfile")).find((entry) => entry.path === "control");
  if (control?.kind !== "file") throw new Error(`${path} has no control file`);
  const text = Buffer.from(control.bytes).toString("utf8");
  const optional = (field: string) => new RegExp(`^${field}: (.*)$`, "m").exec(text)?.[1];
  const field = (name: string) => {
    const value = optional(name);
    if (value === undefined) throw new Error(`${path}: its control file has no ${name}`);
    return value;
  };
  return {
    name: field("Package"),
    version: field("Version"),
    architecture: field("Architecture"),
    source: optional("Source")?.split(" ")[0],
    maintainer: field("Maintainer"),
    digest: digestOf(await readFile(path)),
    control: text,
    entries: await unpack(path, "--fsys-tarfile"),
  };
}
