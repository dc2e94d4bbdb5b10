/** Every fuzz target of both planes for some seconds, two at a time, over the kept corpora (docs/reliability.md, G20). */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Case, SuiteResult } from "../report.ts";
import { ofEngine, ofTarget, type Fuzzed } from "./output.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const PROXY = join(ROOT, "proxy");
const RUST_CORPORA = join(PROXY, "fuzz", "corpus");
const MESH = join(ROOT, "mesh", "fuzz");

/** Marks the targets of the control plane. */
const MESH_PREFIX = "mesh-";

/** The machine's other core is for whoever else is there. */
const PARALLEL = 2;
/** A first build compiles every dependency. */
const BUILD_MS_MAX = 45 * 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Longer inputs than any limit of a parser but the body's, which is streamed. */
const INPUT_BYTES_MAX = 8_192;
/** An input that takes longer hangs somebody. */
const INPUT_S_MAX = 5;
const MEMORY_MIB_MAX = 1_024;
/** What starting, and the corpus, may take besides. */
const MARGIN_MS = 60_000;

/** Counters, edges and comparisons of LLVM's SanitizerCoverage, which libFuzzer reads. No nightly compiler is needed. */
const RUSTFLAGS = [
  "-Cpasses=sancov-module",
  ...["level=4", "inline-8bit-counters", "pc-table", "trace-compares"].map(
    (option) => `-Cllvm-args=-sanitizer-coverage-${option}`,
  ),
].join(" ");

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

/** Builds the engine with all targets, once; where no other place is named, beside the other artefacts. */
async function build(): Promise<string> {
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

/** The inputs of a text corpus as files, for the engine. The form is that of `proxy/fuzz/src/corpus.rs`. */
function unpack(corpus: string, into: string): number {
  const lines = readFileSync(corpus, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  for (const [index, line] of lines.entries()) {
    const text = line.replaceAll(/\\(?:([rnt\\])|x([0-9a-fA-F]{2}))/g, (_, named?: string, hex?: string) =>
      named === undefined
        ? String.fromCharCode(Number.parseInt(hex ?? "", 16))
        : ({ r: "\r", n: "\n", t: "\t" }[named] ?? "\\"),
    );
    writeFileSync(join(into, `kept-${index}`), Buffer.from(text, "latin1"));
  }
  return lines.length;
}

interface Place {
  readonly seconds: number;
  /** Where corpora grow and crashing inputs are kept. */
  readonly out: string;
}

async function engine(binary: string, target: string, { seconds, out }: Place): Promise<Fuzzed> {
  const corpus = join(out, target);
  mkdirSync(corpus, { recursive: true });
  unpack(join(RUST_CORPORA, `${target}.txt`), corpus);
  const args = [
    corpus,
    `-artifact_prefix=${out}/${target}-`,
    `-max_total_time=${seconds}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    `-timeout=${INPUT_S_MAX}`,
    `-rss_limit_mb=${MEMORY_MIB_MAX}`,
    "-print_final_stats=1",
  ];
  const env = { HAUBERK_FUZZ_TARGET: target };
  const { code, stderr } = await run(binary, args, { cwd: out, env, msMax: seconds * 1_000 + MARGIN_MS });
  return ofEngine(stderr, code);
}

async function node(name: string, { seconds, out }: Place): Promise<Fuzzed> {
  const target = name.slice(MESH_PREFIX.length);
  const crash = join(out, `${name}-crash`);
  const args = [join(MESH, "main.ts"), target, "--seconds", String(seconds), "--crash", crash];
  const { code, stdout } = await run(process.execPath, args, {
    cwd: out,
    msMax: seconds * 1_000 + MARGIN_MS,
  });
  return ofTarget(stdout, code);
}

function outcomeOf(name: string, fuzzed: Fuzzed, { out }: Place): Case {
  const seen = `${fuzzed.executions} executions, ${fuzzed.coverage} places reached`;
  if (fuzzed.broke !== undefined) {
    const inputs = readdirSync(out).filter((file) => file.startsWith(`${name}-`));
    const kept = inputs.map((file) => join(out, file)).join(", ");
    return {
      name,
      outcome: "broken",
      detail: `${fuzzed.broke}; the input is ${kept || "not kept"}; ${seen}`,
    };
  }
  const isIdle = fuzzed.executions === 0 || fuzzed.coverage === 0;
  return { name, outcome: isIdle ? "idle" : "holds", detail: seen };
}

function names(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".txt"))
    .map((file) => basename(file, ".txt"))
    .toSorted();
}

/** Every target, or those named. */
export async function fuzz(
  { seconds, out }: Place,
  only: readonly string[],
  say: (line: string) => void,
): Promise<SuiteResult> {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const place = { seconds, out };
  const isChosen = (name: string): boolean => only.length === 0 || only.includes(name);
  const ofProxy = names(RUST_CORPORA).filter(isChosen);
  const ofMesh = names(join(MESH, "corpus"))
    .map((name) => `${MESH_PREFIX}${name}`)
    .filter(isChosen);
  const binary = ofProxy.length === 0 ? "" : await build();
  const waiting = [
    ...ofProxy.map((name) => ({ name, start: () => engine(binary, name, place) })),
    ...ofMesh.map((name) => ({ name, start: () => node(name, place) })),
  ];
  const least = waiting.length;
  const cases: Case[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const found = outcomeOf(next.name, await next.start(), place);
      say(`  ${found.name}: ${found.outcome}, ${found.detail}`);
      cases.push(found);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return { suite: "fuzz", usual: () => "holds", never: ["broken", "idle"], least, cases };
}
