/** `npm run bench`: measures our pair of proxies beside others and writes the results as JSON lines and as a page. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { render } from "./render.ts";
import { parseResults, ScenarioName, SCENARIOS } from "./results.ts";
import type { Setting } from "./results.ts";
import { rounds } from "./rounds.ts";
import type { Contender } from "./rounds.ts";
import { build, findPeers, findValgrind } from "./tools.ts";
import { World } from "./world.ts";

const ROOT = join(import.meta.dirname, "../..");
const PEERS = ["direct", "hauberk", "haproxy", "nginx", "envoy"] as const;

/** As shells count a program that was interrupted. */
const INTERRUPTED = 130;

const USAGE = `usage: npm run bench -- [OPTION]...
  --peers LIST       of ${PEERS.join(",")} (all)
  --scenarios LIST   of ${Object.keys(SCENARIOS).join(",")} (all)
  --rounds N         interleaved rounds (3)
  --minutes N        begin no round that would not end by then; the page tells how many there were
  --resume           go on with --out: what it has is kept, and measured again only where it failed
  --seconds N        length of each measured run (8)
  --sched none|rr    rr runs everything measured before all else on the machine (none)
  --seed N           of the random order (from the clock)
  --proxy FILE       a hauberk-proxy that is built already (built for release)
  --out FILE         JSON lines (out/bench.jsonl)
  --page FILE        Markdown (docs/performance.md)
  --render           only write the page from --out`;

/** Items separated by commas. */
function list<T extends string>(item: z.ZodType<T, string>) {
  return z
    .string()
    .transform((text) => text.split(","))
    .pipe(z.array(z.string().pipe(item)).min(1));
}

const Options = z.strictObject({
  peers: list(z.enum(PEERS)).prefault(PEERS.join(",")),
  scenarios: list(ScenarioName).prefault(ScenarioName.options.join(",")),
  rounds: z.coerce.number().int().min(1).max(100).default(3),
  minutes: z.coerce.number().min(1).max(1_440).optional(),
  resume: z.boolean().default(false),
  seconds: z.coerce.number().min(0.5).max(600).default(8),
  sched: z.enum(["none", "rr"]).default("none"),
  seed: z.coerce.number().int().min(0).optional(),
  proxy: z.string().optional(),
  out: z.string().default(join(ROOT, "out/bench.jsonl")),
  page: z.string().default(join(ROOT, "docs/performance.md")),
  render: z.boolean().default(false),
  help: z.boolean().default(false),
});
type Options = z.infer<typeof Options>;

function options(words: readonly string[]): Options {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      peers: text,
      scenarios: text,
      rounds: text,
      minutes: text,
      resume: { type: "boolean" },
      seconds: text,
      sched: text,
      seed: text,
      proxy: text,
      out: text,
      page: text,
      render: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  return Options.parse({ ...values });
}

async function main(words: readonly string[]): Promise<void> {
  const chosen = options(words);
  if (chosen.help) return console.log(USAGE);
  if (!chosen.render) {
    if (process.geteuid?.() !== 0)
      throw new Error("the benchmark needs root: peers are told apart by their user");
    await run(chosen);
  }
  const { setting, results } = parseResults(readFileSync(chosen.out, "utf8"));
  writeFileSync(chosen.page, render(setting, results));
  console.log(`${relative(process.cwd(), chosen.page)} written`);
}

async function contenders({ peers: names, proxy }: Options): Promise<readonly Contender[]> {
  const found = await findPeers(
    ROOT,
    names.filter((name) => name !== "direct"),
    proxy,
  );
  const direct = names.includes("direct") ? [{ name: "direct", peer: undefined }] : [];
  return [...direct, ...found.map((peer) => ({ name: peer.name, peer }))];
}

async function run(chosen: Options): Promise<void> {
  const held =
    chosen.resume && existsSync(chosen.out) ? parseResults(readFileSync(chosen.out, "utf8")) : undefined;
  const seed = chosen.seed ?? held?.setting.seed ?? Math.floor(Date.now() / 1000) % 100_000;
  const kept = held?.results.filter(({ error }) => error === undefined) ?? [];
  const tools = await build(ROOT, "tools", ["hauberk-bench", "hauberk-sandbox"]);
  const program = (name: string): string => {
    const path = tools[name];
    if (path === undefined) throw new Error(`cargo built no ${name}`);
    return path;
  };
  const all = await contenders(chosen);
  mkdirSync(dirname(chosen.out), { recursive: true });
  const lines = [{ setting: setting(chosen, seed, all) }, ...kept].map((line) => `${JSON.stringify(line)}\n`);
  writeFileSync(chosen.out, lines.join(""));
  const programs = {
    sandbox: program("hauberk-sandbox"),
    hload: program("hload"),
    hserve: program("hserve"),
    hpolicy: program("hpolicy"),
  };
  const counts = chosen.scenarios.some((scenario) => scenario === "instructions" || scenario === "policy");
  const valgrind = counts ? await findValgrind(ROOT) : (["valgrind"] as const);
  const world = await World.open(programs, chosen.sched);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void world.close().finally(() => process.exit(INTERRUPTED)));
  }
  try {
    await rounds({ ...chosen, seed, kept, all, world, valgrind });
  } finally {
    await world.close();
  }
}

/** The options that matter for the figures; where files lie does not. */
function repeat({ peers, scenarios, rounds, seconds, sched }: Options, seed: number): string {
  const lists = [
    ...(peers.length === PEERS.length ? [] : ["--peers", peers.join(",")]),
    ...(scenarios.length === ScenarioName.options.length ? [] : ["--scenarios", scenarios.join(",")]),
  ];
  const numbers = ["--rounds", rounds, "--seconds", seconds, "--sched", sched, "--seed", seed];
  return [...lists, ...numbers].join(" ");
}

function setting(chosen: Options, seed: number, all: readonly Contender[]): Setting {
  const { rounds, seconds, sched } = chosen;
  const [processor] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    command: `npm run bench -- ${repeat(chosen, seed)}`,
    machine: `${cpus().length} × ${processor?.model.trim() ?? "unknown processor"}`,
    kernel: release(),
    seed,
    rounds,
    seconds,
    scheduling: sched,
    versions: Object.fromEntries(
      all.flatMap(({ name, peer }) => (peer === undefined ? [] : [[name, peer.version]])),
    ),
  };
}

await main(process.argv.slice(2));
