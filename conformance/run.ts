// `npm run conformance [-- SUITE... --against mesh|OFFSET --out DIR --long --only CASE --seconds N --seed N]`: runs suites that
// others wrote, our independent prober, and attacks of ours, against built artefacts; with `--proxy FILE` against this binary. With `--after FILE` only
// what goes on beside others, and what takes long to build, begins before the file is there.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { startBeside, type Beside } from "./beside.ts";
import { binaryPath, SETTING } from "./exhaustion/binaries.ts";
import { ordersOf, type Orders } from "./orders.ts";
import { startMesh } from "./pair/mesh.ts";
import type { Pair } from "./pair/pair.ts";
import { startSingle } from "./pair/single.ts";
import { PREPARED } from "./prepared.ts";
import { Expectations, judge, Judged, render, unfinished, type SuiteResult } from "./report.ts";
import { install, PREPARATIONS, say, SUITES, type Need, type PairSuite, type Suite } from "./suites.ts";
import { inTurn, type Preparing } from "./turns.ts";
import type { Tools } from "./tools.ts";
import { testedNow, testedThroughout, type Tested } from "./tested.ts";

/** What is waited for takes less than an hour, also where nothing was ever built. */
const AFTER_MS_MAX = 7_200_000;
const LOOK_MS = 500;

/** Nothing is under way: whoever needs something makes it. */
const AT_ONCE: Preparing<string> = { isOver: () => true, over: async () => undefined };

function expectationsOf(suite: string, { isExpecting }: Orders): Expectations {
  if (!isExpecting) return {};
  return Expectations.parse(
    JSON.parse(readFileSync(join(import.meta.dirname, suite, "expectations.json"), "utf8")),
  );
}

async function start({ against }: Orders, tools: Tools): Promise<Pair> {
  if (against === "mesh") return startMesh(tools);
  if (/^\d+$/.test(against)) return startSingle(tools, Number(against));
  throw new Error(`nothing to run against is called ${against}`);
}

function chosenOf({ suites }: Orders): readonly Suite[] {
  const known = SUITES.map(({ name }) => name);
  const unknown = suites.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`no suite is called ${unknown}: ${known.join(", ")}`);
  if (suites.length === 0) return SUITES.filter(({ isAskedFor }) => isAskedFor !== true);
  return SUITES.filter(({ name }) => suites.includes(name));
}

/** A suite's verdict; one that throws is a finding, and the others go on. */
async function verdict(name: string, orders: Orders, run: () => Promise<SuiteResult>): Promise<Judged> {
  say(`· ${name} ...`);
  const began = performance.now();
  const seconds = (): number => Math.round((performance.now() - began) / 1_000);
  try {
    const judged = judge(await run(), expectationsOf(name, orders));
    return { ...judged, seconds: seconds() };
  } catch (error) {
    return { ...unfinished(name, told(error)), seconds: seconds() };
  }
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** The suites that share a pair, from its start to its end. */
async function paired(suites: readonly PairSuite[], orders: Orders): Promise<readonly Judged[]> {
  const tools = await install();
  const pair = await start(orders, tools);
  say(`· against ${pair.name}`);
  try {
    const judged: Judged[] = [];
    for (const { name, run } of suites) judged.push(await verdict(name, orders, () => run(pair, tools)));
    return judged;
  } finally {
    await pair.close();
  }
}

interface Job {
  readonly names: readonly string[];
  readonly needs: readonly Need[];
  readonly run: () => Promise<readonly Judged[]>;
}

function jobsOf(suites: readonly Suite[], orders: Orders): readonly Job[] {
  const pairs = suites.filter((suite) => suite.lane === "pair");
  const owns = suites.filter((suite) => suite.lane !== "pair");
  const job = (of: readonly Suite[], run: Job["run"]): Job => ({
    names: of.map(({ name }) => name),
    needs: of.flatMap(({ needs }) => needs),
    run,
  });
  const own = owns.map((suite) =>
    job([suite], async () => [await verdict(suite.name, orders, () => suite.run(orders))]),
  );
  return pairs.length === 0 ? own : [job(pairs, () => paired(pairs, orders)), ...own];
}

async function runAll(
  suites: readonly Suite[],
  orders: Orders,
  preparing: Preparing<string>,
): Promise<Judged[]> {
  const judged: Judged[] = [];
  await inTurn(jobsOf(suites, orders), preparing, async (job) => {
    try {
      judged.push(...(await job.run()));
    } catch (error) {
      judged.push(...job.names.map((name) => unfinished(name, told(error))));
    }
  });
  return judged;
}

/** Makes what the suites need. What cannot be made is told again by the suite that needs it. */
async function prepare(suites: readonly Suite[]): Promise<void> {
  const needed = new Set(suites.flatMap(({ needs }) => needs));
  for (const [need, make] of Object.entries(PREPARATIONS)) {
    if (![...needed].some((one) => one === need)) continue;
    say(`· preparing ${need} ...`);
    await make().catch((error: unknown) => {
      say(`× preparing ${need}: ${told(error)}`);
      process.exitCode = 1;
    });
    process.stdout.write(`${PREPARED}${need}\n`);
  }
}

const PartReport = z.object({ suites: z.array(Judged) });

/** What the part wrote; every suite of it that is not there did not come to its end. */
async function reported(beside: Beside, suites: readonly Suite[], file: string): Promise<readonly Judged[]> {
  const code = await beside.ended();
  const judged = existsSync(file) ? PartReport.parse(JSON.parse(readFileSync(file, "utf8"))).suites : [];
  return suites.map(
    ({ name }) =>
      judged.find(({ suite }) => suite === name) ??
      unfinished(name, `the part beside the others ended with ${code}`),
  );
}

async function appeared(file: string): Promise<void> {
  const late = performance.now() + AFTER_MS_MAX;
  while (!existsSync(file)) {
    if (performance.now() > late) throw new Error(`--after: ${file} did not appear`);
    await sleep(LOOK_MS);
  }
}

/** Those that compute go on beside those that look at time; each of the latter has the others' silence. */
async function runWhole(suites: readonly Suite[], orders: Orders): Promise<readonly Judged[]> {
  const besides = suites.filter(({ lane }) => lane === "beside");
  const isPreparing = suites.length > 1 && suites.some(({ needs }) => needs.length > 0);
  if ((besides.length === 0 && !isPreparing) || besides.length === suites.length)
    return runAll(suites, orders, AT_ONCE);
  const out = join(orders.out, "beside");
  rmSync(join(out, "report.json"), { force: true });
  const names = suites.map(({ name }) => name);
  const beside = startBeside(["--part=beside", `--out=${out}`, ...orders.options, ...names]);
  if (orders.after !== undefined) await appeared(orders.after);
  const others = suites.filter(({ lane }) => lane !== "beside");
  return [
    ...(await runAll(others, orders, beside)),
    ...(await reported(beside, besides, join(out, "report.json"))),
  ];
}

/** Puts the binary that is to be tested beside the sandbox that was built, where the suites look for both. */
function testThis(proxy: string): void {
  const dir = mkdtempSync(join(tmpdir(), "hauberk-tested-"));
  process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
  symlinkSync(resolve(proxy), join(dir, "hauberk-proxy"));
  symlinkSync(binaryPath("hauberk-sandbox"), join(dir, "hauberk-sandbox"));
  process.env[SETTING] = dir;
}

interface Known {
  readonly judged: readonly Judged[];
  readonly tested: Tested | undefined;
}

/** The run, with what it was about, which with `--after` nobody knows: then the binary is built while the run has begun. */
async function runKnown(suites: readonly Suite[], orders: Orders): Promise<Known> {
  if (orders.proxy !== undefined) testThis(orders.proxy);
  if (orders.after !== undefined) return { judged: await runWhole(suites, orders), tested: undefined };
  const began = await testedNow();
  const judged = await runWhole(suites, orders);
  return { judged, tested: testedThroughout(began, await testedNow()) };
}

const place = ({ suite }: Judged): number => SUITES.findIndex(({ name }) => name === suite);

function write(judged: readonly Judged[], { out }: Orders, tested?: Tested): string {
  const sorted = judged.toSorted((one, other) => place(one) - place(other));
  const text = render(sorted);
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "report.json"), `${JSON.stringify({ tested, suites: sorted }, null, 2)}\n`);
  writeFileSync(join(out, "report.txt"), text);
  return text;
}

const orders = ordersOf(process.argv.slice(2));
const chosen = chosenOf(orders);
switch (orders.part) {
  case "beside": {
    await prepare(chosen);
    const besides = chosen.filter(({ lane }) => lane === "beside");
    write(await runAll(besides, orders, AT_ONCE), orders);
    process.exitCode = 0;
    break;
  }
  case "whole": {
    const { judged, tested } = await runKnown(chosen, orders);
    process.stdout.write(write(judged, orders, tested));
    process.exitCode = judged.every(({ findings }) => findings.length === 0) ? 0 : 1;
    break;
  }
}
