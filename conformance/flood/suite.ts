/** Floods of TLS handshakes with the hybrid key exchange while others are served on connections that stand (G7). */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { victims } from "../attack/victims.ts";
import { held, World, type Listener } from "../attack/world.ts";
import { AppPort } from "../mesh/ports.ts";
import type { Case, SuiteResult } from "../report.ts";
import { addAddresses } from "./addresses.ts";

const ANSWERED_SHARE_MIN = 0.999;
const QUEUE_MS_MAX = 10_000;
const GROWTH_KIB_MAX = 32 * 1024;
const AT_ONCE = 128;
/** Of what the proxy was measured to do. */
const OVERLOAD = 2;
const MEASURE_S = 3;
const MEASURE_RATE = 300;
/** Processes that flood: one alone opens fewer connections than a core of the proxy answers. */
const CLIENTS = 3;
/** More than those whose handshakes at once, 256 each, are all that the proxy has. */
const ADDRESSES = 64;
const SETTLE_MS = 1_000;
const RUN_MS_MAX = 120_000;
const LOOK_MS = 250;
const POD = "server-0";

const Tally = z.object({
  begun: z.number(),
  done: z.number(),
  refused: z.number(),
  worstMs: z.number(),
  seconds: z.number(),
});
type Tally = z.infer<typeof Tally>;
interface Wish {
  readonly kind: "whole" | "hello";
  readonly seconds: number;
  readonly rate: number;
  readonly addresses?: readonly string[];
}

/**
 * Whole handshakes, as many as a client makes that computes as much as the server; and then twice as many beginnings as one
 * core can answer by what the first ones cost the proxy, from one address and from many.
 */
export async function flood(seconds: number, isLong: boolean): Promise<SuiteResult> {
  const world = await World.start();
  try {
    await victims(world, 1);
    const listener = (await world.listeners(AppPort.h2c)).find(({ mesh }) => mesh !== undefined);
    if (listener === undefined) throw new Error("there is no listener for peers");
    const run = (wish: Wish): Promise<Tally> => program(listener, wish);
    const pid = await world.mesh.proxyPid(POD);
    const before = held(pid).cpuMs;
    const first = await run({ kind: "hello", seconds: MEASURE_S, rate: MEASURE_RATE });
    const costMs = (held(pid).cpuMs - before) / first.done;
    const rate = Math.ceil((OVERLOAD * 1_000) / costMs / CLIENTS);
    const hellos = (): Promise<Tally> => many(() => run({ kind: "hello", seconds, rate }));
    const wholes = (): Promise<Tally> => run({ kind: "whole", seconds, rate });
    const cases: Case[] = [];
    const offered = `a core answers ${Math.round(1_000 / costMs)}/s, ${rate * CLIENTS}/s wanted`;
    cases.push(...(await one(world, { kind: "whole", offered: "one client" }, wholes, seconds)));
    cases.push(...(await one(world, { kind: "hello", offered }, hellos, seconds)));
    if (isLong) cases.push(...(await spread(world, listener, { run, offered, seconds, rate })));
    return { suite: "flood", usual: () => "holds", never: [], least: isLong ? 8 : 6, cases };
  } finally {
    await world.close();
  }
}

/** The same of many addresses: together they have all the places there are, and wait until their time is over. */
async function spread(
  world: World,
  { from }: Listener,
  {
    run,
    offered,
    seconds,
    rate,
  }: {
    readonly run: (wish: Wish) => Promise<Tally>;
    readonly offered: string;
    readonly seconds: number;
    readonly rate: number;
  },
): Promise<readonly Case[]> {
  const addresses = await addAddresses(from, await world.mesh.ip("outside-0"), ADDRESSES);
  const hellos = (): Promise<Tally> => many(() => run({ kind: "hello", seconds, rate, addresses }));
  const cases = await one(world, { kind: `hello of ${ADDRESSES} addresses`, offered }, hellos, seconds);
  return cases.filter(({ name }) => !name.includes("none waits"));
}

async function program(listener: Listener, wish: Wish): Promise<Tally> {
  const { from, host, port, mesh } = listener;
  const order = {
    addresses: [],
    ...wish,
    host,
    port,
    atOnce: AT_ONCE,
    credentials: mesh?.credentials,
    serverName: mesh?.serverName,
  };
  const words = [join(import.meta.dirname, "flood.ts"), JSON.stringify(order)];
  const ran = await from.run(process.execPath, words, RUN_MS_MAX);
  if (ran.code !== 0) throw new Error(`the flood ended with ${ran.code}: ${ran.stderr || ran.reason}`);
  return Tally.parse(JSON.parse(ran.stdout));
}

async function many(run: () => Promise<Tally>): Promise<Tally> {
  const all = await Promise.all(Array.from({ length: CLIENTS }, run));
  const sum = (of: (tally: Tally) => number): number => all.reduce((so, tally) => so + of(tally), 0);
  return {
    begun: sum(({ begun }) => begun),
    done: sum(({ done }) => done),
    refused: sum(({ refused }) => refused),
    worstMs: Math.max(...all.map(({ worstMs }) => worstMs)),
    seconds: Math.max(...all.map(({ seconds }) => seconds)),
  };
}

async function one(
  world: World,
  { kind, offered }: { readonly kind: string; readonly offered: string },
  run: () => Promise<Tally>,
  seconds: number,
): Promise<readonly Case[]> {
  const pid = await world.mesh.proxyPid(POD);
  const before = held(pid);
  let kibMax = before.kib;
  const watch = setInterval(() => {
    kibMax = Math.max(kibMax, held(pid).kib);
  }, LOOK_MS);
  const served = victims(world, seconds + 2 * (SETTLE_MS / 1_000));
  await sleep(SETTLE_MS);
  const tally = await run().finally(() => clearInterval(watch));
  const cores = (held(pid).cpuMs - before.cpuMs) / 1_000 / tally.seconds;
  const answers = await served;
  const [asked, answered] = answers.reduce(
    ([all, some], victim) => [all + victim.asked, some + victim.answered],
    [0, 0],
  );
  const rate = (many: number): string => `${Math.round(many / tally.seconds)}/s`;
  const detail = `${offered}, ${rate(tally.begun)} begun, ${rate(tally.done)} done, ${tally.refused} refused, the proxy on ${cores.toFixed(2)} cores`;
  return [
    {
      name: `${kind}: established traffic is answered`,
      outcome: answered >= asked * ANSWERED_SHARE_MIN ? "holds" : "starved",
      detail: `${answered} of ${asked} ${JSON.stringify(answers.map(({ errors }) => errors))}; ${detail}`,
    },
    {
      name: `${kind}: none waits for ${QUEUE_MS_MAX / 1_000} s`,
      outcome: tally.worstMs <= QUEUE_MS_MAX && tally.done > 0 ? "holds" : "late",
      detail: `at most ${tally.worstMs} ms; ${detail}`,
    },
    {
      name: `${kind}: the proxy is bounded`,
      outcome: kibMax - before.kib <= GROWTH_KIB_MAX ? "holds" : "grew",
      detail: `${kibMax - before.kib} KiB more`,
    },
  ];
}
