/** From inputs to what a release holds: what each stage takes is what the one before it proved. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Inventory } from "@hauberk/sbom/component.ts";
import type { Digest } from "@hauberk/crypto/digest.ts";
import { writeArtifact } from "./artifact/artifact.ts";
import { chartArtifact } from "./artifact/chart.ts";
import { archiveName, cliArchive } from "./artifact/cli.ts";
import { printAll, type ImagePin } from "./artifact/print.ts";
import { proxyStep } from "./build/proxy.ts";
import { CLI, CONTROLLER, scriptsStep, wireStep, type Program } from "./build/scripts.ts";
import { buildTwice, type Build, type BuiltAlike } from "./build/twice.ts";
import { artifactInventory, nodeInventory, proxyInventory } from "./describe.ts";
import { bundledFolders, noticesOf, scriptsOf } from "./image/bundle.ts";
import type { Deb } from "./image/deb.ts";
import { writeImage, writeIndex, type Compressed, type ImageSpec } from "./image/image.ts";
import { labels, nodeImage, proxyImage } from "./image/images.ts";
import { nodePath, type Inputs, type PlatformInputs } from "./inputs.ts";
import { CHARTS, type ArtifactName, type ImageName, type KindName } from "./kinds.ts";
import type { Layout } from "./oci/layout.ts";
import type { Descriptor } from "./oci/model.ts";
import { nameOfPlatform, platformHere, type Architecture } from "./platform.ts";
import type { Source } from "./source.ts";

/** What was built; what is not made is not in it. */
export interface Built {
  readonly scripts: ReadonlyMap<"controller" | "cli", BuiltAlike>;
  /** The data plane's binary of each platform. */
  readonly proxies: ReadonlyMap<Architecture, BuiltAlike>;
}

/** Builds what the named kinds need, twice. */
export async function buildAll(
  source: Source,
  inputs: Inputs,
  { dir, names }: { readonly dir: string; readonly names: readonly KindName[] },
): Promise<Built> {
  await mkdir(dir, { recursive: true });
  const given = { ...inputs, architecture: platformHere().node };
  const scripts = new Map<"controller" | "cli", BuiltAlike>();
  const wire = await buildTwice(wireStep(source, given), dir);
  for (const program of [CONTROLLER, CLI]) {
    const name = program === CLI ? "cli" : "controller";
    if (names.includes(name))
      scripts.set(name, await buildTwice(scriptsStep(source, program, { ...given, wire }), dir));
  }
  const proxies = new Map<Architecture, BuiltAlike>();
  for (const { platform, crates: components } of inputs.platforms) {
    const isAbsent = inputs.absent.some(
      (one) => one.name === "proxy" && one.platform === nameOfPlatform(platform),
    );
    if (isAbsent || !names.includes("proxy")) continue;
    const { crates, toolchain } = inputs;
    const step = await proxyStep(source, { crates, toolchain, dir, platform, components });
    proxies.set(platform.oci, await buildTwice(step, dir));
  }
  return { scripts, proxies };
}

/** What one digest of the release is: what is in it, and what the steps made for it. */
export interface Part {
  readonly descriptor: Descriptor;
  readonly inventory: Inventory;
  readonly outputs: ReadonlyMap<string, Digest>;
  /** As `linux/amd64`, where it is of one. */
  readonly platform?: string;
}

/** One kind in the layout. */
export interface Made {
  readonly name: KindName;
  /** An index over platforms, or the artifact itself. */
  readonly whole: Descriptor;
  /** What the index names, or the artifact. */
  readonly parts: readonly Part[];
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
export interface NodeSurroundings extends Pick<Inputs, "packages"> {
  readonly debs: readonly Deb[];
  readonly architecture: Architecture;
  readonly source: Source;
  /** Node itself. */
  readonly node: Uint8Array;
  readonly description: string;
}

/** A bundled program with what goes along with it, and the folders of the npm packages in it. */
async function programOf(
  program: Program,
  output: Build,
  { source, packages }: { readonly source: Source; readonly packages: string },
) {
  const bundled = await bundledFolders(output);
  const [main = program.name] = Object.keys(program.entries);
  const manifest = { path: "package.json", bytes: await manifestOf(source, program) };
  return {
    bundled,
    scripts: await scriptsOf(output, `${main}.js`),
    notices: [manifest, ...(await noticesOf(bundled, packages))],
  };
}

/** An image of a bundled program, and the folders of the npm packages in it. */
export async function nodeProgramSpec(
  program: Program,
  output: Build,
  { source, packages, debs, node, description, architecture }: NodeSurroundings,
): Promise<{ readonly spec: ImageSpec; readonly bundled: readonly string[] }> {
  const { bundled, scripts, notices } = await programOf(program, output, { source, packages });
  const made = { title: `hauberk-${program.name}`, description, scripts, notices, node };
  return { spec: nodeImage(made, { debs, release: source, architecture }), bundled };
}

const DESCRIPTIONS = {
  controller: "The control plane of the Hauberk service mesh.",
  cli: "The command line of the Hauberk service mesh.",
} as const;

/** What the later stages are given. */
export interface Making {
  readonly source: Source;
  readonly inputs: Inputs;
  readonly built: Built;
  readonly names: readonly KindName[];
}

interface Imaged {
  readonly spec: ImageSpec;
  readonly inventory: Inventory;
  readonly outputs: ReadonlyMap<string, Digest>;
}

/** The image of one platform; `undefined` where it could not be built. */
async function imageOf(
  name: ImageName,
  { source, inputs, built }: Making,
  of: PlatformInputs,
): Promise<Imaged | undefined> {
  const { platform, node, debs, crates } = of;
  const about = { source, name: `hauberk-${name}`, architecture: platform.oci };
  if (name === "proxy") {
    const output = built.proxies.get(platform.oci);
    if (output === undefined) return undefined;
    const binary = await readFile(join(output.dir, "hauberk-proxy"));
    const spec = proxyImage(binary, source, platform.oci);
    return { spec, inventory: proxyInventory(about, crates), outputs: output.outputs };
  }
  const output = built.scripts.get(name);
  if (output === undefined) return undefined;
  const { spec, bundled } = await nodeProgramSpec(name === "cli" ? CLI : CONTROLLER, output, {
    source,
    packages: inputs.packages,
    debs,
    node: await readFile(node),
    description: DESCRIPTIONS[name],
    architecture: platform.oci,
  });
  const folders = [...bundled, nodePath(platform)];
  const inventory = await nodeInventory(about, { folders, debs, distribution: inputs.distribution });
  return { spec, inventory, outputs: output.outputs };
}

/** Writes an image of every platform that was built, and their index. */
async function writeOne(
  layout: Layout,
  name: ImageName,
  making: Making,
  done: Compressed,
): Promise<Made | undefined> {
  const parts: Part[] = [];
  let annotations: Readonly<Record<string, string>> = {};
  for (const of of making.inputs.platforms) {
    const imaged = await imageOf(name, making, of);
    if (imaged === undefined) continue;
    const { spec, inventory, outputs } = imaged;
    annotations = spec.labels;
    const descriptor = await writeImage(layout, spec, done);
    parts.push({ descriptor, inventory, outputs, platform: nameOfPlatform(of.platform) });
  }
  if (parts.length === 0) return undefined;
  const descriptors = parts.map(({ descriptor }) => descriptor);
  return { name, whole: await writeIndex(layout, descriptors, annotations), parts };
}

/** Writes the images into `layout`, each named by its name. */
export async function imageAll(layout: Layout, making: Making): Promise<readonly Made[]> {
  const done: Compressed = new Map();
  const all: Made[] = [];
  for (const name of making.names) {
    if (name !== "proxy" && name !== "controller" && name !== "cli") continue;
    const made = await writeOne(layout, name, making, done);
    if (made === undefined) continue;
    await layout.tag(name, made.whole);
    all.push(made);
  }
  return all;
}

/** What artifacts are made of, besides what was built. */
export interface Artifacts extends Making {
  readonly images: readonly Made[];
  /** Where the images will lie. */
  readonly repository: string;
  /** A folder that is used. */
  readonly dir: string;
  /** Where archives are put as files, too. */
  readonly out: string;
}

async function print({ source, inputs, built, images, repository, dir }: Artifacts): Promise<BuiltAlike> {
  const program = built.scripts.get("cli");
  if (program === undefined)
    throw new Error("charts and definitions are printed by the command line: --only cli");
  const pinOf = (name: "controller" | "proxy"): { readonly [key in typeof name]?: ImagePin } => {
    const digest = images.find((image) => image.name === name)?.whole.digest;
    if (digest === undefined) return {};
    return { [name]: { name: `${repository}/${name}`, version: `${source.version}@${digest}` } };
  };
  const here = inputs.platforms.find(({ platform }) => platform === platformHere());
  if (here === undefined) throw new Error("charts are printed with this machine's own Node");
  const manifest = await manifestOf(source, CLI);
  return printAll(
    source,
    { ...pinOf("controller"), ...pinOf("proxy") },
    { program, manifest, node: here.node, dir },
  );
}

/** The archives of the command line as an index over platforms. */
async function writeArchives(layout: Layout, made: Artifacts): Promise<Made> {
  const { source, inputs, built, out } = made;
  const output = built.scripts.get("cli");
  if (output === undefined) throw new Error("the archive is of the command line: --only cli");
  const { scripts, notices, bundled } = await programOf(CLI, output, { source, packages: inputs.packages });
  const annotations = labels("hauberk-cli", DESCRIPTIONS.cli, source);
  const parts: Part[] = [];
  for (const { platform, node } of inputs.platforms) {
    const archive = {
      version: source.version,
      platform: nameOfPlatform(platform),
      scripts,
      notices,
      node: await readFile(node),
      licence: await readFile(join(source.dir, "LICENSE")),
      epochSeconds: source.epochSeconds,
    };
    const title = archiveName(archive);
    const bytes = await cliArchive(archive);
    await writeFile(join(out, title), bytes);
    const mediaType = "application/vnd.hauberk.cli.v1.tar+gzip";
    const spec = {
      artifactType: "application/vnd.hauberk.cli.v1",
      content: { mediaType, bytes, title },
      annotations,
    };
    const descriptor = {
      ...(await writeArtifact(layout, spec)),
      platform: { architecture: platform.oci, os: "linux" },
    };
    const about = { source, name: "hauberk-cli", architecture: platform.oci };
    const inventory = await nodeInventory(about, {
      folders: [...bundled, nodePath(platform)],
      debs: [],
      distribution: inputs.distribution,
    });
    parts.push({ descriptor, inventory, outputs: output.outputs, platform: archive.platform });
  }
  const whole = await writeIndex(
    layout,
    parts.map(({ descriptor }) => descriptor),
    annotations,
  );
  return { name: "hauberk-cli", whole, parts };
}

const isChart = (name: ArtifactName) => CHARTS.some((chart) => chart === name);

/** A chart, or the definitions: what the command line printed. */
async function writePrinted(
  layout: Layout,
  name: ArtifactName,
  made: Artifacts,
  printed: BuiltAlike,
): Promise<Made> {
  const { source, images, repository } = made;
  const below = isChart(name) ? `charts/${name}/` : "crds.yaml";
  const outputs = new Map([...printed.outputs].filter(([path]) => path.startsWith(below)));
  const files = await Promise.all(
    [...outputs.keys()].map(async (path) => ({
      path: path.replace(/^charts\//, ""),
      bytes: await readFile(join(printed.dir, path)),
    })),
  );
  const [first] = files;
  if (first === undefined) throw new Error(`the command line printed nothing for ${name}`);
  const annotations = labels(name, "The kinds that the Hauberk service mesh adds to a cluster.", source);
  const spec = isChart(name)
    ? await chartArtifact(name, files, { epochSeconds: source.epochSeconds, labels: annotations })
    : {
        artifactType: "application/vnd.hauberk.crds.v1",
        content: { mediaType: "application/yaml", bytes: first.bytes, title: "crds.yaml" },
        annotations,
      };
  const descriptor = await writeArtifact(layout, spec);
  const inventory = artifactInventory({ source, name }, { files: outputs, images, repository });
  return { name, whole: descriptor, parts: [{ descriptor, inventory, outputs }] };
}

/** What is no image: archives of the command line, charts and definitions; and the definitions as printed. */
export async function artifactsAll(
  layout: Layout,
  made: Artifacts,
): Promise<{ readonly all: readonly Made[]; readonly crds: Buffer | undefined }> {
  const all: Made[] = [];
  const isPrinted = made.names.some((name) => name === "crds" || CHARTS.some((chart) => chart === name));
  const printed = isPrinted ? await print(made) : undefined;
  for (const name of made.names) {
    if (name === "proxy" || name === "controller" || name === "cli") continue;
    if (name === "hauberk-cli") all.push(await writeArchives(layout, made));
    else if (printed !== undefined) all.push(await writePrinted(layout, name, made, printed));
  }
  for (const { name, whole } of all) await layout.tag(name, whole);
  const crds = printed === undefined ? undefined : await readFile(join(printed.dir, "crds.yaml"));
  return { all, crds };
}
