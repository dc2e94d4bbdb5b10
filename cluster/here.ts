/** The clusters of this machine: where their programs, images and state are, and what brings one up. */
import { join } from "node:path";
import { build, NODE_PART, type Part } from "./build.ts";
import { loadImages, writePause } from "./images.ts";
import { pathsOf, placeOf, type Place } from "./place.ts";
import type { Extent } from "./programs.ts";
import { systemTools } from "./tools.ts";
import { clustersBelow, describedAs, down, up } from "./up.ts";

/** The root of this tree. */
export const TREE = join(import.meta.dirname, "..");
export const CACHE = join(TREE, ".cache", "cluster");
/** The folder of all built programs. */
export const BIN = join(CACHE, "bin");
/** The folder of the archives that every node loads. */
export const IMAGES = join(CACHE, "images");
/** The folder of all clusters. Not in the checkout: sockets have short paths. */
export const ROOT = process.env["HAUBERK_CLUSTER_DIR"] ?? "/var/lib/hauberk-cluster";

/** Says what is being done. */
export type Say = (line: string) => void;

export interface WishHere {
  readonly name: string;
  readonly number: number;
  readonly nodes: number;
  readonly dual?: boolean;
  readonly extent: Extent;
}

const builds = new Map<string, Promise<void>>();

/** Builds a part, unless it was built of the same sources; who asks while it is built waits for the same build. */
export function buildHere(part: Part, say: Say): Promise<void> {
  const under = builds.get(part.name) ?? build(part, { bin: BIN, environment: process.env, say });
  builds.set(part.name, under);
  return under;
}

/** Brings up a cluster, with everything that it needs, and gives its place. */
export async function upHere({ extent, ...wish }: WishHere, say: Say): Promise<Place> {
  needRoot();
  const place = placeOf({ ...wish, root: ROOT });
  const taken = clustersBelow(ROOT).find(
    ({ place: other }) => other.number === place.number && other.name !== place.name,
  );
  if (taken !== undefined)
    throw new Error(`number ${place.number} is ${taken.place.name}'s: up ${place.name}:N takes another`);
  await buildHere(NODE_PART, say);
  const tools = await systemTools(CACHE, process.env, say);
  await writePause(BIN, IMAGES);
  const load = async (_: Place, node: Place["first"]): Promise<void> => {
    await loadImages(node, { images: IMAGES, bin: BIN });
  };
  await up(place, extent, { bin: BIN, tools, load, say });
  return place;
}

/** Loads what is new into every node of a cluster. */
export async function loadHere(place: Place, say: Say): Promise<void> {
  for (const node of place.nodes) {
    const fresh = await loadImages(node, { images: IMAGES, bin: BIN });
    say(fresh.length === 0 ? `${node.name} has them all` : `${node.name}: ${fresh.join(", ")}`);
  }
}

/** Ends a cluster. */
export async function downHere(place: Place, say: Say): Promise<void> {
  needRoot();
  const { environment } = await systemTools(CACHE, process.env, say);
  await down(place, environment);
  say(`${place.name} is gone`);
}

/** The cluster that was brought up under `name`. @throws if there is none. */
export function existing(name: string): Place {
  const found = describedAs(ROOT, name);
  if (found === undefined) throw new Error(`no cluster is called ${name}: npm run cluster -- up ${name}`);
  return found.place;
}

/** The credentials of a cluster's administrator. */
export function kubeconfigOf(place: Place): string {
  return pathsOf(place).admin;
}

function needRoot(): void {
  if (process.getuid?.() !== 0) throw new Error("a node needs root: it makes namespaces, groups and mounts");
}
