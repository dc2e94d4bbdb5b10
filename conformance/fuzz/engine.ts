/** The two engines: libFuzzer over the data plane's targets, and the control plane's own over Node. */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inputsOf, MESH_MAIN, type Target } from "./corpus.ts";
import { ofEngine, ofTarget, type Fuzzed } from "./output.ts";
import type { Share } from "./plan.ts";

const PROXY = join(import.meta.dirname, "..", "..", "proxy");

/** A first build compiles every dependency. */
const BUILD_MS_MAX = 45 * 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Longer inputs than any limit of a parser but the body's, which is streamed. */
const INPUT_BYTES_MAX = 8_192;
/** Of one input that is run again. */
const REPEAT_S_MAX = 60;
const MEMORY_MIB_MAX = 1_024;
/** What starting, and the corpus, may take besides. */
const MARGIN_MS = 120_000;
const MINIMISE_S = 10;

/** Counters, edges and comparisons of LLVM's SanitizerCoverage, which libFuzzer reads. No nightly compiler is needed. */
const RUSTFLAGS = [
  "-Cpasses=sancov-module",
  ...["level=4", "inline-8bit-counters", "pc-table", "trace-compares"].map(
    (option) => `-Cllvm-args=-sanitizer-coverage-${option}`,
  ),
].join(" ");

/** libFuzzer with all targets, and what is put before its C library. */
export interface Engine {
  readonly binary: string;
  readonly preload: string | undefined;
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(
  command: string,
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly cwd: string; readonly msMax: number },
): Promise<Ran> {
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const env = { ...process.env, ...options.env };
  const limits = { cwd: options.cwd, env, timeout: options.msMax, maxBuffer: OUTPUT_BYTES_MAX };
  execFile(command, args, limits, (error, stdout, stderr) => {
    const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
    resolve({ code, stdout, stderr });
  });
  return promise;
}

/** Builds libFuzzer with all targets, once; where no other place is named, beside the other artefacts. */
export async function buildEngine(): Promise<string> {
  const target = process.env["HAUBERK_FUZZ_TARGET_DIR"] ?? join(PROXY, "target", "fuzz");
  const args = ["build", "--locked", "--profile", "fuzz", "-p", "hauberk-fuzz", "--features", "libfuzzer"];
  const env = { CARGO_TARGET_DIR: target, RUSTFLAGS, CARGO_TERM_PROGRESS_WHEN: "never" };
  const messages = [...args, "--message-format", "json-render-diagnostics"];
  const { code, stdout, stderr } = await run("cargo", messages, { cwd: PROXY, env, msMax: BUILD_MS_MAX });
  if (code !== 0) throw new Error(`the fuzz targets do not build:\n${stderr.slice(-8_000)}`);
  const [, binary] = /"executable":"([^"]*\/hauberk-fuzz)"/.exec(stdout) ?? [];
  if (binary === undefined) throw new Error("cargo named no fuzz binary");
  return binary;
}

/** Builds what takes chance out of libFuzzer's runs, into a folder. */
export async function buildSteady(out: string): Promise<string> {
  const library = join(out, "steady.so");
  const args = ["-shared", "-fPIC", "-O1", "-o", library, join(import.meta.dirname, "steady.c")];
  const { code, stderr } = await run("cc", args, { cwd: out, msMax: MARGIN_MS });
  if (code !== 0) throw new Error(`conformance/fuzz/steady.c does not compile:\n${stderr}`);
  return library;
}

/** Runs a target over its corpus and what comes of it. What breaks is left in `out` under the target's name. */
export async function explore(engine: Engine, target: Target, share: Share, out: string): Promise<Fuzzed> {
  return target.plane === "proxy" ? libFuzzer(engine, target, share, out) : node(target, share, out);
}

/** Runs a target over one input. */
export async function repeat(
  binary: string,
  target: Target,
  input: Uint8Array,
  out: string,
): Promise<Fuzzed> {
  const file = join(out, `${target.name}-input`);
  writeFileSync(file, input);
  const limits = { cwd: out, msMax: MARGIN_MS };
  if (target.plane === "mesh") {
    const { code, stdout } = await run(process.execPath, [MESH_MAIN, target.own, "--input", file], limits);
    return ofTarget(stdout, code);
  }
  const env = { HAUBERK_FUZZ_TARGET: target.own };
  const { code, stderr } = await run(binary, [...limitsOf(REPEAT_S_MAX), file], { ...limits, env });
  return { ...ofEngine(stderr, code), executions: 1 };
}

const limitsOf = (inputSecondsMax: number): readonly string[] => [
  `-timeout=${inputSecondsMax}`,
  `-rss_limit_mb=${MEMORY_MIB_MAX}`,
];

async function libFuzzer(
  { binary, preload }: Engine,
  { name, own, corpus }: Target,
  share: Share,
  out: string,
): Promise<Fuzzed> {
  const [grown, kept] = [join(out, name), join(out, "kept", name)];
  for (const folder of [grown, kept]) mkdirSync(folder, { recursive: true });
  const files = inputsOf(corpus).map((input, index) => {
    const file = join(kept, String(index));
    writeFileSync(file, input);
    return file;
  });
  // In this order whatever the file system's is, and never read again: the same seed makes the same inputs.
  const seeds = join(kept, "list");
  writeFileSync(seeds, files.join(","));
  const args = [
    `-seed_inputs=@${seeds}`,
    "-reload=0",
    `-seed=${share.seed}`,
    ...(share.executions === undefined ? [] : [`-runs=${share.executions}`]),
    `-max_total_time=${share.secondsMax}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    ...limitsOf(share.inputSecondsMax),
    `-artifact_prefix=${out}/${name}-`,
    "-print_final_stats=1",
    grown,
  ];
  const env = { HAUBERK_FUZZ_TARGET: own, ...(preload === undefined ? {} : { LD_PRELOAD: preload }) };
  const msMax = share.secondsMax * 1_000 + MARGIN_MS;
  const { code, stderr } = await run(binary, args, { cwd: out, env, msMax });
  return ofEngine(stderr, code);
}

async function node({ name, own }: Target, share: Share, out: string): Promise<Fuzzed> {
  const args = [
    MESH_MAIN,
    own,
    `--seed=${share.seed}`,
    `--seconds=${share.secondsMax}`,
    ...(share.executions === undefined ? [] : [`--executions=${share.executions}`]),
    `--crash=${join(out, `${name}-crash`)}`,
  ];
  const msMax = share.secondsMax * 1_000 + MARGIN_MS;
  const { code, stdout } = await run(process.execPath, args, { cwd: out, msMax });
  return ofTarget(stdout, code);
}

/** A smaller input that breaks the target too, if one is found within seconds. */
export async function minimise(binary: string, target: Target, file: string): Promise<string> {
  if (target.plane === "mesh") return file;
  const smaller = `${file}-minimal`;
  const args = [
    "-minimize_crash=1",
    `-max_total_time=${MINIMISE_S}`,
    `-exact_artifact_path=${smaller}`,
    ...limitsOf(REPEAT_S_MAX),
    file,
  ];
  const env = { HAUBERK_FUZZ_TARGET: target.own };
  const { stderr } = await run(binary, args, {
    cwd: join(file, ".."),
    env,
    msMax: MINIMISE_S * 1_000 + MARGIN_MS,
  });
  return stderr.includes(`written to ${smaller}`) ? smaller : file;
}
