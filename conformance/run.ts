// `npm run conformance [-- SUITE... --against mesh|OFFSET --out DIR]`: runs suites that others wrote, and our
// independent prober, against built artefacts.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { grpcInterop } from "./grpc-interop/suite.ts";
import { handshake } from "./handshake/suite.ts";
import { h2spec } from "./h2spec/suite.ts";
import { h2specd } from "./h2specd/suite.ts";
import { http1Corpus } from "./http1-corpus/suite.ts";
import { startMesh } from "./pair/mesh.ts";
import { startSingle } from "./pair/single.ts";
import type { Pair } from "./pair/pair.ts";
import { Expectations, judge, render, type Judged, type SuiteResult } from "./report.ts";
import { installTools, type Tools } from "./tools.ts";

type Run = (pair: Pair, tools: Tools) => Promise<SuiteResult>;
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
  },
});

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

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

const chosen = positionals.length === 0 ? Object.keys(SUITES) : positionals;
const tools = await installTools((step) => say(`· ${step} ...`));
const pair = await start(tools);
const judged: Judged[] = [];
try {
  for (const name of chosen) {
    const run = SUITES[name];
    if (run === undefined) throw new Error(`no suite is called ${name}: ${Object.keys(SUITES).join(", ")}`);
    say(`· ${name} against ${pair.name} ...`);
    judged.push(judge(await run(pair, tools), expectationsOf(name)));
  }
} finally {
  await pair.close();
}
const text = render(judged);
mkdirSync(values.out, { recursive: true });
writeFileSync(join(values.out, "report.json"), `${JSON.stringify(judged, null, 2)}\n`);
writeFileSync(join(values.out, "report.txt"), text);
process.stdout.write(text);
process.exitCode = judged.every(({ findings }) => findings.length === 0) ? 0 : 1;
