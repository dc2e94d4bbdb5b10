/** The data plane's binary: cargo, offline, from vendored crates. */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Source } from "../source.ts";
import type { Input, Step } from "./step.ts";

const run = promisify(execFile);

/** A cold release build takes 260 s of one processor on a quiet machine. */
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

/** The step that builds `hauberk-proxy`. */
export async function proxyStep(
  source: Source,
  {
    crates,
    toolchain,
    dir,
  }: { readonly crates: string; readonly toolchain: RustToolchain; readonly dir: string },
): Promise<Omit<Step, "out" | "work">> {
  await mkdir(dir, { recursive: true });
  const settings = join(dir, "vendored.toml");
  await writeFile(
    settings,
    `[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "${PLACES.crates}"\n`,
  );
  const script = [
    "set -eu",
    "export PATH=/toolchain/bin:$PATH CARGO_HOME=/scratch/cargo CARGO_TARGET_DIR=/scratch/target",
    "cd /src",
    "cargo build --release --locked --offline --config /settings/cargo/vendored.toml --config proxy/.cargo/config.toml" +
      " --manifest-path proxy/Cargo.toml -p hauberk-proxy",
    "cp /scratch/target/*/release/hauberk-proxy /out/hauberk-proxy",
  ].join("\n");
  const inputs: Input[] = [
    { from: source.dir, at: PLACES.source },
    { from: crates, at: PLACES.crates },
    { from: toolchain.dir, at: PLACES.toolchain },
    { from: settings, at: "/settings/cargo/vendored.toml" },
  ];
  return {
    name: "proxy",
    inputs,
    environment: {},
    command: ["sh", "-c", script],
    epochSeconds: source.epochSeconds,
    msMax: BUILD_MS_MAX,
  };
}
