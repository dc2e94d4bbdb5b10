/** Brings up a cluster, and ends it without a trace. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Api } from "./api.ts";
import { adminApi, writeCredentials } from "./credentials.ts";
import {
  allowWatches,
  connectNode,
  disconnectNode,
  endGroups,
  makeGroups,
  snapshotterFor,
  unmountBelow,
} from "./host.ts";
import { makeMountPoints, removeEmptyFolders, removeLeftovers } from "./leftovers.ts";
import { nodePathsOf, pathsOf, placeOf, type Node, type Place } from "./place.ts";
import { assertRunning, isRunning, start, startedIds, stop, type Surroundings } from "./processes.ts";
import {
  apiPrograms,
  controlPrograms,
  nodePrograms,
  runtimeProgram,
  type Extent,
  type Started,
} from "./programs.ts";
import * as settings from "./settings.ts";
import type { SystemTools } from "./tools.ts";

/** On an idle machine a node is ready after some seconds; compilers beside it make that a minute. */
const READY_MS_MAX = 300_000;
const STEP_MS = 100;

const Description = z.strictObject({
  name: z.string(),
  number: z.number(),
  nodes: z.number(),
  dual: z.boolean().default(false),
  extent: z.enum(["api", "full"]),
});

const NodeList = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      status: z.object({
        conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
      }),
    }),
  ),
});

export interface Installed {
  /** The folder of the built programs. */
  readonly bin: string;
  readonly tools: SystemTools;
  /** Images that a node has from the beginning, as archives. */
  readonly load: (place: Place, node: Node) => Promise<void>;
  readonly say: (line: string) => void;
}

/** Brings up what is not up yet; a second call changes nothing. */
export async function up(place: Place, extent: Extent, installed: Installed): Promise<void> {
  const began = performance.now();
  const { say, bin, tools } = installed;
  const told = (line: string): void => say(`${line} after ${Math.round(performance.now() - began)} ms`);
  const paths = pathsOf(place);
  mkdirSync(place.dir, { recursive: true });
  describe(place, extent);
  writeCredentials(place, Date.now());
  allowWatches();
  for (const node of place.nodes) await connectNode(place, node, tools.environment);
  const where: Surroundings = {
    paths,
    bin,
    group: await makeGroups(place),
    environment: { ...tools.environment, PATH: `${bin}:${tools.environment["PATH"] ?? ""}` },
  };
  const run = (programs: readonly Started[], node: Node): void =>
    programs.forEach((program) => start(program, node, where));
  run(apiPrograms(place), place.first);
  if (extent === "full") {
    makeMountPoints();
    writeSettings(place, { bin, runc: tools.runc });
    for (const node of place.nodes) run([runtimeProgram(place, node)], node);
  }
  const api = adminApi(place);
  await until(place, async () => (await api.ask("GET", "/readyz")).status === 200);
  told("the API server answers");
  run(controlPrograms(place, extent), place.first);
  if (extent === "full") {
    for (const object of settings.addons(place)) await api.apply(object);
    for (const node of place.nodes) {
      await until(place, async () => existsSync(nodePathsOf(node).socket));
      await installed.load(place, node);
      run(nodePrograms(place, node), node);
    }
    await until(place, () => areReady(place, api));
    for (const node of place.nodes) await api.apply(settings.nodeNetwork(node));
    told(place.nodes.length === 1 ? "the node is ready" : "the nodes are ready");
  }
  // Pods are refused until their service account is there.
  const account = "/api/v1/namespaces/default/serviceaccounts/default";
  await until(place, async () => (await api.ask("GET", account)).status === 200);
  told(`${place.name} is up`);
}

/** Ends the cluster and removes everything of it. Works after any failure, and on what is already gone. */
export async function down(place: Place, environment: NodeJS.ProcessEnv): Promise<void> {
  const paths = pathsOf(place);
  for (const id of startedIds(paths).toReversed()) stop(paths, id, "SIGTERM");
  await endGroups(place);
  for (const node of place.nodes) {
    await disconnectNode(node, environment);
    removeLeftovers(node);
  }
  await unmountBelow(place.dir);
  await rm(place.dir, { recursive: true, force: true });
  removeEmptyFolders();
}

/** The clusters that are up below `root`, or that were and left something. */
export function clustersBelow(
  root: string,
): readonly { readonly place: Place; readonly extent: Extent; readonly isRunning: boolean }[] {
  if (!existsSync(root)) return [];
  return readdirSync(root).flatMap((name) => {
    const found = describedAs(root, name);
    if (found === undefined) return [];
    const { place, extent } = found;
    return [{ place, extent, isRunning: isRunning(pathsOf(place), "kube-apiserver") }];
  });
}

/** The cluster that was brought up under a name. */
export function describedAs(
  root: string,
  name: string,
): { readonly place: Place; readonly extent: Extent } | undefined {
  const file = pathsOf({ dir: join(root, name) }).description;
  if (!existsSync(file)) return undefined;
  const { extent, ...wish } = Description.parse(JSON.parse(readFileSync(file, "utf8")));
  return { place: placeOf({ ...wish, root }), extent };
}

function describe(place: Place, extent: Extent): void {
  const { name, number } = place;
  const dual = place.first.six !== undefined;
  const description = { name, number, nodes: place.nodes.length, dual, extent };
  writeFileSync(pathsOf(place).description, JSON.stringify(description));
}

function writeSettings(place: Place, programs: settings.Programs): void {
  const { settings: dir } = pathsOf(place);
  const put = (name: string, text: string): void => writeFileSync(join(dir, name), text);
  put("Corefile", settings.corefile(place));
  put("resolv.conf", "");
  for (const node of place.nodes) {
    const paths = nodePathsOf(node);
    for (const path of [
      node.dir,
      paths.containers,
      paths.run,
      paths.kubelet,
      paths.network,
      paths.plugins,
      paths.results,
      paths.networks,
      paths.podLogs,
    ])
      mkdirSync(path, { recursive: true });
    put(`${node.name}-containerd.toml`, settings.containerd(node, programs, snapshotterFor(node.dir)));
    put(`${node.name}-kubelet.json`, settings.kubelet(place, node));
    put(`${node.name}-kube-proxy.json`, settings.kubeProxy(place, node));
    writeFileSync(join(paths.network, "10-pods.conflist"), settings.podNetwork(node));
  }
}

async function areReady(place: Place, api: Api): Promise<boolean> {
  const { status, body } = await api.ask("GET", "/api/v1/nodes");
  if (status !== 200) return false;
  const ready = NodeList.parse(JSON.parse(body))
    .items.filter(({ status: { conditions } }) =>
      conditions.some((condition) => condition.type === "Ready" && condition.status === "True"),
    )
    .map(({ metadata }) => metadata.name);
  return place.nodes.every(({ name }) => ready.includes(name));
}

/** Waits, and stops waiting when a program of the cluster has ended. */
async function until(place: Place, condition: () => Promise<boolean>): Promise<void> {
  const paths = pathsOf(place);
  const end = performance.now() + READY_MS_MAX;
  while (!(await condition())) {
    assertRunning(paths, startedIds(paths));
    if (performance.now() > end) throw new Error(`${place.name} is not up after ${READY_MS_MAX} ms`);
    await sleep(STEP_MS);
  }
}
