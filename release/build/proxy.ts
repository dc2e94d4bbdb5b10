/** The data plane's binary: cargo, offline, from vendored crates. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Component } from "@hauberk/sbom/component.ts";
import { platformHere, type Platform } from "../platform.ts";
import type { Source } from "../source.ts";
import { AUDIT_SECTION, auditData } from "./auditable.ts";
import type { Input, Step } from "./step.ts";

const run = promisify(execFile);

/** A cold release build takes 260 s of one processor on a quiet machine, and two run at once. */
const BUILD_MS_MAX = 45 * 60_000;

/** Where the step finds things. Paths are alike in every build, so that none of a machine's own gets into a binary. */
const PLACES = { source: "/src", crates: "/crates", toolchain: "/toolchain" } as const;

export interface RustToolchain {
  /** `rustc --version`. */
  readonly version: string;
  /** The sysroot: `bin`, `lib`. */
  readonly dir: string;
}

/** The toolchain that this machine's `rustc` is of. */
export async function rustToolchain(): Promise<RustToolchain> {
  const [version, sysroot] = await Promise.all([
    run("rustc", ["--version"]),
    run("rustc", ["--print", "sysroot"]),
  ]);
  return { version: version.stdout.trim(), dir: sysroot.stdout.trim() };
}

/** Puts every locked crate below `dir`, checked against the lock file; needs the registry or its cache. */
export async function vendorCrates(source: Source, dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  await run(
    "cargo",
    [
      "vendor",
      "--locked",
      "--versioned-dirs",
      "--manifest-path",
      join(source.dir, "proxy", "Cargo.toml"),
      dir,
    ],
    { maxBuffer: 16 * 1024 * 1024, cwd: source.dir },
  );
}

/**
 * Why this machine cannot build for a platform, or nothing if it can: the compiler's standard library for it, and the C compiler and
 * binary tools of the platform.
 */
export function lackingFor(platform: Platform, { dir }: RustToolchain): string | undefined {
  if (!existsSync(join(dir, "lib", "rustlib", platform.rust, "lib")))
    return `the Rust toolchain has no ${platform.rust}: rustup target add ${platform.rust}`;
  const tools = platform === platformHere() ? [] : ["gcc", "g++", "ar", "objcopy"];
  const missing = tools.filter((tool) => !existsSync(`/usr/bin/${platform.gnu}-${tool}`));
  if (missing.length === 0) return undefined;
  return `there is no ${missing.map((tool) => `${platform.gnu}-${tool}`).join(", ")}: apt-get install g++-${platform.gnu}`;
}

/** Which compilers build for a platform that is not this machine's. */
function crossEnvironment(platform: Platform): Readonly<Record<string, string>> {
  if (platform === platformHere()) return {};
  const underscored = platform.rust.replaceAll("-", "_");
  return {
    [`CARGO_TARGET_${underscored.toUpperCase()}_LINKER`]: `${platform.gnu}-gcc`,
    [`CC_${underscored}`]: `${platform.gnu}-gcc`,
    [`CXX_${underscored}`]: `${platform.gnu}-g++`,
    [`AR_${underscored}`]: `${platform.gnu}-ar`,
  };
}

/** What the step of one platform's binary reads. */
export interface ProxyInputs {
  readonly crates: string;
  readonly toolchain: RustToolchain;
  /** Folder for what is given to the step as files. */
  readonly dir: string;
  readonly platform: Platform;
  /** The crates in the binary. */
  readonly components: readonly Component[];
}

/** The step that builds `hauberk-proxy`, with the list of its crates in it. */
export async function proxyStep(source: Source, given: ProxyInputs): Promise<Omit<Step, "out" | "work">> {
  const { crates, toolchain, dir, platform, components } = given;
  const settings = join(dir, `settings-${platform.oci}`);
  await mkdir(settings, { recursive: true });
  await writeFile(
    join(settings, "vendored.toml"),
    `[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "${PLACES.crates}"\n`,
  );
  await writeFile(join(settings, "audit"), auditData(components, "hauberk-proxy"));
  const objcopy = platform === platformHere() ? "objcopy" : `${platform.gnu}-objcopy`;
  const script = [
    "set -eu",
    "export PATH=/toolchain/bin:$PATH CARGO_HOME=/scratch/cargo CARGO_TARGET_DIR=/scratch/target",
    "cd /src",
    "cargo build --release --locked --offline --config /settings/vendored.toml --config proxy/.cargo/config.toml" +
      ` --manifest-path proxy/Cargo.toml -p hauberk-proxy --target ${platform.rust}`,
    `${objcopy} --add-section ${AUDIT_SECTION}=/settings/audit --set-section-flags ${AUDIT_SECTION}=noload,readonly` +
      ` /scratch/target/${platform.rust}/release/hauberk-proxy /out/hauberk-proxy`,
  ].join("\n");
  const inputs: Input[] = [
    { from: source.dir, at: PLACES.source },
    { from: crates, at: PLACES.crates },
    { from: toolchain.dir, at: PLACES.toolchain },
    { from: settings, at: "/settings" },
  ];
  return {
    name: `proxy-${platform.oci}`,
    inputs,
    environment: crossEnvironment(platform),
    command: ["sh", "-c", script],
    epochSeconds: source.epochSeconds,
    msMax: BUILD_MS_MAX,
  };
}
