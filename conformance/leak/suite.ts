/** Many requests through a pair, and what the proxies hold afterwards that they did not hold before (G19). */
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { z } from "zod";
import { held, World, type Held } from "../attack/world.ts";
import { AppPort } from "../mesh/ports.ts";
import type { Case, SuiteResult } from "../report.ts";

/** Growth that a million requests may leave, and what the noise of an allocator may be beside it. */
const SLOPE_KIB_MAX = 1_024;
const NOISE_KIB = 1_024;
const FILES_MAX = 2;
/** Shares of the whole: the first one warms what a proxy needs once. */
const PARTS = 5;
/** Requests on one connection, so that connections are made and closed, too. */
const PER_CONNECTION = 100;
const RUN_MS_MAX = 14_400_000;
/** Idle connections to endpoints are closed after seconds. */
const REST_MS = 8_000;
const PODS = ["caller-0", "server-0"] as const;

const Asked = z.object({ asked: z.number(), answered: z.number() });

/** Sends `requests` through the pair and looks at both proxies after each part. */
export async function leak(requests: number): Promise<SuiteResult> {
  const world = await World.start();
  try {
    const pids = await Promise.all(PODS.map((pod) => world.mesh.proxyPid(pod)));
    const looks: (readonly Held[])[] = [];
    let [asked, answered] = [0, 0];
    for (let part = 0; part < PARTS; part += 1) {
      const one = Asked.parse(await ask(world, Math.ceil(requests / PARTS)));
      asked += one.asked;
      answered += one.answered;
      await sleep(REST_MS);
      looks.push(pids.map(held));
    }
    const all: Case = {
      name: "every request is answered",
      outcome: answered === asked ? "holds" : "failed",
      detail: `${answered} of ${asked}`,
    };
    return {
      suite: "leak",
      usual: () => "holds",
      never: [],
      least: 1 + 2 * PODS.length,
      cases: [
        all,
        ...PODS.flatMap((pod, index) =>
          growth(
            pod,
            looks.map((look) => look[index]),
            asked,
          ),
        ),
      ],
    };
  } finally {
    await world.close();
  }
}

async function ask(world: World, count: number): Promise<unknown> {
  const order = { origin: world.origin(AppPort.http), count, perConnection: PER_CONNECTION };
  const words = [join(import.meta.dirname, "ask.ts"), JSON.stringify(order)];
  const ran = await world.caller.run(process.execPath, words, RUN_MS_MAX);
  if (ran.code !== 0) throw new Error(`the requests ended with ${ran.code}: ${ran.stderr || ran.reason}`);
  return JSON.parse(ran.stdout);
}

/** What one proxy held after the first part and after the last. */
function growth(pod: string, looks: readonly (Held | undefined)[], asked: number): readonly Case[] {
  const [first, last] = [looks[0], looks.at(-1)];
  if (first === undefined || last === undefined) throw new Error("there were no parts");
  const between = asked * (1 - 1 / PARTS);
  const kib = last.kib - first.kib;
  const allowed = NOISE_KIB + (SLOPE_KIB_MAX * between) / 1_000_000;
  const files = last.files - first.files;
  return [
    {
      name: `${pod}: memory`,
      outcome: kib <= allowed ? "holds" : "grew",
      detail: `${kib} KiB over ${between} requests, from ${first.kib} KiB`,
    },
    {
      name: `${pod}: descriptors`,
      outcome: files <= FILES_MAX ? "holds" : "grew",
      detail: `${files} more than ${first.files}`,
    },
  ];
}
