// `npm run cluster -- up|down|status|images|load|kubectl`: Kubernetes on this machine, from pinned modules, to run Hauberk on.
//
//   up [NAME[:N]] [--nodes N] [--api]   NAME is `dev`, N its number (1 to 9): two clusters have two
//   down [NAME... | --all]
//   status                              clusters, their programs and memory
//   images                              writes the images of this tree
//   load [NAME]                         loads images that are new into the nodes
//   kubectl [NAME] -- ARGUMENTS         kubectl as the administrator; also `export KUBECONFIG=$(... kubeconfig NAME)`
//   build                               builds the programs, and nothing else
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, NODE_PART } from "./build.ts";
import { loadImages, writePause } from "./images.ts";
import { pathsOf, placeOf, readName, type Place } from "./place.ts";
import { isRunning, residentKiB, startedIds } from "./processes.ts";
import { systemTools } from "./tools.ts";
import { clustersBelow, describedAs, down, up } from "./up.ts";

const CACHE = join(import.meta.dirname, "..", ".cache", "cluster");
const BIN = join(CACHE, "bin");
const IMAGES = join(CACHE, "images");
/** Not in the checkout: sockets have short paths. */
const ROOT = process.env["HAUBERK_CLUSTER_DIR"] ?? "/var/lib/hauberk-cluster";
const DEFAULT_NAME = "dev";

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const { values, positionals, tokens } = parseArgs({
  allowPositionals: true,
  tokens: true,
  options: {
    nodes: { type: "string", default: "1" },
    api: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
  },
});
/** What stands after `--`. */
const separator = tokens.find(({ kind }) => kind === "option-terminator")?.index;
const rest = separator === undefined ? [] : process.argv.slice(2 + separator + 1);
const [verb, ...names] =
  separator === undefined ? positionals : positionals.slice(0, -rest.length || undefined);

const COMMANDS: Readonly<Record<string, () => Promise<void>>> = {
  up: bringUp,
  down: bringDown,
  status: async () => status(),
  load,
  build: () => build(NODE_PART, { bin: BIN, environment: process.env, say }),
  kubectl: async () => kubectl(),
  kubeconfig: async () => console.log(pathsOf(existing()).admin),
};

async function bringUp(): Promise<void> {
  needRoot();
  const wish = { ...readName(names[0] ?? DEFAULT_NAME), nodes: Number(values.nodes), root: ROOT };
  const place = placeOf(wish);
  const taken = clustersBelow(ROOT).find(
    ({ place: other }) => other.number === place.number && other.name !== place.name,
  );
  if (taken !== undefined)
    throw new Error(`number ${place.number} is ${taken.place.name}'s: up ${place.name}:N takes another`);
  await build(NODE_PART, { bin: BIN, environment: process.env, say });
  const tools = await systemTools(CACHE, process.env, say);
  await writePause(BIN, IMAGES);
  await up(place, values.api ? "api" : "full", {
    bin: BIN,
    tools,
    load: async (_, node) => void (await loadImages(node, { images: IMAGES, bin: BIN })),
    say,
  });
  console.log(`export KUBECONFIG=${pathsOf(place).admin}`);
}

async function bringDown(): Promise<void> {
  needRoot();
  const { environment } = await systemTools(CACHE, process.env, say);
  const chosen = values.all
    ? clustersBelow(ROOT).map(({ place }) => place)
    : (names.length === 0 ? [DEFAULT_NAME] : names).flatMap((word) => {
        const found = describedAs(ROOT, readName(word).name);
        if (found === undefined) say(`no cluster is called ${word}`);
        return found === undefined ? [] : [found.place];
      });
  for (const place of chosen) {
    await down(place, environment);
    say(`${place.name} is gone`);
  }
}

function status(): void {
  for (const { place, extent, isRunning: isUp } of clustersBelow(ROOT)) {
    const paths = pathsOf(place);
    console.log(
      `${place.name}:${place.number} ${isUp ? "up" : "ended"} (${extent}) ${place.api} ${paths.admin}`,
    );
    for (const id of startedIds(paths)) {
      const resident = residentKiB(paths, id);
      const shown = resident === undefined ? "ended" : `${Math.round(resident / 1024)} MiB`;
      console.log(`  ${isRunning(paths, id) ? "√" : "×"} ${id.padEnd(28)} ${shown}`);
    }
  }
}

async function load(): Promise<void> {
  for (const node of existing().nodes) {
    const fresh = await loadImages(node, { images: IMAGES, bin: BIN });
    say(fresh.length === 0 ? `${node.name} has them all` : `${node.name}: ${fresh.join(", ")}`);
  }
}

function kubectl(): void {
  const environment = { ...process.env, KUBECONFIG: pathsOf(existing()).admin };
  const { status: code } = spawnSync(join(BIN, "kubectl"), rest, { stdio: "inherit", env: environment });
  process.exitCode = code ?? 1;
}

function existing(): Place {
  const { name } = readName(names[0] ?? DEFAULT_NAME);
  const found = describedAs(ROOT, name);
  if (found === undefined) throw new Error(`no cluster is called ${name}: npm run cluster -- up ${name}`);
  return found.place;
}

function needRoot(): void {
  if (process.getuid?.() !== 0) throw new Error("a node needs root: it makes namespaces, groups and mounts");
}

const command = COMMANDS[verb ?? ""];
if (command === undefined)
  throw new Error(`no command "${verb ?? ""}": one of ${Object.keys(COMMANDS).join(", ")}`);
try {
  await command();
} catch (error) {
  say(`× ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
