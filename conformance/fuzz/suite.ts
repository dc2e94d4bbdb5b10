/** Every fuzz target of both planes over the kept corpora (docs/reliability.md, G20). */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Case, SuiteResult } from "../report.ts";
import { lineOf, targets, type Target } from "./corpus.ts";
import { buildEngine, buildSteady, explore, minimise, repeat } from "./engine.ts";
import type { Fuzzed } from "./output.ts";
import { shareOf, type Effort, type Share } from "./plan.ts";

/** No engine makes longer inputs. */
const SHOWN_BYTES_MAX = 8_192;
/** A longer one is shown once, and `--input` shows the line that keeps it. */
const LINE_BYTES_MAX = 256;

/** What is run, and where corpora grow and crashing inputs are kept. */
export interface Orders {
  readonly effort: Effort;
  readonly out: string;
  /** All targets if none is named. */
  readonly only: readonly string[];
  /** Targets at once. */
  readonly parallel: number;
  readonly say: (line: string) => void;
}

function chosen(only: readonly string[]): readonly Target[] {
  const all = targets();
  const unknown = only.find((name) => !all.some((target) => target.name === name));
  if (unknown !== undefined)
    throw new Error(`no target is called ${unknown}: ${all.map(({ name }) => name).join(", ")}`);
  return all.filter(({ name }) => only.length === 0 || only.includes(name));
}

/** Every target, or those named. */
export async function fuzz({ effort, out, only, parallel, say }: Orders): Promise<SuiteResult> {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const waiting = [...chosen(only)];
  const least = waiting.length;
  const binary = waiting.some(({ plane }) => plane === "proxy") ? await buildEngine() : "";
  const preload = effort.kind === "fixed" ? await buildSteady(out) : undefined;
  const cases: Case[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const share = shareOf(next.name, effort);
      const fuzzed = await explore({ binary, preload }, next, share, out);
      const found =
        fuzzed.broke === undefined ? sound(next, fuzzed, share) : await broken(binary, next, fuzzed, out);
      say(`  ${found.name}: ${found.outcome}, ${found.detail}`);
      cases.push(found);
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return { suite: "fuzz", usual: () => "holds", never: ["broken", "idle"], least, cases };
}

function seen({ executions, coverage }: Fuzzed, { seed, executions: wanted }: Share): string {
  const early = wanted !== undefined && executions < wanted ? ` (of ${wanted}: the time was over)` : "";
  return `${executions} executions${early}, ${coverage} places reached, seed ${seed}`;
}

function sound({ name }: Target, fuzzed: Fuzzed, share: Share): Case {
  const isIdle = fuzzed.executions === 0 || fuzzed.coverage === 0;
  return { name, outcome: isIdle ? "idle" : "holds", detail: seen(fuzzed, share) };
}

/** A finding with all that is needed to repeat it and to keep it: the machine that found it may be gone by then. */
async function broken(
  binary: string,
  target: Target,
  { broke = "", executions }: Fuzzed,
  out: string,
): Promise<Case> {
  const { name } = target;
  const file = readdirSync(out).find((entry) => entry.startsWith(`${name}-`) && !entry.endsWith("-input"));
  const told = `${broke}\n      after ${executions} executions`;
  if (file === undefined) return { name, outcome: "broken", detail: `${told}; no input was kept` };
  const input = readFileSync(await minimise(binary, target, join(out, file))).subarray(0, SHOWN_BYTES_MAX);
  const command = `npm run conformance -- fuzz --only ${name} --input ${input.toString("base64")}`;
  const line = input.length > LINE_BYTES_MAX ? "" : `\n      ${keeping(target, input)}`;
  return { name, outcome: "broken", detail: `${told}; repeat it: ${command}${line}` };
}

function keeping({ plane, own }: Target, input: Uint8Array): string {
  return `keep it in ${plane}/fuzz/corpus/${own}.txt: ${lineOf(input)}`;
}

/** One input again: what a report named. */
export async function again(
  base64: string,
  { only, out }: Pick<Orders, "only" | "out">,
): Promise<SuiteResult> {
  mkdirSync(out, { recursive: true });
  const [target, ...others] = chosen(only);
  if (target === undefined || others.length > 0) throw new Error("--input needs the one target: --only NAME");
  const binary = target.plane === "proxy" ? await buildEngine() : "";
  const input = Buffer.from(base64, "base64");
  const { broke } = await repeat(binary, target, input, out);
  const outcome = broke === undefined ? "holds" : "broken";
  const detail = `${broke ?? "this input breaks nothing"}\n      ${keeping(target, input)}`;
  const cases: readonly Case[] = [{ name: target.name, outcome, detail }];
  return { suite: "fuzz", usual: () => "holds", never: ["broken"], least: 1, cases };
}
