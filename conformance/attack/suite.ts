/** Abuse of HTTP/2 against every listener of a pair, while others use it (docs/reliability.md, G5). */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { AppPort } from "../mesh/ports.ts";
import type { Case, SuiteResult } from "../report.ts";
import { ABUSES } from "./abuses.ts";
import { program, victims } from "./victims.ts";
import { held, type Listener, World } from "./world.ts";

/** What the goals ask for. */
const ANSWERED_SHARE_MIN = 0.99;
const GROWTH_KIB_MAX = 16 * 1024;

const CONNECTIONS = 3;
const SAMPLE_MS = 100;
const PODS = ["caller-0", "server-0"] as const;

const Attacked = z.object({
  connections: z.number(),
  refused: z.number(),
  bytes: z.number(),
  goAways: z.record(z.string(), z.number()),
  resets: z.number(),
});
/** Seconds of one attack, and whether each listener has its own. */
export interface Length {
  readonly seconds: number;
  readonly isEach: boolean;
}

/** Every abuse against every listener. */
export async function attack({ seconds, isEach }: Length, only: readonly string[]): Promise<SuiteResult> {
  const world = await World.start();
  try {
    const listeners = await world.listeners(AppPort.h2c);
    const groups = isEach ? listeners.map((one) => [one]) : [listeners];
    const names = Object.keys(ABUSES).filter((name) => only.length === 0 || only.includes(name));
    const cases: Case[] = [];
    // What each proxy needs once, it has now.
    await victims(world, 2);
    for (const name of names)
      for (const group of groups) cases.push(...(await one(world, name, { listeners: group, seconds })));
    return { suite: "attack", usual: () => "holds", never: [], least: names.length * 4, cases };
  } finally {
    await world.close();
  }
}

async function one(
  world: World,
  name: string,
  { listeners, seconds }: { readonly listeners: readonly Listener[]; readonly seconds: number },
): Promise<readonly Case[]> {
  const pids = await Promise.all(PODS.map((pod) => world.mesh.proxyPid(pod)));
  const before = pids.map(held);
  const peak = before.map(({ kib }) => kib);
  const stop = new AbortController();
  const watch = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      pids.forEach((pid, index) => (peak[index] = Math.max(peak[index] ?? 0, held(pid).kib)));
      await sleep(SAMPLE_MS);
    }
  })();
  watch.catch(() => undefined);
  const attackers = listeners.map(({ from, ...where }) => {
    const { name: _, ...order } = where;
    const authority = `${where.host}:${AppPort.h2c}`;
    return program(from, "attacker.ts", {
      ...order,
      abuse: name,
      authority,
      seconds,
      connections: CONNECTIONS,
    });
  });
  const served = await victims(world, seconds);
  const tallies = (await Promise.all(attackers)).map((tally) => Attacked.parse(tally));
  stop.abort();
  // A proxy that has ended cannot be looked at: that is the finding.
  await watch;
  const after = pids.map(held);
  const at = listeners.map((listener) => listener.name).join(", ");
  const label = `${name} at ${at}`;
  const done = tallies.map(
    ({ connections, bytes, goAways }) =>
      `${connections} connections, ${(bytes / 2 ** 20).toFixed(1)} MiB, GOAWAY ${JSON.stringify(goAways)}`,
  );
  const cpu = after.map(({ cpuMs }, index) => cpuMs - (before[index]?.cpuMs ?? 0));
  return [
    ...served.map((victim, index) => ({
      name: `${label}: the ${index === 0 ? "meshed" : "plain"} victim is answered`,
      outcome: victim.answered >= victim.asked * ANSWERED_SHARE_MIN ? "holds" : "starved",
      detail: `${victim.answered} of ${victim.asked}, p50 ${victim.p50Ms} ms, p99 ${victim.p99Ms} ms ${JSON.stringify(victim.errors)}; ${done.join("; ")}`,
    })),
    ...PODS.map((pod, index) => {
      const grown = (peak[index] ?? 0) - (before[index]?.kib ?? 0);
      return {
        name: `${label}: the proxy of ${pod} keeps its size`,
        outcome: grown <= GROWTH_KIB_MAX ? "holds" : "grew",
        detail: `${(grown / 1024).toFixed(1)} MiB, ${cpu[index]} ms of CPU`,
      };
    }),
  ];
}
