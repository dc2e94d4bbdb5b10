/** Flagger itself on a cluster, against our mesh: a canary that is promoted, and one that is rolled back. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { TREE, type Say } from "@hauberk/cluster/here.ts";
import { assertWhole, load, loadUntil, told, type Loaded } from "../kubernetes/asking.ts";
import { deployment, namespace, urlOf } from "../kubernetes/objects.ts";
import { eventually, World, type KubeObject } from "../kubernetes/world.ts";
import type { Case, SuiteResult } from "../report.ts";
import { startJudge, type Judge } from "./judge.ts";

const run = promisify(execFile);

const MODULE = join(import.meta.dirname, "flagger");
const CACHE = join(TREE, ".cache", "conformance");
const GUIDE = join(TREE, "docs", "guide", "progressive-delivery.md");
const BUILD_MS_MAX = 1_800_000;
/** The clusters of suites have numbers of their own. */
const NUMBER = 7;
const JUDGE_PORT = 9300;
const RATE = 20;
/** A roll-out has four steps of ten seconds, and two rollouts of pods. */
const ROLLOUT_MS_MAX = 400_000;

const SHOP = "shop";
const APP = "store";
const CALLER = { namespace: "callers", deployment: "caller" } as const;
const URL = urlOf(APP, SHOP);
const INSTALLATION = [
  "hauberk install --crds | kubectl apply -f -",
  "hauberk install | kubectl apply -f -",
  "hauberk check --wait 240s",
] as const;

/** What a version answers with, and which of its requests it gets wrong. */
function version(name: string, failEvery = 0): KubeObject {
  const env = [
    { name: "VERSION", value: name },
    { name: "FAIL_EVERY", value: String(failEvery) },
  ];
  return { spec: { template: { spec: { containers: [{ name: "echo", env }] } } } };
}

async function deploy(world: World, patch: KubeObject): Promise<void> {
  await world.ask(["-n", SHOP, "patch", "deployment", APP, "-p", JSON.stringify(patch)]);
}

async function phase(world: World): Promise<string> {
  return world.ask(["-n", SHOP, "get", "canary", APP, "-o", "jsonpath={.status.phase}"]);
}

async function reached(world: World, wanted: string): Promise<void> {
  let last = "";
  await eventually(
    `the canary is ${wanted}`,
    async () => {
      last = await phase(world);
      return last === wanted ? true : undefined;
    },
    ROLLOUT_MS_MAX,
  ).catch((error: unknown) => {
    throw new Error(`the canary is ${last}, not ${wanted}`, { cause: error });
  });
}

/** The canary's weights as they were written, for as long as `done` is not settled. */
async function weightsUntil(world: World, done: Promise<unknown>): Promise<readonly number[]> {
  const ended = done.then(
    () => true,
    () => true,
  );
  const path = `jsonpath={.spec.rules[0].backendRefs[?(@.name=="${APP}-canary")].weight}`;
  const seen: number[] = [];
  for (let isDone = false; !isDone;) {
    const weight = Number(await world.ask(["-n", SHOP, "get", "httproute", APP, "-o", path]));
    if (seen.at(-1) !== weight) seen.push(weight);
    isDone = await Promise.race([ended, sleep(1_000, false)]);
  }
  return seen;
}

/** Only `name` answers, and nothing fails. */
async function assertOnly(world: World, name: string): Promise<Loaded> {
  return eventually(`only ${name} answers`, async () => {
    const loaded = await load(world, CALLER, { url: URL, rate: RATE, seconds: 3 });
    assertWhole(loaded);
    return Object.keys(loaded.versions).join() === name ? loaded : undefined;
  });
}

interface Act {
  readonly name: string;
  readonly play: (world: World, judge: Judge) => Promise<string>;
}

const ACTS: readonly Act[] = [
  {
    name: "Flagger takes the Service over, and its route is accepted",
    play: async (world) => {
      await reached(world, "Initialized");
      const accepted = `jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}`;
      await eventually("the route is accepted", async () => {
        const status = await world.ask(["-n", SHOP, "get", "httproute", APP, "-o", accepted]);
        return status === "True" ? true : undefined;
      });
      return told(await assertOnly(world, "v1"));
    },
  },
  {
    name: "a good version goes from nothing to everything, and no request fails",
    play: async (world) => {
      await deploy(world, version("v2"));
      const done = reached(world, "Succeeded");
      const [loaded, weights] = await Promise.all([
        loadUntil(world, CALLER, { url: URL, rate: RATE, done }),
        weightsUntil(world, done),
        done,
      ]);
      assertWhole(loaded);
      for (const weight of [25, 50, 75])
        if (!weights.includes(weight)) throw new Error(`weights were ${weights.join(", ")}`);
      await assertOnly(world, "v2");
      return `weights ${weights.join(", ")}; ${JSON.stringify(loaded.versions)}; ${told(loaded)}`;
    },
  },
  {
    name: "a version that fails is rolled back, and no request of the good one fails",
    play: async (world, judge) => {
      await deploy(world, version("v3", 2));
      const done = reached(world, "Failed");
      const [loaded] = await Promise.all([loadUntil(world, CALLER, { url: URL, rate: RATE, done }), done]);
      const { failures, answered, versions } = loaded;
      // The bad version's own answers are 500 without an error of the mesh; anything else is a request that was lost.
      const lost = Object.entries(failures).filter(([failure]) => failure.trim() !== "500");
      if (lost.length > 0) throw new Error(`lost: ${JSON.stringify(lost)}`);
      const bad = failures["500 "] ?? failures["500"] ?? 0;
      if (bad === 0 || judge.complaints.length === 0) throw new Error("the bad version was never asked");
      if (bad > (versions["v3"] ?? 0) + 1)
        throw new Error(`${bad} failed, v3 answered ${versions["v3"] ?? 0}`);
      await assertOnly(world, "v2");
      return `${answered} of ${loaded.asked} answered, ${bad} failures all of v3; ${judge.complaints.join("; ")}`;
    },
  },
];

async function buildFlagger(say: Say): Promise<string> {
  const program = join(CACHE, "bin", "flagger");
  await mkdir(join(CACHE, "bin"), { recursive: true });
  say("  building Flagger");
  const words = [
    "build",
    "-mod=readonly",
    "-trimpath",
    "-o",
    program,
    "github.com/fluxcd/flagger/cmd/flagger",
  ];
  await run("go", words, {
    cwd: MODULE,
    timeout: BUILD_MS_MAX,
    env: { ...process.env, CGO_ENABLED: "0", GOTOOLCHAIN: "local", GOFLAGS: "-buildvcs=false" },
  });
  return program;
}

/** The custom resources that Flagger's module has. */
async function flaggerResources(): Promise<string> {
  const words = ["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "github.com/fluxcd/flagger"];
  const { stdout } = await run("go", words, { cwd: MODULE, timeout: BUILD_MS_MAX });
  return join(stdout.trim(), "artifacts", "flagger", "crd.yaml");
}

/** The first object of the guide's page. */
async function canary(): Promise<string> {
  const found = /```yaml\n([\s\S]*?)```/.exec(await readFile(GUIDE, "utf8"))?.[1];
  if (found === undefined) throw new Error("the guide's page has no object");
  return found;
}

/** Runs Flagger on this machine as an administrator of the cluster; `log` gets what it says. */
function startFlagger(program: string, world: World, log: string[]): ChildProcess {
  const words = ["-mesh-provider=gatewayapi:v1", "-log-level=info", "-port=0", "-namespace", SHOP];
  const kubeconfig = ["-kubeconfig", world.environment["KUBECONFIG"] ?? ""];
  const none = ["-metrics-server=http://127.0.0.1:1"];
  const child = spawn(program, [...words, ...kubeconfig, ...none], { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => log.push(text));
  return child;
}

async function prepareCluster(world: World, say: Say): Promise<void> {
  await world.applyGatewayApi();
  await world.ask(["apply", "--server-side", "-f", await flaggerResources()]);
  for (const line of INSTALLATION) {
    say(`  ${line}`);
    const { code, stdout, stderr } = await world.shell(line);
    if (code !== 0) throw new Error(`${line}: ${code}\n${stdout}\n${stderr}`);
  }
  const inject = { "linkerd.io/inject": "enabled" };
  await world.apply(
    namespace(SHOP, inject),
    deployment({ name: APP, namespace: SHOP }),
    namespace(CALLER.namespace, inject),
    deployment({ name: CALLER.deployment, namespace: CALLER.namespace }),
  );
  await world.rolledOut(SHOP, `deploy/${APP}`);
  await world.rolledOut(CALLER.namespace, `deploy/${CALLER.deployment}`);
}

async function played({ name, play }: Act, world: World, judge: Judge): Promise<Case> {
  try {
    return { name, outcome: "holds", detail: await play(world, judge) };
  } catch (error) {
    return { name, outcome: "failed", detail: error instanceof Error ? error.message : String(error) };
  }
}

/** Plays all acts; `out` gets Flagger's log. */
export async function progressive(out: string, say: Say): Promise<SuiteResult> {
  const program = await buildFlagger(say);
  const world = await World.start({ name: "progressive", number: NUMBER, nodes: 1, echoNames: [] }, say);
  const log: string[] = [];
  let flagger: ChildProcess | undefined;
  let judge: Judge | undefined;
  try {
    await prepareCluster(world, say);
    judge = await startJudge(world, `hauberk diagnostics proxy-metrics -n ${SHOP} deploy/${APP}`, JUDGE_PORT);
    flagger = startFlagger(program, world, log);
    await world.ask(["apply", "-f", "-"], await canary());
    const cases: Case[] = [];
    for (const act of ACTS) {
      const one = await played(act, world, judge);
      say(`  ${one.outcome === "holds" ? "√" : "×"} ${one.name}: ${one.detail ?? ""}`);
      cases.push(one);
    }
    return { suite: "progressive", usual: () => "holds", never: [], least: ACTS.length, cases };
  } finally {
    if (flagger?.exitCode === null) {
      const ended = once(flagger, "exit");
      flagger.kill("SIGTERM");
      await ended;
    }
    await judge?.close();
    await mkdir(out, { recursive: true });
    await writeFile(join(out, "flagger.log"), log.join(""));
    await world.close();
  }
}
