/** The pinned Debian packages that images are made of. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { digestOfFile } from "../build/step.ts";
import type { Architecture } from "../platform.ts";
import { readDeb, type Deb } from "./deb.ts";

const run = promisify(execFile);

/** One download; all together are under 4 MB. */
const DOWNLOAD_MS_MAX = 120_000;

/**
 * A fresh machine has no package lists yet, and none of another architecture: those are fetched into a folder of their own, so
 * that nothing of the machine's settings changes.
 */
const DOWNLOAD = `set -eu
wanted="$1" architecture="$2" lists="$PWD/lists-$2"
apt() {
  if [ "$architecture" = "$(dpkg --print-architecture)" ]; then apt-get -qq "$@"; return; fi
  mkdir -p "$lists/partial"
  apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o Acquire::Languages=none \\
    -o Dir::State::Lists="$lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"
}
apt download "$wanted" 2>/dev/null || { apt update; apt download "$wanted"; }
`;

const Pins = z.object({
  distribution: z.string(),
  packages: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      architecture: z.string(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      bytes: z.number().int().positive(),
    }),
  ),
});
export type Pins = z.infer<typeof Pins>;

/** Reads `debs.json`. */
export async function readPins(path: string): Promise<Pins> {
  return Pins.parse(JSON.parse(await readFile(path, "utf8")));
}

/**
 * Fetches the packages of one architecture that are not in `dir` yet, by the machine's own package sources, and checks every file against its pin.
 * A version that the sources no longer carry is an error that names the file to put into `dir`.
 */
export async function fetchDebs(
  pins: Pins,
  { dir, architecture: wantedArchitecture }: { readonly dir: string; readonly architecture: Architecture },
): Promise<readonly Deb[]> {
  await mkdir(dir, { recursive: true });
  const debs: Deb[] = [];
  for (const { name, version, architecture, sha256 } of pins.packages) {
    if (architecture !== wantedArchitecture) continue;
    const file = `${name}_${version.replaceAll(":", "%3a")}_${architecture}.deb`;
    const path = join(dir, file);
    if (!existsSync(path)) {
      const wanted = `${name}:${architecture}=${version}`;
      try {
        await run("sh", ["-c", DOWNLOAD, "sh", wanted, architecture], { cwd: dir, timeout: DOWNLOAD_MS_MAX });
      } catch (cause) {
        throw new Error(`${wanted} cannot be fetched; put ${file} (sha256 ${sha256}) into ${dir}`, { cause });
      }
    }
    const found = await digestOfFile(path);
    if (found !== `sha256:${sha256}`) throw new Error(`${file} is ${found}, the pin says sha256:${sha256}`);
    debs.push(await readDeb(path));
  }
  if (debs.length === 0) throw new Error(`no Debian package is pinned for ${wantedArchitecture}`);
  return debs;
}
