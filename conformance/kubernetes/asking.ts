/** Requests from inside the cluster: one, or a constant load while something is done. */
import { z } from "zod";
import type { Ran, World } from "./world.ts";

/** Who asks: the pods of a deployment. */
export interface Asker {
  readonly namespace: string;
  readonly deployment: string;
}

const Loaded = z.object({
  asked: z.number(),
  answered: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  worstMs: z.number(),
  failures: z.record(z.string(), z.number()),
  versions: z.record(z.string(), z.number()),
  pods: z.record(z.string(), z.number()),
});
export type Loaded = z.infer<typeof Loaded>;

function inside({ namespace, deployment }: Asker, words: readonly string[]): readonly string[] {
  return ["-n", namespace, "exec", `deploy/${deployment}`, "-c", "echo", "--", ...words];
}

/** Asks once; the code is 0 if there was any answer, and the output has its status. */
export function askOnce(world: World, from: Asker, url: string): Promise<Ran> {
  return world.kubectl(inside(from, ["client", url]));
}

/** The status of an answer, or the client's complaint. */
export async function statusFrom(world: World, from: Asker, url: string): Promise<string> {
  const { stdout, stderr } = await askOnce(world, from, url);
  return /StatusCode=(\d+)/.exec(stdout)?.[1] ?? (stderr.trim().split("\n")[0] || "no answer");
}

/** Asks at a constant rate for so long. */
export async function load(
  world: World,
  from: Asker,
  wish: { readonly url: string; readonly rate: number; readonly seconds: number },
): Promise<Loaded> {
  const { url, rate, seconds } = wish;
  const words = ["load", url, `--rate=${rate}`, `--seconds=${seconds}`];
  const { stdout, stderr, code } = await world.kubectl(inside(from, words));
  if (code !== 0 || stdout === "")
    throw new Error(`the load from ${from.namespace} ended with ${code}: ${stderr}`);
  return Loaded.parse(JSON.parse(stdout));
}

/** Each part of a load that goes on until something is done. */
const PART_S = 5;

/** Asks at a constant rate until `done` has settled, and for one part more. */
export async function loadUntil(
  world: World,
  from: Asker,
  { url, rate, done }: { readonly url: string; readonly rate: number; readonly done: Promise<unknown> },
): Promise<Loaded> {
  let isDone = false;
  const settled = (): void => {
    isDone = true;
  };
  done.then(settled, settled);
  const parts: Loaded[] = [];
  for (let isLast = false; !isLast;) {
    isLast = isDone;
    parts.push(await load(world, from, { url, rate, seconds: PART_S }));
  }
  return joined(parts);
}

/** Several loads as one; times are the worst of theirs. */
export function joined(parts: readonly Loaded[]): Loaded {
  const sum = (of: (part: Loaded) => number): number => parts.reduce((total, part) => total + of(part), 0);
  const worst = (of: (part: Loaded) => number): number => Math.max(0, ...parts.map(of));
  const counts = (of: (part: Loaded) => Readonly<Record<string, number>>): Record<string, number> => {
    const all: Record<string, number> = {};
    for (const part of parts)
      for (const [name, count] of Object.entries(of(part))) all[name] = (all[name] ?? 0) + count;
    return all;
  };
  return {
    asked: sum(({ asked }) => asked),
    answered: sum(({ answered }) => answered),
    p50Ms: worst(({ p50Ms }) => p50Ms),
    p99Ms: worst(({ p99Ms }) => p99Ms),
    worstMs: worst(({ worstMs }) => worstMs),
    failures: counts(({ failures }) => failures),
    versions: counts(({ versions }) => versions),
    pods: counts(({ pods }) => pods),
  };
}

/** What a load saw, in a line. */
export function told({ asked, answered, p50Ms, p99Ms, worstMs, failures }: Loaded): string {
  const errors = Object.keys(failures).length === 0 ? "" : ` ${JSON.stringify(failures)}`;
  return `${answered} of ${asked}, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, worst ${worstMs.toFixed(0)} ms${errors}`;
}

/** @throws with what a load saw if any request failed. */
export function assertWhole(loaded: Loaded): void {
  if (loaded.answered !== loaded.asked) throw new Error(told(loaded));
}

/** The share of answers of a version, in percent. */
export function shareOf({ answered, versions }: Loaded, version: string): number {
  return answered === 0 ? 0 : (100 * (versions[version] ?? 0)) / answered;
}
