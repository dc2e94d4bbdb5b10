/** Images for a cluster, written as a release's are, without a container engine; and their way into its nodes. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { writeImage, type ImageSpec } from "@hauberk/release/image/image.ts";
import { archive, type Entry } from "@hauberk/release/image/tar.ts";
import { Layout } from "@hauberk/release/oci/layout.ts";
import { digestOf } from "@hauberk/release/oci/model.ts";
import { nodePathsOf, type Node } from "./place.ts";
import { PAUSE_IMAGE } from "./settings.ts";

const run = promisify(execFile);
const LOAD_MS_MAX = 300_000;

/** Where containerd reads the name of an image of an archive. */
const NAME_ANNOTATION = "io.containerd.image.name";

/** The architecture of this machine as images call it. */
export function architecture(): "amd64" | "arm64" {
  if (process.arch === "x64") return "amd64";
  if (process.arch === "arm64") return "arm64";
  throw new Error(`no image is made for ${process.arch}: x64 and arm64 are supported`);
}

/** An image of one static program, which runs as root if it must. */
export function programImage(
  title: string,
  files: Readonly<Record<string, Uint8Array>>,
  entrypoint: readonly string[],
): ImageSpec {
  const entries: Entry[] = Object.entries(files).map(([path, bytes]) => ({
    kind: "file",
    path,
    mode: 0o755,
    bytes,
  }));
  return {
    architecture: architecture(),
    layers: [{ made: title, entries }],
    entrypoint,
    user: "65532:65532",
    labels: { "org.opencontainers.image.title": title },
    epochSeconds: 0,
  };
}

/** The image that answers, asks and loads; `client`, `server` and `load` are on its path. */
export async function echoImage(bin: string): Promise<ImageSpec> {
  const path = "usr/local/bin";
  const program: Entry = {
    kind: "file",
    path: `${path}/echo`,
    mode: 0o755,
    bytes: await readFile(join(bin, "echo")),
  };
  const names = ["client", "load", "server"].map((name): Entry => ({
    kind: "link",
    path: `${path}/${name}`,
    target: "echo",
  }));
  const image = programImage("echo", {}, [`/${path}/server`]);
  return {
    ...image,
    layers: [{ made: "echo", entries: [program, ...names] }],
    environment: { PATH: `/${path}` },
  };
}

/** Writes an image as an archive that containerd loads under each of `names`. The same image is the same archive. */
export async function writeArchive(spec: ImageSpec, names: readonly string[], file: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-image-"));
  try {
    const layout = await Layout.create(join(dir, "layout"));
    // What stays on this machine is not worth compressing.
    const image = await writeImage(layout, { ...spec, compression: "none" });
    for (const name of names) {
      const annotations = { ...image.annotations, [NAME_ANNOTATION]: name };
      await layout.tag(name, { ...image, annotations });
    }
    const paths = (await readdir(layout.name, { recursive: true, withFileTypes: true })).filter((one) =>
      one.isFile(),
    );
    const entries = await Promise.all(
      paths.map(async ({ parentPath, name }): Promise<Entry> => {
        const path = join(parentPath, name);
        const bytes = await readFile(path);
        return { kind: "file", path: path.slice(layout.name.length + 1), mode: 0o644, bytes };
      }),
    );
    await writeFile(`${file}.new`, await archive(entries, 0));
    await rename(`${file}.new`, file);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Writes the image of pods' first process. */
export async function writePause(bin: string, images: string): Promise<void> {
  await mkdir(images, { recursive: true });
  const spec = programImage("pause", { pause: await readFile(join(bin, "pause")) }, ["/pause"]);
  await writeArchive(spec, [PAUSE_IMAGE], join(images, "pause.tar"));
}

/** Loads the archives of a folder that a node has not loaded yet. */
export async function loadImages(
  node: Node,
  { images, bin }: { readonly images: string; readonly bin: string },
): Promise<readonly string[]> {
  const { socket, loaded } = nodePathsOf(node);
  await mkdir(loaded, { recursive: true });
  const files = (await readdir(images)).filter((name) => name.endsWith(".tar")).toSorted();
  const fresh: string[] = [];
  for (const file of files) {
    const path = join(images, file);
    const digest = digestOf(await readFile(path));
    const note = join(loaded, basename(file));
    if (existsSync(note) && readFileSync(note, "utf8") === digest) continue;
    const words = ["--address", socket, "--namespace", "k8s.io", "images", "import", "--local", path];
    await run(join(bin, "ctr"), words, { timeout: LOAD_MS_MAX });
    await writeFile(note, digest);
    fresh.push(file);
  }
  return fresh;
}
