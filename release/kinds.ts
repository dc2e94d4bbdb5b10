/** The custom resource definitions of a release, as its own command line prints them. */
import { execFile } from "node:child_process";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BuiltAlike } from "./build/twice.ts";

const run = promisify(execFile);

/** Printing takes a second; anything near this is a hang. */
const PRINT_MS_MAX = 120_000;
const KINDS_BYTES_MAX = 32 * 1024 * 1024;

/** What `hauberk install --crds` of the program in `output` prints. `dir` is used and removed. */
export async function printKinds(
  output: BuiltAlike,
  { dir, node, manifest }: { readonly dir: string; readonly node: string; readonly manifest: Buffer },
): Promise<Buffer> {
  await mkdir(dir, { recursive: true });
  try {
    for (const name of output.outputs.keys()) {
      if (name.endsWith(".js")) await copyFile(join(output.dir, name), join(dir, name));
    }
    await writeFile(join(dir, "package.json"), manifest);
    const args = [join(dir, "hauberk.js"), "install", "--crds", "--ignore-cluster"];
    const { stdout } = await run(node, args, {
      timeout: PRINT_MS_MAX,
      maxBuffer: KINDS_BYTES_MAX,
      encoding: "buffer",
    });
    return stdout;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
