/** Everything that a build reads, fetched and checked against its lock or pin. The only stage with a network. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cargoComponents, checksumsOf } from "@hauberk/sbom/cargo.ts";
import type { Component } from "@hauberk/sbom/component.ts";
import { parseLock, type Lock } from "@hauberk/sbom/npm.ts";
import { lackingFor, rustToolchain, vendorCrates, type RustToolchain } from "./build/proxy.ts";
import { MOUNT_POINTS } from "./build/scripts.ts";
import type { Deb } from "./image/deb.ts";
import { fetchDebs, readPins } from "./image/fetch.ts";
import { fileIn } from "./image/read.ts";
import { nameOfPlatform, platformHere, type Absent, type Platform } from "./platform.ts";
import type { Source } from "./source.ts";
import { gunzipSync } from "node:zlib";

const run = promisify(execFile);

/** The description of all crates with their dependencies. */
const METADATA_BYTES_MAX = 128 * 1024 * 1024;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
/** Node unpacks to 130 MB. */
const NODE_BYTES_MAX = 512 * 1024 * 1024;

/** What is of one platform. */
export interface PlatformInputs {
  readonly platform: Platform;
  /** File of Node. */
  readonly node: string;
  readonly debs: readonly Deb[];
  /** The crates in the data plane's binary. */
  readonly crates: readonly Component[];
}

export interface Inputs {
  /** Installed npm packages, by `package-lock.json`. */
  readonly packages: string;
  /** Vendored crates, by `proxy/Cargo.lock`. */
  readonly crates: string;
  readonly toolchain: RustToolchain;
  /** What the Debian packages are of, as `debian-12`. */
  readonly distribution: string;
  readonly platforms: readonly PlatformInputs[];
  /** What this machine cannot build. */
  readonly absent: readonly Absent[];
}

/** Where Node's package of a platform stands in the lock file. */
export const nodePath = ({ node }: Platform): string => `node_modules/node-linux-${node}`;

/** Node of another platform than this machine's, which npm does not install: the registry's file, held against the lock. */
async function fetchNode(lock: Lock, platform: Platform, dir: string): Promise<string> {
  const locked = lock.packages[nodePath(platform)];
  const name = nodePath(platform).slice("node_modules/".length);
  if (locked?.version === undefined || locked.integrity === undefined)
    throw new Error(`package-lock.json does not pin ${name}`);
  await mkdir(dir, { recursive: true });
  const words = [
    "pack",
    `${name}@${locked.version}`,
    "--pack-destination",
    dir,
    "--json",
    "--loglevel=error",
  ];
  await run("npm", words, { maxBuffer: OUTPUT_BYTES_MAX });
  const bytes = await readFile(join(dir, `${name}-${locked.version}.tgz`));
  const found = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  if (found !== locked.integrity)
    throw new Error(`${name} ${locked.version} is ${found}, the lock says ${locked.integrity}`);
  const node = await fileIn(gunzipSync(bytes, { maxOutputLength: NODE_BYTES_MAX }), "package/bin/node");
  if (node === undefined) throw new Error(`${name} ${locked.version} holds no bin/node`);
  const path = join(dir, `node-${platform.node}`);
  await writeFile(path, node, { mode: 0o755 });
  return path;
}

/** The crates in the data plane's binary for a platform, by cargo's own resolution. */
async function cratesOf(source: Source, { rust }: Platform): Promise<readonly Component[]> {
  const manifest = join(source.dir, "proxy", "Cargo.toml");
  const words = ["metadata", "--format-version=1", "--locked", `--filter-platform=${rust}`];
  const { stdout } = await run("cargo", [...words, "--manifest-path", manifest], {
    maxBuffer: METADATA_BYTES_MAX,
  });
  const lock = await readFile(join(source.dir, "proxy", "Cargo.lock"), "utf8");
  return cargoComponents(stdout, "hauberk-proxy", checksumsOf(lock));
}

/** Installs the npm packages of the source, and puts them apart from it: what is committed and what is fetched stay apart. */
async function installPackages(source: Source, dir: string): Promise<string> {
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: source.dir,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  const packages = join(dir, "packages");
  await rename(join(source.dir, "node_modules"), packages);
  for (const place of Object.values(MOUNT_POINTS)) await mkdir(join(source.dir, place), { recursive: true });
  return packages;
}

/**
 * Fetches the inputs of `source` into `dir`, for these platforms. `cache` keeps what is pinned by its digest, so that a rebuild
 * finds packages that the distribution has replaced.
 */
export async function fetchInputs(
  source: Source,
  {
    dir,
    cache,
    platforms,
  }: { readonly dir: string; readonly cache: string; readonly platforms: readonly Platform[] },
): Promise<Inputs> {
  await mkdir(dir, { recursive: true });
  const crates = join(dir, "crates");
  const [packages, , toolchain] = await Promise.all([
    installPackages(source, dir),
    vendorCrates(source, crates),
    rustToolchain(),
  ]);
  const pins = await readPins(join(source.dir, "release", "image", "debs.json"));
  const lock = parseLock(await readFile(join(source.dir, "package-lock.json"), "utf8"));
  const found: PlatformInputs[] = [];
  const absent: Absent[] = [];
  for (const platform of platforms) {
    const reason = lackingFor(platform, toolchain);
    if (reason !== undefined) absent.push({ name: "proxy", platform: nameOfPlatform(platform), reason });
    found.push({
      platform,
      node:
        platform === platformHere()
          ? join(packages, `node-linux-${platform.node}`, "bin", "node")
          : await fetchNode(lock, platform, join(dir, "node")),
      debs: await fetchDebs(pins, { dir: join(cache, "debs"), architecture: platform.oci }),
      crates: reason === undefined ? await cratesOf(source, platform) : [],
    });
  }
  return { packages, crates, toolchain, distribution: pins.distribution, platforms: found, absent };
}
