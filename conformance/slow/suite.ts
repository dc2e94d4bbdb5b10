/** Thousands of clients that are slow, or never end their handshake, while others ask on (G6, G7 in part). */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { AppPort } from "../mesh/ports.ts";
import type { Case, SuiteResult } from "../report.ts";
import { program, victims } from "../attack/victims.ts";
import { until } from "../mesh/mesh.ts";
import { held, World, type Held } from "../attack/world.ts";

const ANSWERED_SHARE_MIN = 0.999;
const CONNECTION_KIB_MAX = 32;
/** The limit of a head and of a handshake, and what a busy machine adds. */
const CLOSED_MS_MAX = 10_000 + 4_000;
const INBOUND_PORT = 4143;
/** Time for the connections to be open before they end. */
const SETTLE_MS = 4_000;
const LOOK_MS = 200;
/** Weighed are moments in which so many of the most connections are open. */
const NEARLY_ALL = 0.95;
/** How long the connections of one kind may take to go, and how many descriptors of others may stay. */
const LEFT_MS_MAX = 40_000;
const LEFT_FILES_MAX = 32;
/** With so many each kind is weighed in a proxy that began anew. */
const MANY = 5_000;
/** How long after its connections a proxy may hold what they needed, and what it may keep: what it needs once for their kind. */
const GIVEN_BACK_MS_MAX = 30_000;
const KEPT_KIB_MAX = 4 * 1_024;
/** Handshakes of one address are bounded: 256 at once, and twice as many that wait. */
const HANDSHAKES = 3 * 256;
const PODS = ["server-0"] as const;

const Tally = z.object({
  opened: z.number(),
  refused: z.number(),
  ended: z.number(),
  lastEndMs: z.number(),
  left: z.number(),
});

type Weight = Pick<Held, "files" | "kib">;

/** What is held against each kind. */
interface Slow {
  readonly kind: "head" | "body" | "read" | "silent-tls" | "cut-tls";
  readonly port: number;
  /** Whether the proxy must have closed all of them in time. */
  readonly isClosed: boolean;
}

const KINDS: readonly Slow[] = [
  { kind: "head", port: AppPort.http, isClosed: true },
  { kind: "body", port: AppPort.http, isClosed: false },
  { kind: "read", port: AppPort.http, isClosed: false },
  { kind: "silent-tls", port: INBOUND_PORT, isClosed: true },
  { kind: "cut-tls", port: INBOUND_PORT, isClosed: true },
];

/** Every kind, with `connections` each. */
export async function slow(connections: number, only: readonly string[]): Promise<SuiteResult> {
  const world = await World.start();
  const kinds = KINDS.filter(({ kind }) => only.length === 0 || only.includes(kind));
  try {
    await victims(world, 2);
    const cases: Case[] = [];
    const idle = held(await world.mesh.proxyPid(PODS[0]));
    for (const kind of kinds) {
      await left(world, idle, connections);
      cases.push(...(await one(world, kind, connections)));
    }
    return { suite: "slow", usual: () => "holds", never: [], least: kinds.length * 4, cases };
  } finally {
    await world.close();
  }
}

/** Waits until the connections of the kind before are gone; what is weighed after many is a proxy that held none. */
async function left(world: World, idle: Weight, connections: number): Promise<void> {
  const pid = await world.mesh.proxyPid(PODS[0]);
  const late = performance.now() + LEFT_MS_MAX;
  while (held(pid).files > idle.files + LEFT_FILES_MAX && performance.now() < late) await sleep(100);
  if (connections < MANY) return;
  process.kill(pid, "SIGKILL");
  const isReady = async (): Promise<boolean> =>
    (await world.mesh.admin(PODS[0], "/ready")).startsWith("HTTP/1.1 200");
  await until("the proxy is back", isReady, LEFT_MS_MAX);
  await victims(world, 2);
}

/** What a proxy still holds above `before` once its connections are gone, and after how long. */
async function kept(pid: number, before: Weight): Promise<{ readonly kib: number; readonly ms: number }> {
  const began = performance.now();
  for (;;) {
    const [kib, ms] = [held(pid).kib - before.kib, Math.round(performance.now() - began)];
    if (kib <= KEPT_KIB_MAX || ms > GIVEN_BACK_MS_MAX) return { kib, ms };
    await sleep(LOOK_MS);
  }
}

/** What a process holds while it has most connections, and has had the time to do something with them. */
async function weighing(pid: number, until: Promise<unknown>): Promise<Weight> {
  const looks: Weight[] = [];
  const watch = setInterval(() => looks.push(held(pid)), LOOK_MS);
  await until.catch(() => undefined);
  clearInterval(watch);
  const files = Math.max(...looks.map((look) => look.files));
  const full = looks.filter((look) => look.files >= files * NEARLY_ALL);
  return { files, kib: Math.max(...full.map(({ kib }) => kib)) };
}

async function one(
  world: World,
  { kind, port, isClosed }: Slow,
  connections: number,
): Promise<readonly Case[]> {
  const pid = await world.mesh.proxyPid(PODS[0]);
  const before = held(pid);
  const seconds = isClosed ? CLOSED_MS_MAX / 1_000 : SETTLE_MS / 1_000 + 2;
  const order = { kind, host: await world.mesh.ip(PODS[0]), port, connections, seconds };
  const attacker = program(world.outside, "slow.ts", order);
  attacker.catch(() => undefined);
  const served = victims(world, SETTLE_MS / 1_000 + 2);
  const weighed = weighing(pid, attacker);
  const [answers, tally] = [await served, Tally.parse(await attacker)];
  const during = await weighed;
  const after = await kept(pid, before);
  const open = Math.max(1, during.files - before.files);
  const each = (during.kib - before.kib) / open;
  const detail = `${tally.opened} opened, ${tally.refused} refused, ${tally.ended} ended, the last after ${tally.lastEndMs} ms`;
  const [asked, answered] = answers.reduce(
    ([one, other], victim) => [one + victim.asked, other + victim.answered],
    [0, 0],
  );
  const fewest = Math.min(connections, port === INBOUND_PORT ? HANDSHAKES : connections) / 4;
  const isEnded = !isClosed || (tally.left === 0 && tally.lastEndMs <= CLOSED_MS_MAX);
  return [
    {
      name: `${kind}: others are answered`,
      outcome: answered >= asked * ANSWERED_SHARE_MIN ? "holds" : "starved",
      detail: `${answered} of ${asked} ${JSON.stringify(answers.map(({ errors }) => errors))}`,
    },
    {
      name: `${kind}: a connection is small`,
      outcome: each <= CONNECTION_KIB_MAX && open > fewest ? "holds" : "grew",
      detail: `${each.toFixed(1)} KiB for each of ${open} descriptors; ${detail}`,
    },
    {
      name: `${kind}: what they held is given back`,
      outcome: after.kib <= KEPT_KIB_MAX ? "holds" : "kept",
      detail: `${after.kib} KiB above ${before.kib} ${after.ms} ms after their end, ${during.kib} at most`,
    },
    {
      name: `${kind}: ${isClosed ? "all are closed in time" : "all were taken"}`,
      outcome: isEnded ? "holds" : "left open",
      detail,
    },
  ];
}
