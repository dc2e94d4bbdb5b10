/** Hauberk's own images, of this tree as it is: what a release would hold, built once and not compressed. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { bundleCommand, CONTROLLER } from "@hauberk/release/build/scripts.ts";
import { digestsBelow } from "@hauberk/release/build/step.ts";
import { fetchDebs, readPins } from "@hauberk/release/image/fetch.ts";
import { proxyImage } from "@hauberk/release/image/images.ts";
import { nodeProgramSpec } from "@hauberk/release/stages.ts";
import { architecture, writeArchive } from "./images.ts";

const run = promisify(execFile);
const BUNDLE_MS_MAX = 120_000;

/** Where nodes look for an image whose name says no registry. */
const REGISTRY = "docker.io/hauberk";

const Manifest = z.object({ version: z.string() });

export interface Product {
  /** The root of the tree. */
  readonly root: string;
  /** The data plane's binary, of whatever profile. */
  readonly proxy: string;
  /** The folder of archives. */
  readonly images: string;
  /** The folder of what is fetched. */
  readonly cache: string;
}

/** Where a release build leaves the data plane's binary. */
export function builtProxy(root: string): string {
  return join(root, "proxy", "target", "bin", "hauberk-proxy");
}

/** Writes the images of the proxy and of the control plane under the names that `hauberk install` gives them. */
export async function writeProduct({ root, proxy, images, cache }: Product): Promise<readonly string[]> {
  if (!existsSync(proxy))
    throw new Error(`no proxy at ${proxy}: npm run setup builds it, --proxy FILE names another`);
  await mkdir(images, { recursive: true });
  const { version } = Manifest.parse(JSON.parse(await readFile(join(root, "package.json"), "utf8")));
  const source = { commit: "0".repeat(40), epochSeconds: 0, version, dir: root };
  const named = (name: string): string => `${REGISTRY}/${name}:${version}`;
  const write = async (name: string, spec: Parameters<typeof writeArchive>[0]): Promise<string> => {
    await writeArchive(spec, [named(name)], join(images, `${name}.tar`));
    return named(name);
  };
  const out = await mkdtemp(join(tmpdir(), "hauberk-bundle-"));
  try {
    const [program = "", ...words] = bundleCommand(CONTROLLER, { architecture: process.arch, out });
    await run(program, words, { cwd: root, timeout: BUNDLE_MS_MAX });
    const pins = await readPins(join(root, "release", "image", "debs.json"));
    const { spec } = await nodeProgramSpec(
      CONTROLLER,
      { dir: out, outputs: await digestsBelow(out) },
      {
        source,
        packages: join(root, "node_modules"),
        architecture: architecture(),
        debs: await fetchDebs(pins, { dir: join(cache, "debs"), architecture: architecture() }),
        node: await readFile(join(root, "node_modules", `node-linux-${process.arch}`, "bin", "node")),
        description: "The control plane of the Hauberk service mesh.",
      },
    );
    return [
      await write("proxy", proxyImage(await readFile(proxy), source, architecture())),
      await write("controller", spec),
    ];
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}
