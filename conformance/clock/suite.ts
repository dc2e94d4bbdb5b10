/** The clock of the control plane jumps under traffic, and proxies start meanwhile; then that of a running proxy (G15). */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findFaketime } from "./faketime.ts";
import { MovedClock } from "./moved.ts";
import { victims } from "../attack/victims.ts";
import { World } from "../attack/world.ts";
import { withWrapper } from "../exhaustion/binaries.ts";
import { until } from "../mesh/mesh.ts";
import type { Case, SuiteResult } from "../report.ts";

const POD = "server-0";
const TRAFFIC_S = 2;
/** The longest pause of a proxy between two requests for a certificate is 45 s. */
const RENEWED_MS_MAX = 60_000;
/** The library looks at its file once a second. */
const JUMP_MS = 2_500;
/** What a proxy that starts is given to be refused. */
const REFUSED_MS = 3_000;

/**
 * Under each of them a proxy that starts must stay without a certificate: what is issued ahead of its clock is not valid yet,
 * and a join token from the future or of another day proves nothing.
 */
const JUMPS = ["-1h", "+400d", "+1h", "-400d"] as const;
const JUMPS_SHORT = 2;

const [HOUR_S, DAY_S] = [3_600, 86_400];
/**
 * Of the server's own proxy. A peer whose certificate is not valid by its clock must be refused: one that is over, or one
 * that is not yet. In an hour's time certificates that live for a day are valid still.
 */
const PROXY_JUMPS = [
  { name: "+400d", seconds: 400 * DAY_S, isRefused: true },
  { name: "-1h", seconds: -HOUR_S, isRefused: true },
  { name: "+1h", seconds: HOUR_S, isRefused: false },
] as const;
const PROXY_JUMPS_SHORT = 1;
const CALLER = "caller-0";
const SERVER = "servers.servers.serviceaccount.";

/** Jumps, each from the right time and back to it: all of them, or one of each length. */
export async function clock(isLong: boolean): Promise<SuiteResult> {
  const jumps = isLong ? JUMPS : JUMPS.slice(0, JUMPS_SHORT);
  const ofProxy = isLong ? PROXY_JUMPS : PROXY_JUMPS.slice(0, PROXY_JUMPS_SHORT);
  const least = 1 + jumps.length * 3 + ofProxy.length * 5;
  const library = await findFaketime();
  const dir = await mkdtemp(join(tmpdir(), "hb-clock-"));
  const file = join(dir, "time");
  await setClock(file, "+0");
  const moved = await MovedClock.make(dir);
  const world = await withClock(dir, { library, file }, () => moved.within(SERVER, () => World.start()));
  try {
    await victims(world, 1);
    const pid = world.mesh.controllerPid();
    const cases: Case[] = [];
    for (const jump of ofProxy) cases.push(...(await playProxy(world, moved, jump)));
    for (const jump of jumps) cases.push(...(await play(world, file, jump)));
    cases.push({
      name: "the control plane is the same process",
      outcome: world.mesh.controllerPid() === pid ? "holds" : "ended",
    });
    return { suite: "clock", usual: () => "holds", never: [], least, cases };
  } finally {
    await world.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function play(world: World, file: string, by: (typeof JUMPS)[number]): Promise<readonly Case[]> {
  await setClock(file, by);
  await sleep(JUMP_MS);
  const answers = await victims(world, TRAFFIC_S);
  const isServed = answers.every(({ asked, answered }) => asked === answered);
  process.kill(await world.mesh.proxyPid(POD), "SIGKILL");
  await sleep(REFUSED_MS);
  const isReady = await ready(world).catch(() => false);
  await setClock(file, "+0");
  const began = performance.now();
  const isBack = await until("it is certified", () => ready(world), RENEWED_MS_MAX).catch(() => false);
  const backMs = Math.round(performance.now() - began);
  const after = await victims(world, 1);
  const isServedAfter = after.every(({ asked, answered }) => asked === answered);
  return [
    {
      name: `${by}: traffic goes on`,
      outcome: isServed ? "holds" : "failed",
      detail: JSON.stringify(answers),
    },
    {
      name: `${by}: a proxy that starts is not certified`,
      outcome: isReady ? "certified" : "holds",
    },
    {
      name: `${by}: within one renewal all is well again`,
      outcome: isBack && isServedAfter ? "holds" : "late",
      detail: `after ${backMs} ms; ${JSON.stringify(after)}`,
    },
  ];
}

/** The proxy's own clock jumps while it runs, a peer starts meanwhile, and the clock is right again. */
async function playProxy(
  world: World,
  moved: MovedClock,
  { name, seconds, isRefused }: (typeof PROXY_JUMPS)[number],
): Promise<readonly Case[]> {
  const pid = await world.mesh.proxyPid(POD);
  await moved.move(seconds);
  const standing = await victims(world, TRAFFIC_S);
  process.kill(await world.mesh.proxyPid(CALLER), "SIGKILL");
  await until("the caller's proxy is back", () => ready(world, CALLER), RENEWED_MS_MAX);
  const [meshed, plain] = await victims(world, TRAFFIC_S);
  await moved.move(0);
  const began = performance.now();
  const isBack = await until("all are answered", () => allAnswered(world), RENEWED_MS_MAX).catch(() => false);
  const backMs = Math.round(performance.now() - began);
  const isSame = (await world.mesh.proxyPid(POD).catch(() => 0)) === pid;
  const isAnswered = meshed !== undefined && meshed.answered === meshed.asked;
  const isJudged = isRefused ? meshed?.answered === 0 : isAnswered;
  const label = `a proxy's clock ${name}`;
  return [
    {
      name: `${label}: traffic on standing connections goes on`,
      outcome: standing.every(({ asked, answered }) => asked === answered) ? "holds" : "failed",
      detail: JSON.stringify(standing),
    },
    {
      name: `${label}: a new peer is ${isRefused ? "refused" : "let in"}`,
      outcome: isJudged ? "holds" : "misjudged",
      detail: JSON.stringify(meshed),
    },
    {
      name: `${label}: who brings no certificate is served`,
      outcome: plain?.answered === plain?.asked ? "holds" : "failed",
      detail: JSON.stringify(plain),
    },
    {
      name: `${label}: within one renewal all is well again`,
      outcome: isBack ? "holds" : "late",
      detail: `after ${backMs} ms`,
    },
    { name: `${label}: it is the same process`, outcome: isSame ? "holds" : "ended" },
  ];
}

/** Whether every request of a moment is. */
async function allAnswered(world: World): Promise<boolean> {
  const served = await victims(world, 1);
  return served.every(({ asked, answered }) => asked === answered);
}

/** Whether a proxy has a certificate: it is ready with its first one. */
async function ready(world: World, pod = POD): Promise<boolean> {
  return (await world.mesh.admin(pod, "/ready")).startsWith("HTTP/1.1 200");
}

/** Renamed into place: half an offset is another one. */
async function setClock(file: string, by: string): Promise<void> {
  await writeFile(`${file}.new`, `${by}\n`);
  await rename(`${file}.new`, file);
}

/** Starts a mesh whose control plane has the clock of the file. */
async function withClock<T>(
  dir: string,
  { library, file }: { readonly library: string; readonly file: string },
  start: () => Promise<T>,
): Promise<T> {
  const before = [
    'case "$*" in',
    "  *mesh/controller/main.ts*)",
    `    export LD_PRELOAD='${library}' FAKETIME_TIMESTAMP_FILE='${file}' FAKETIME_CACHE_DURATION=1`,
    "    export FAKETIME_DONT_FAKE_MONOTONIC=1",
    "    ;;",
    "esac",
  ];
  return withWrapper(dir, { name: "hauberk-sandbox", before }, start);
}
