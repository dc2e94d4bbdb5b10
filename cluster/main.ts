// `npm run cluster -- COMMAND`: Kubernetes on this machine, from pinned modules, to run Hauberk on.
//
//   up [NAME[:N]] [--nodes N] [--dual] [--api]   NAME is `dev`, N its number (1 to 9): two clusters have two
//   down [NAME... | --all]
//   status                              clusters, their programs and memory
//   images [--proxy FILE]               writes the images of this tree
//   load [NAME]                         loads images that are new into the nodes
//   kubectl [NAME] -- ARGUMENTS         kubectl as the administrator
//   kubeconfig [NAME]                   the path of the administrator's credentials
//   build [PART]                        builds the programs, and nothing else
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ECHO_PART, GATEWAY_API_PART, NODE_PART } from "./build.ts";
import {
  BIN,
  buildHere,
  CACHE,
  downHere,
  existing,
  IMAGES,
  kubeconfigOf,
  loadHere,
  ROOT,
  TREE,
  upHere,
} from "./here.ts";
import { pathsOf, readName, type Place } from "./place.ts";
import { isRunning, residentKiB, startedIds } from "./processes.ts";
import { builtProxy, writeProduct } from "./product.ts";
import { clustersBelow } from "./up.ts";

const DEFAULT_NAME = "dev";
const PARTS = [NODE_PART, ECHO_PART, GATEWAY_API_PART];

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const { values, positionals, tokens } = parseArgs({
  allowPositionals: true,
  tokens: true,
  options: {
    nodes: { type: "string", default: "1" },
    api: { type: "boolean", default: false },
    dual: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
    proxy: { type: "string" },
  },
});
/** What stands after `--`, which is kubectl's. */
const separator = tokens.find(({ kind }) => kind === "option-terminator")?.index;
const rest = separator === undefined ? [] : process.argv.slice(2 + separator + 1);
const [verb, ...names] = positionals.slice(0, positionals.length - rest.length);

const COMMANDS: Readonly<Record<string, () => Promise<void>>> = {
  up: bringUp,
  down: bringDown,
  status: async () => status(),
  images: writeImages,
  load: () => loadHere(chosen(), say),
  kubectl: async () => kubectl(),
  kubeconfig: async () => console.log(kubeconfigOf(chosen())),
  build: buildParts,
};

async function bringUp(): Promise<void> {
  const wish = readName(names[0] ?? DEFAULT_NAME);
  const extent = values.api ? "api" : "full";
  const place = await upHere({ ...wish, nodes: Number(values.nodes), dual: values.dual, extent }, say);
  console.log(`export KUBECONFIG=${kubeconfigOf(place)}`);
}

async function bringDown(): Promise<void> {
  const wanted = (names.length === 0 ? [DEFAULT_NAME] : names).map((word) => readName(word).name);
  const found = clustersBelow(ROOT).filter(({ place }) => values.all || wanted.includes(place.name));
  if (found.length === 0) say("there is no such cluster");
  for (const { place } of found) await downHere(place, say);
}

function status(): void {
  for (const { place, extent, isRunning: isUp } of clustersBelow(ROOT)) {
    const paths = pathsOf(place);
    const state = isUp ? "up" : "ended";
    console.log(`${place.name}:${place.number} ${state} (${extent}) ${place.api} ${kubeconfigOf(place)}`);
    for (const id of startedIds(paths)) {
      const resident = residentKiB(paths, id);
      const shown = resident === undefined ? "ended" : `${Math.round(resident / 1024)} MiB`;
      console.log(`  ${isRunning(paths, id) ? "√" : "×"} ${id.padEnd(28)} ${shown}`);
    }
  }
}

async function writeImages(): Promise<void> {
  const proxy = values.proxy ?? builtProxy(TREE);
  for (const name of await writeProduct({ root: TREE, proxy, images: IMAGES, cache: CACHE }))
    console.log(name);
}

async function buildParts(): Promise<void> {
  const parts = PARTS.filter(({ name }) => names.length === 0 || names.includes(name));
  if (parts.length === 0)
    throw new Error(`nothing is called so: ${PARTS.map(({ name }) => name).join(", ")}`);
  for (const part of parts) await buildHere(part, say);
}

function kubectl(): void {
  const environment = { ...process.env, KUBECONFIG: kubeconfigOf(chosen()) };
  const { status: code } = spawnSync(join(BIN, "kubectl"), rest, { stdio: "inherit", env: environment });
  process.exitCode = code ?? 1;
}

function chosen(): Place {
  return existing(readName(names[0] ?? DEFAULT_NAME).name);
}

const command = COMMANDS[verb ?? ""];
try {
  if (command === undefined)
    throw new Error(`one of ${Object.keys(COMMANDS).join(", ")}, not "${verb ?? ""}"`);
  await command();
} catch (error) {
  say(`× ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
