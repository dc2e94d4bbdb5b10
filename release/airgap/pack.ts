/** One file with everything that a cluster without a network needs: the release as it was made, its channel, and how to use both. */
import { createReadStream, createWriteStream } from "node:fs";
import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";
import { readDescription, type Release } from "../channel/release.ts";

/** The channel's folder in a bundle. */
export const CHANNEL_DIR = "channel";

const guide = ({ version }: Release) => `Hauberk ${version}, for a place without a network.

You need this file, HOST/PATH of a registry that your cluster reaches, and the root document of the channel (1.root.json), which you
got another way than this file. On a machine that reaches registry and cluster:

    tar -xf THIS-FILE hauberk-${version}-linux-amd64.tar.gz && tar -xzf hauberk-${version}-linux-amd64.tar.gz
    export PATH=$PWD/hauberk-${version}-linux-amd64/bin:$PATH
    hauberk verify THIS-FILE --root 1.root.json
    hauberk bundle push THIS-FILE HOST/PATH --root 1.root.json
    hauberk install --crds | kubectl apply -f -
    hauberk install --bundle THIS-FILE --root 1.root.json --mirror HOST/PATH | kubectl apply -f -

and later, with a newer file and the command line in it:

    hauberk upgrade --bundle THIS-FILE --root 1.root.json --mirror HOST/PATH
`;

async function filesBelow(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .toSorted();
}

/** Whether a file of a release's folder belongs into the bundle: keys of nobody do. */
const belongs = (path: string) => !/(^|\/)(\.|[^/]*\.(pem|key)$)/.test(path);

/**
 * Writes the release in `dir`, with the repository of its channel, as one archive. The same release and channel give the same
 * bytes. @throws if the release has not been let out, or lacks the command line.
 */
export async function packRelease(
  dir: string,
  { channel, file }: { readonly channel: string; readonly file: string },
): Promise<Release> {
  const release = readDescription(await readFile(join(dir, "release.json")));
  const listed = await filesBelow(dir);
  if (!listed.some((path) => /^hauberk-.*-linux-.*\.tar\.gz$/.test(path)))
    throw new Error(
      `${dir} holds no archive of the command line: whoever has no network could not use the bundle`,
    );
  if (!listed.includes("gate.pub"))
    throw new Error(`${dir} has not been let out by a gate: npm run release -- gate`);
  await rm(join(dir, CHANNEL_DIR), { recursive: true, force: true });
  await cp(channel, join(dir, CHANNEL_DIR), { recursive: true });
  await writeFile(join(dir, "README-BUNDLE.txt"), guide(release));
  const mtime = new Date(release.at);
  const out = pack();
  const written = pipeline(out, createWriteStream(file));
  for (const path of (await filesBelow(dir)).filter(belongs)) {
    const { size } = await stat(join(dir, path));
    const entry = out.entry({ name: path, size, mode: 0o644, mtime, uid: 0, gid: 0, uname: "", gname: "" });
    await pipeline(createReadStream(join(dir, path)), entry);
  }
  out.finalize();
  await written;
  return release;
}
