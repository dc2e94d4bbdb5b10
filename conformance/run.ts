// `npm run conformance [-- SUITE... --against mesh|OFFSET --out DIR --long --only CASE --seconds N --seed N]`: runs suites that others
// wrote, our independent prober, and attacks of ours, against built artefacts.
import { randomInt } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { attack } from "./attack/suite.ts";
import { chaos } from "./chaos/suite.ts";
import { clock } from "./clock/suite.ts";
import { differential } from "./differential/suite.ts";
import { exhaustion } from "./exhaustion/suite.ts";
import { flood } from "./flood/suite.ts";
import { FIXED_SEED, type Effort } from "./fuzz/plan.ts";
import { again, fuzz } from "./fuzz/suite.ts";
import { gatewayApi } from "./gateway-api/suite.ts";
import { grpcInterop } from "./grpc-interop/suite.ts";
import { handshake } from "./handshake/suite.ts";
import { h2spec } from "./h2spec/suite.ts";
import { h2specd } from "./h2specd/suite.ts";
import { http1Corpus } from "./http1-corpus/suite.ts";
import { kubernetes } from "./kubernetes/suite.ts";
import { prepare } from "./kubernetes/world.ts";
import { leak } from "./leak/suite.ts";
import { startMesh } from "./pair/mesh.ts";
import { startSingle } from "./pair/single.ts";
import type { Pair } from "./pair/pair.ts";
import { policyView } from "./policy-view/suite.ts";
import { slow } from "./slow/suite.ts";
import { storm } from "./storm/suite.ts";
import { Expectations, judge, render, type Judged, type SuiteResult } from "./report.ts";
import { installTools, type Tools } from "./tools.ts";

type Run = (pair: Pair, tools: Tools) => Promise<SuiteResult>;
const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
const install = (): Promise<Tools> => installTools((step) => say(`· ${step} ...`));

/** How long `--long` explores each target. */
const EXPLORING_SECONDS = 300;

/** Suites that need no pair, or start a world of their own. */
const ALONE: Readonly<Record<string, () => Promise<SuiteResult>>> = {
  attack: () => attack({ seconds: values.long ? 7 : 3, isEach: values.long }, values.only),
  slow: () => slow(values.long ? 10_000 : 1_000, values.only),
  "policy-view": () => policyView(values.long ? 1_000_000 : 100_000, seedOr(FIXED_SEED)),
  leak: () => leak(Number(values.requests ?? (values.long ? 10_000_000 : 200_000))),
  chaos: () => chaos(values.long ? 1_800 : 10, values.only),
  clock: () => clock(values.long),
  flood: () => flood(values.long ? 20 : 5),
  storm: () => storm(values.long ? 2_000 : 500),
  exhaustion: () => exhaustion(values.only),
  differential: async () =>
    differential((await install()).python, values.long ? 1_000_000 : 50_000, seedOr(FIXED_SEED)),
  fuzz: () => {
    const orders = { effort: effort(), out: join(values.out, "fuzz"), only: values.only, parallel: 2, say };
    return values.input === undefined ? fuzz(orders) : again(values.input, orders);
  },
  kubernetes: () => kubernetes(values.only, say),
  "gateway-api": () => gatewayApi(join(values.out, "gateway-api"), values.only, say),
};
const SUITES: Readonly<Record<string, Run>> = {
  handshake,
  h2spec,
  h2specd,
  "grpc-interop": grpcInterop,
  "http1-corpus": http1Corpus,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: "string", default: "mesh" },
    out: { type: "string", default: join(import.meta.dirname, "..", "out", "conformance") },
    "no-expectations": { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    requests: { type: "string" },
    seed: { type: "string" },
    input: { type: "string" },
    only: { type: "string", multiple: true, default: [] },
    seconds: { type: "string" },
  },
});

/** The number that was given, or this one. */
function seedOr(otherwise: number): number {
  return values.seed === undefined ? otherwise : Number(values.seed);
}

/** The same inputs in each run, unless new ones are asked for. */
function effort(): Effort {
  if (!values.long && values.seconds === undefined) return { kind: "fixed", seed: seedOr(FIXED_SEED) };
  const seconds = Number(values.seconds ?? EXPLORING_SECONDS);
  return { kind: "exploring", seconds, seed: seedOr(randomInt(1, 2 ** 31)) };
}

function expectationsOf(suite: string): Expectations {
  if (values["no-expectations"]) return {};
  return Expectations.parse(
    JSON.parse(readFileSync(join(import.meta.dirname, suite, "expectations.json"), "utf8")),
  );
}

async function start(tools: Tools): Promise<Pair> {
  if (values.against === "mesh") return startMesh(tools);
  if (/^\d+$/.test(values.against)) return startSingle(tools, Number(values.against));
  throw new Error(`nothing to run against is called ${values.against}`);
}

const known = [...Object.keys(SUITES), ...Object.keys(ALONE)];
const ON_CLUSTER = new Set(["kubernetes", "gateway-api"]);
// Those on a cluster run by their names until the installation that they try is whole.
const chosen = positionals.length === 0 ? known.filter((name) => !ON_CLUSTER.has(name)) : positionals;
const unknown = chosen.find((name) => !known.includes(name));
if (unknown !== undefined) throw new Error(`no suite is called ${unknown}: ${known.join(", ")}`);
// What suites on a cluster run is built beside the suites before them, of what those leave of the processors.
const ahead = chosen.some((name) => ON_CLUSTER.has(name)) ? prepare(say) : Promise.resolve();
ahead.catch(() => undefined);
const judged: Judged[] = [];
if (chosen.some((name) => Object.hasOwn(SUITES, name))) {
  const tools = await install();
  const pair = await start(tools);
  try {
    for (const name of chosen) {
      const run = SUITES[name];
      if (run === undefined) continue;
      say(`· ${name} against ${pair.name} ...`);
      judged.push(judge(await run(pair, tools), expectationsOf(name)));
    }
  } finally {
    await pair.close();
  }
}
for (const name of chosen) {
  const run = ALONE[name];
  if (run === undefined) continue;
  say(`· ${name} ...`);
  judged.push(judge(await run(), expectationsOf(name)));
}
const text = render(judged);
mkdirSync(values.out, { recursive: true });
writeFileSync(join(values.out, "report.json"), `${JSON.stringify(judged, null, 2)}\n`);
writeFileSync(join(values.out, "report.txt"), text);
process.stdout.write(text);
process.exitCode = judged.every(({ findings }) => findings.length === 0) ? 0 : 1;
