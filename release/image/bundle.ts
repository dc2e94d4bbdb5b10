/** What a bundle of scripts is made of, and what an image must carry with it. */
import { readFile, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import type { Build } from "../build/twice.ts";
import type { NodeProgram } from "./images.ts";

const Contents = z.object({ inputs: z.record(z.string(), z.unknown()) });

/**
 * Folders of the packages in esbuild's list of inputs, as `node_modules/a` or `node_modules/a/node_modules/b`; the
 * workspace's own files are in none. Pure.
 */
export function packagesIn(inputs: readonly string[]): readonly string[] {
  const folders = inputs.flatMap((input) => {
    const found = /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
    return found === undefined ? [] : [found];
  });
  return [...new Set(folders)].toSorted();
}

const NOTICE = /^(licen[cs]e|notice|copying)/i;

/** Reads what `built` says went into it: folders below the root of the source. */
export async function bundledFolders(built: Build): Promise<readonly string[]> {
  const text = await readFile(join(built.dir, "contents.json"), "utf8");
  const { inputs } = Contents.parse(JSON.parse(text));
  return packagesIn(Object.keys(inputs));
}

/**
 * Each bundled package's own manifest and licence texts: the licences ask for the texts, and scanners find the
 * packages by the manifests.
 */
export async function noticesOf(
  folders: readonly string[],
  packages: string,
): Promise<NodeProgram["notices"]> {
  const notices: { readonly path: string; readonly bytes: Uint8Array }[] = [];
  for (const folder of folders) {
    const dir = join(packages, "..", folder.replace(/^node_modules/, basename(packages)));
    const texts = (await readdir(dir)).filter((file) => NOTICE.test(file));
    for (const file of ["package.json", ...texts.toSorted()]) {
      notices.push({ path: `${folder}/${file}`, bytes: await readFile(join(dir, file)) });
    }
  }
  return notices;
}

/** The scripts of a program, its main one first. */
export async function scriptsOf(built: Build, main: string): Promise<NodeProgram["scripts"]> {
  const names = [...built.outputs.keys()].filter((name) => name.endsWith(".js"));
  const ordered = [main, ...names.filter((name) => name !== main).toSorted()];
  return Promise.all(ordered.map(async (name) => ({ name, bytes: await readFile(join(built.dir, name)) })));
}
