// One target over mutations of its corpus, for some seconds or executions, or over one input:
//
//   node mesh/fuzz/main.ts TARGET --seconds 60 [--executions N] [--seed N] --crash FILE
//   node mesh/fuzz/main.ts TARGET --input FILE
//
// Says in JSON how often it ran, how many inputs were accepted, in how many ways the parser answered, and how many
// blocks of code were reached. An input that breaks a rule is written to FILE, as it is, and
// shown as the line that keeps it in a corpus; the process ends with 1.
import { readFileSync, writeFileSync } from "node:fs";
import { Session, type Profiler } from "node:inspector/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { escape, readCorpus } from "./corpus.ts";
import { mutate, random } from "./mutate.ts";
import { TARGETS } from "./targets.ts";

/** Inputs kept because they were answered in a new way. */
const POOL_MAX = 2_000;
/** Executions between looks at the clock. */
const BATCH = 64;
/** One input that takes longer hangs somebody. */
const INPUT_MS_MAX = 2_000;
const MESH = `${join(import.meta.dirname, "..", "..")}/`;

/** Blocks of our code that were reached. */
function reached({ result }: Profiler.TakePreciseCoverageReturnType): number {
  return result
    .filter(({ url }) => url.includes(MESH) && !url.includes("/node_modules/") && !url.includes("/fuzz/"))
    .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
    .filter(({ count }) => count > 0).length;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "60" },
    executions: { type: "string" },
    seed: { type: "string" },
    input: { type: "string" },
    crash: { type: "string", default: "crash.bin" },
  },
});
const [name = ""] = positionals;
const run = TARGETS.get(name);
if (run === undefined) throw new Error(`usage: main.ts ${[...TARGETS.keys()].join("|")}`);
const seed = Number(values.seed ?? Date.now() % 2 ** 32);
const endMs = Date.now() + Number(values.seconds) * 1_000;
const executionsMax = Number(values.executions ?? Number.POSITIVE_INFINITY);

const session = new Session();
session.connect();
await session.post("Profiler.enable");
await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });

const pick = random(seed);
const pool: Uint8Array[] = values.input === undefined ? [...readCorpus(name)] : [readFileSync(values.input)];
const kept = pool.length;
const said = new Set<string>();
const counts = { executions: 0, accepted: 0 };

async function feed(bytes: Uint8Array): Promise<void> {
  if (run === undefined) return;
  try {
    const beganMs = performance.now();
    const answer = await run(bytes);
    if (performance.now() - beganMs > INPUT_MS_MAX) {
      // A process that yields to others may have stood still; an input that is slow computes as long again.
      const before = process.cpuUsage();
      await run(bytes);
      const tookMs = process.cpuUsage(before).user / 1_000;
      if (tookMs > INPUT_MS_MAX) throw new Error(`took ${Math.round(tookMs)} ms`);
    }
    counts.executions += 1;
    if (answer.isAccepted) counts.accepted += 1;
    if (said.has(answer.said)) return;
    said.add(answer.said);
    if (pool.length < POOL_MAX) pool.push(bytes);
  } catch (error) {
    writeFileSync(values.crash, bytes);
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stdout.write(
      `${JSON.stringify({ ...counts, seed, crash: values.crash, line: escape(bytes), message })}\n`,
    );
    process.exit(1);
  }
}

for (const bytes of pool.slice(0, kept)) await feed(bytes);
const isOver = (): boolean =>
  values.input !== undefined || counts.executions >= executionsMax || Date.now() >= endMs;
while (!isOver()) for (let left = BATCH; left > 0; left -= 1) await feed(mutate(pool, pick));
const blocks = reached(await session.post("Profiler.takePreciseCoverage"));
process.stdout.write(`${JSON.stringify({ ...counts, seed, answers: said.size, blocks })}\n`);
process.exit(0);
