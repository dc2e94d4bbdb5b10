/** From a commit to images: what each stage takes is what the one before it proved. */
import { execFile } from "node:child_process";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { proxyStep, rustToolchain, vendorCrates, type RustToolchain } from "./build/proxy.ts";
import { CLI, CONTROLLER, MOUNT_POINTS, scriptsStep, wireStep, type Program } from "./build/scripts.ts";
import { buildTwice, type Build, type BuiltAlike } from "./build/twice.ts";
import { bundledFolders, noticesOf, scriptsOf } from "./image/bundle.ts";
import type { Deb } from "./image/deb.ts";
import { fetchDebs, readPins } from "./image/fetch.ts";
import { writeImage, writeIndex, type ImageSpec } from "./image/image.ts";
import { nodeImage, proxyImage } from "./image/images.ts";
import type { Layout } from "./oci/layout.ts";
import type { Descriptor } from "./oci/model.ts";
import type { Source } from "./source.ts";
import type { ImageName } from "./verify/release.ts";

const run = promisify(execFile);

/** Everything that the build reads, fetched and checked against its lock or pin before the first step runs. */
export interface Inputs {
  /** Installed npm packages, by `package-lock.json`. */
  readonly packages: string;
  /** Vendored crates, by `proxy/Cargo.lock`. */
  readonly crates: string;
  readonly toolchain: RustToolchain;
  readonly debs: readonly Deb[];
  /** What the Debian packages are of, as `debian-12`. */
  readonly distribution: string;
}

/** Fetches the inputs of `source` into `dir`. The only stage with a network. */
export async function fetchInputs(source: Source, dir: string): Promise<Inputs> {
  const crates = join(dir, "crates");
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: source.dir,
    maxBuffer: 16 * 1024 * 1024,
  });
  // Out of the source: what is committed and what was fetched stay apart.
  const packages = join(dir, "packages");
  await mkdir(dir, { recursive: true });
  await rename(join(source.dir, "node_modules"), packages);
  for (const place of Object.values(MOUNT_POINTS)) await mkdir(join(source.dir, place), { recursive: true });
  await vendorCrates(source, crates);
  const pins = await readPins(join(source.dir, "release", "image", "debs.json"));
  return {
    packages,
    crates,
    toolchain: await rustToolchain(),
    debs: await fetchDebs(pins, join(dir, "debs")),
    distribution: pins.distribution,
  };
}

/** What was built, by the image that it is for; images that are not made are not in it. */
export type Built = ReadonlyMap<ImageName, BuiltAlike>;

/** The machine that a release is made on is the platform that it is for; nothing is cross-built yet. */
export const PLATFORM = { node: "x64", oci: "amd64" } as const;

/** Builds what the named images need, twice. */
export async function buildAll(
  source: Source,
  inputs: Inputs,
  { dir, names }: { readonly dir: string; readonly names: readonly ImageName[] },
): Promise<Built> {
  await mkdir(dir, { recursive: true });
  const given = { ...inputs, architecture: PLATFORM.node };
  const wire = await buildTwice(wireStep(source, given), dir);
  const scripts = (program: Program) => buildTwice(scriptsStep(source, program, { ...given, wire }), dir);
  const steps: Readonly<Record<ImageName, () => Promise<BuiltAlike>>> = {
    controller: () => scripts(CONTROLLER),
    cli: () => scripts(CLI),
    proxy: async () => buildTwice(await proxyStep(source, { ...inputs, dir }), dir),
  };
  const built = new Map<ImageName, BuiltAlike>();
  for (const name of names) built.set(name, await steps[name]());
  return built;
}

/** An image in the layout: the index over its platforms, and the image of each. */
export interface Imaged {
  readonly name: ImageName;
  readonly index: Descriptor;
  readonly images: readonly Descriptor[];
  /** Folders of the npm packages inside, for the images of Node programs. */
  readonly bundled: readonly string[];
}

interface Spec {
  readonly spec: ImageSpec;
  readonly bundled: readonly string[];
}

/** The manifest beside the bundles: they are ES modules, and oclif finds commands and hooks by it. */
export async function manifestOf(source: Source, program: Program): Promise<Buffer> {
  const base = { name: program.name, version: source.version, type: "module", private: true };
  if (program !== CLI) return Buffer.from(`${JSON.stringify(base)}\n`);
  const text = await readFile(join(source.dir, "mesh", "cli", "package.json"), "utf8");
  // The bundles lie side by side: a target is its file's name.
  const flat = text.replaceAll(/"\.\/(\w+)\.ts"/g, `"./$1.js"`);
  const manifest: unknown = JSON.parse(flat);
  if (typeof manifest !== "object" || manifest === null)
    throw new Error("mesh/cli/package.json is no object");
  const oclif = "oclif" in manifest ? manifest.oclif : undefined;
  return Buffer.from(`${JSON.stringify({ ...base, name: "hauberk", oclif })}\n`);
}

/** What an image of a Node program is made of, besides the program. */
export interface NodeSurroundings extends Pick<Inputs, "packages" | "debs"> {
  readonly source: Source;
  /** Node itself. */
  readonly node: Uint8Array;
  readonly description: string;
}

/** An image of a bundled program, and the folders of the npm packages in it. */
export async function nodeProgramSpec(
  program: Program,
  output: Build,
  { source, packages, debs, node, description }: NodeSurroundings,
): Promise<{ readonly spec: ImageSpec; readonly bundled: readonly string[] }> {
  const bundled = await bundledFolders(output);
  const [main = program.name] = Object.keys(program.entries);
  const manifest = { path: "package.json", bytes: await manifestOf(source, program) };
  const spec = nodeImage(
    {
      title: `hauberk-${program.name}`,
      description,
      scripts: await scriptsOf(output, `${main}.js`),
      notices: [manifest, ...(await noticesOf(bundled, packages))],
      node,
    },
    { debs, release: source, architecture: PLATFORM.oci },
  );
  return { spec, bundled };
}

/** Writes all images into `layout`, each named by its name. */
export async function imageAll(
  layout: Layout,
  { source, inputs, built }: { readonly source: Source; readonly inputs: Inputs; readonly built: Built },
): Promise<readonly Imaged[]> {
  const node = await readFile(join(inputs.packages, `node-linux-${PLATFORM.node}`, "bin", "node"));
  const nodeProgram = (program: Program, output: Build, description: string) =>
    nodeProgramSpec(program, output, { ...inputs, source, node, description });
  const specs: Readonly<Record<ImageName, (output: BuiltAlike) => Promise<Spec>>> = {
    proxy: async ({ dir }) => ({
      spec: proxyImage(await readFile(join(dir, "hauberk-proxy")), source, PLATFORM.oci),
      bundled: [],
    }),
    controller: (output) => nodeProgram(CONTROLLER, output, "The control plane of the Hauberk service mesh."),
    cli: (output) => nodeProgram(CLI, output, "The command line of the Hauberk service mesh."),
  };
  const imaged: Imaged[] = [];
  for (const [name, output] of built) {
    const { spec, bundled } = await specs[name](output);
    const image = await writeImage(layout, spec);
    const index = await writeIndex(layout, [image], spec.labels);
    await layout.tag(name, index);
    imaged.push({ name, index, images: [image], bundled });
  }
  return imaged;
}
