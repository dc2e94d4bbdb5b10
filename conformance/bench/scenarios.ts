/** What is measured of a pair. Each scenario starts its own pair and gives figures whose names carry their unit. */

import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { Role } from "./certificates.ts";
import { instructions, policy } from "./counting.ts";
import { AUTHORITY } from "./peer.ts";
import type { Peer } from "./peer.ts";
import type { Figures, ScenarioName } from "./results.ts";
import type { Command } from "./sandbox.ts";
import { median } from "./statistics.ts";
import { execTime } from "./world.ts";
import type { Running } from "./running.ts";
import type { Pair, Service, World } from "./world.ts";

/** Before each measurement, so that buffers and caches have their size. */
const WARM_UP_SECONDS = 1.5;
const IDLE_CONNECTIONS = 1_000;
const MANY_IDLE_CONNECTIONS = 5_000;
/** When memory is read after the connections have closed, seconds. */
const AFTER_CLOSE_S = [5, 30] as const;
/** How long a pair rests before its memory is read. */
const REST_MS = 1_500;
const COLD_STARTS = 3;
/** By then a client is up and trying. */
const CLIENT_START_MS = 200;

const Latency = z.object({ p50: z.number(), p99: z.number(), p999: z.number() });
const HttpLoad = z.object({ requests: z.number(), rps: z.number(), errors: z.number(), lat: Latency });
const ConnectLoad = z.object({ connections: z.number(), cps: z.number(), errors: z.number(), lat: Latency });
const BulkLoad = z.object({ bytes: z.number(), gbit: z.number() });

/** What a measurement works with. */
export type Bench = {
  readonly world: World;
  readonly peer: Peer | undefined;
  readonly seconds: number;
  /** The command line that valgrind begins with. */
  readonly valgrind: Command;
};

/** Runs one scenario. */
export async function measure(scenario: ScenarioName, bench: Bench): Promise<Figures> {
  switch (scenario) {
    case "rate":
      return http(bench, ["proto=h1", "conns=50", "rate=2000"]);
    case "rateh2":
      return http(bench, ["proto=h2", "conns=10", "streams=20", "rate=2000"]);
    case "rategrpc":
      return http(bench, ["proto=grpc", "conns=10", "streams=20", "rate=2000", "path=/bench.Echo/Unary"]);
    case "h1":
      return http(bench, ["proto=h1", "conns=50"]);
    case "h2":
      return http(bench, ["proto=h2", "conns=4", "streams=25"]);
    case "grpc":
      return http(bench, ["proto=grpc", "conns=4", "streams=25", "path=/bench.Echo/Unary"]);
    case "down":
    case "up":
      return bulk(bench, scenario);
    case "conn":
      return connections(bench);
    case "idle":
      return idle(bench, IDLE_CONNECTIONS);
    case "idle5k":
      return idle(bench, MANY_IDLE_CONNECTIONS);
    case "close":
      return closing(bench);
    case "cold":
      return cold(bench);
    case "instructions":
      return bench.peer === undefined ? {} : instructions(bench.world, bench.peer, bench.valgrind);
    case "policy":
      return policy(bench.world.programs.hpolicy, bench.valgrind);
  }
}

async function withPair<T>(
  { world, peer }: Bench,
  service: Service,
  use: (pair: Pair) => Promise<T>,
): Promise<T> {
  const pair = await world.startPair(peer, service);
  try {
    return await use(pair);
  } finally {
    await pair.stop();
  }
}

type Used = { readonly value: unknown; readonly cpu: Readonly<Record<string, number>> };

/** Warms up, then runs the load with the proxies' processor time over exactly that run. */
async function used({ world, seconds }: Bench, pair: Pair, words: readonly string[]): Promise<Used> {
  await world.load([...words, `secs=${WARM_UP_SECONDS}`]);
  const before = cpuSeconds(pair);
  const value = await world.load([...words, `secs=${seconds}`]);
  const after = cpuSeconds(pair);
  const cpu = Object.fromEntries([...after].map(([role, total]) => [role, total - (before.get(role) ?? 0)]));
  return { value, cpu };
}

function cpuSeconds(pair: Pair): ReadonlyMap<Role, number> {
  return new Map([...pair.proxies].map(([role, running]) => [role, running.cpuSeconds()]));
}

/** Processor time per thing done: of the pair, and of each end. None without proxies. */
function costs(cpu: Readonly<Record<string, number>>, done: number, name: string, scale: number): Figures {
  const entries = Object.entries(cpu);
  if (entries.length === 0 || done === 0) return {};
  const total = entries.reduce((sum, [, seconds]) => sum + seconds, 0);
  const ends = entries.map(([role, seconds]) => [`${name} ${role}`, (seconds / done) * scale] as const);
  return { [name]: (total / done) * scale, ...Object.fromEntries(ends) };
}

async function http(bench: Bench, load: readonly string[]): Promise<Figures> {
  const words = ["http", bench.world.target(bench.peer, "http"), `host=${AUTHORITY}`, ...load];
  return withPair(bench, "http", async (pair) => {
    const { value, cpu } = await used(bench, pair, words);
    const found = HttpLoad.parse(value);
    const { p50, p99, p999 } = found.lat;
    return {
      "requests/s": found.rps,
      "p50 µs": p50,
      "p99 µs": p99,
      "p999 µs": p999,
      errors: found.errors,
      ...costs(cpu, found.requests, "CPU µs/request", 1e6),
      ...memory(pair, "loaded"),
    };
  });
}

async function bulk(bench: Bench, direction: "down" | "up"): Promise<Figures> {
  const words = ["bulk", bench.world.target(bench.peer, "raw"), `dir=${direction}`];
  return withPair(bench, "raw", async (pair) => {
    const { value, cpu } = await used(bench, pair, words);
    const found = BulkLoad.parse(value);
    return { "Gbit/s": found.gbit, ...costs(cpu, found.bytes, "CPU s/GiB", 2 ** 30) };
  });
}

async function connections(bench: Bench): Promise<Figures> {
  const words = ["connect", bench.world.target(bench.peer, "raw"), "conc=16"];
  return withPair(bench, "raw", async (pair) => {
    const { value, cpu } = await used(bench, pair, words);
    const found = ConnectLoad.parse(value);
    const cost = costs(cpu, found.connections, "CPU µs/connection", 1e6);
    return {
      "connections/s": found.cps,
      "p50 µs": found.lat.p50,
      "p99 µs": found.lat.p99,
      errors: found.errors,
      ...cost,
    };
  });
}

function memory(pair: Pair, when: string): Figures {
  const entries = [...pair.proxies].flatMap(([role, running]) => {
    const { rss, anonymous } = running.memory();
    return [[`RSS MiB ${role} ${when}`, rss] as const, [`anonymous MiB ${role} ${when}`, anonymous] as const];
  });
  return Object.fromEntries(entries);
}

/** Memory of a pair by itself, and per idle connection. */
export async function idle(bench: Bench, connections: number): Promise<Figures> {
  const http1 = await withPair(bench, "http", async (pair) => holding(bench, pair, "http", connections));
  if (bench.peer === undefined || !bench.peer.scenarios.includes("conn")) return http1;
  const opaque = await withPair(bench, "raw", async (pair) => holding(bench, pair, "raw", connections));
  return { ...opaque, ...http1 };
}

/** Opens idle connections and waits until they are there. */
async function hold(
  { world, peer }: Bench,
  service: Service,
  connections: number,
  seconds: number,
): Promise<Running> {
  const proto = service === "raw" ? "tcp" : "h1";
  const words = ["idle", world.target(peer, service), `proto=${proto}`, `conns=${connections}`];
  const load = world.startLoad([...words, `host=${AUTHORITY}`, `secs=${seconds}`]);
  while (load.alive && !load.printed.includes("ready")) await sleep(20);
  return load;
}

/** What is still held of the growth of {@link IDLE_CONNECTIONS} connections, some time after they have closed. */
export async function closing(bench: Bench): Promise<Figures> {
  const service = bench.peer?.scenarios.includes("conn") === true ? "raw" : "http";
  return withPair(bench, service, async (pair) => {
    await sleep(REST_MS);
    const before = new Map([...pair.proxies].map(([role, running]) => [role, running.memory().rss]));
    const load = await hold(bench, service, IDLE_CONNECTIONS, 2);
    while (load.alive) await sleep(20);
    const figures: Record<string, number> = {};
    let waited = 0;
    for (const after of AFTER_CLOSE_S) {
      await sleep((after - waited) * 1_000);
      waited = after;
      for (const [role, running] of pair.proxies) {
        figures[`MiB kept ${role} ${after} s after`] = running.memory().rss - (before.get(role) ?? 0);
      }
    }
    return figures;
  });
}

async function holding(bench: Bench, pair: Pair, service: Service, connections: number): Promise<Figures> {
  await sleep(REST_MS);
  const before = new Map([...pair.proxies].map(([role, running]) => [role, running.memory().rss]));
  const base = memory(pair, "idle");
  const load = await hold(bench, service, connections, 4);
  try {
    await sleep(REST_MS);
    const grown = [...pair.proxies].map(([role, running]) => {
      const kibibytes = ((running.memory().rss - (before.get(role) ?? 0)) * 1024) / connections;
      return [`KiB/${service === "raw" ? "opaque mTLS" : "HTTP/1"} connection ${role}`, kibibytes] as const;
    });
    return { ...base, ...Object.fromEntries(grown) };
  } finally {
    await load.stop();
  }
}

/** From the outbound proxy's `execve` to its readiness, and to the first answer through it; the inbound one is up. */
async function cold(bench: Bench): Promise<Figures> {
  const { world, peer } = bench;
  if (peer === undefined) return {};
  return withPair(bench, "http", async (pair) => {
    await pair.proxies.get("outbound")?.stop();
    const ready: number[] = [];
    const first: number[] = [];
    for (let index = 0; index < COLD_STARTS; index += 1) {
      ready.push(await started(bench, peer, async () => world.readyFirst(peer, "outbound")));
      first.push(await started(bench, peer, async () => world.first(peer, "http")));
    }
    return {
      "ready ms": median(ready) ?? Number.NaN,
      "first answer ms": median(first) ?? Number.NaN,
      "slowest first answer ms": Math.max(...first),
    };
  });
}

/** The client waits before the proxy starts, so that its own start is not counted. */
async function started({ world }: Bench, peer: Peer, until: () => Promise<number>): Promise<number> {
  const arrived = until();
  arrived.catch(() => {}); // awaited below
  await sleep(CLIENT_START_MS);
  const { running } = world.startProxy(peer, "outbound", (command) => command);
  try {
    return ((await arrived) - execTime(running)) * 1e3;
  } finally {
    await running.stop();
  }
}
