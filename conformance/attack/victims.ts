/** Programs that run in pods of the world, and what the clients saw that others share it with. */
import { join } from "node:path";
import { z } from "zod";
import { AppPort } from "../mesh/ports.ts";
import type { Place } from "../pair/pair.ts";
import type { World } from "./world.ts";

const RATE = 100;
const RUN_MS_MAX = 600_000;

const Served = z.object({
  asked: z.number(),
  answered: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  errors: z.record(z.string(), z.number()),
});
export type Served = z.infer<typeof Served>;

/** One program of this folder in a pod, to its end; what its last line says. */
export async function program(from: Place, file: string, order: object): Promise<unknown> {
  const words = [join(import.meta.dirname, file), JSON.stringify(order)];
  const ran = await from.run(process.execPath, words, RUN_MS_MAX);
  if (ran.code !== 0) throw new Error(`${file} ended with ${ran.code}: ${ran.stderr || ran.reason}`);
  return JSON.parse(ran.stdout.trim().split("\n").at(-1) ?? "");
}

/** A meshed victim over both proxies, and a plain one over the server's. */
export async function victims(world: World, seconds: number): Promise<readonly Served[]> {
  const ask = (from: Place, origin: string): Promise<unknown> =>
    program(from, "victim.ts", { origin, path: "/", seconds, rate: RATE });
  const both = [
    ask(world.caller, world.origin(AppPort.h2c)),
    ask(world.outside, await world.podOrigin(AppPort.h2c)),
  ];
  return (await Promise.all(both)).map((served) => Served.parse(served));
}
