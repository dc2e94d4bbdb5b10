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
