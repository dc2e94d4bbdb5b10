/** Instructions, counted by callgrind: of requests through a pair, and of policy evaluation by itself. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { summary } from "./callgrind.ts";
import type { Role } from "./certificates.ts";
import { AUTHORITY } from "./peer.ts";
import type { Peer } from "./peer.ts";
import type { Figures } from "./results.ts";
import { output } from "./running.ts";
import type { Command } from "./sandbox.ts";
import type { World } from "./world.ts";

/** Requests of the two runs whose difference counts: start-up and handshake cancel out, but for a few thousand. */
const COUNTED = { less: 200, more: 2_200 } as const;
const VALGRIND_END_MS = 30_000;
/** Evaluations of the two runs whose difference counts: building the tables cancels out. */
const EVALUATED = { less: 1_000, more: 3_000 } as const;

/** What policy evaluation is counted of, and at which sizes. */
export const POLICY_SIZES = [10, 100, 1_000, 10_000] as const;
const POLICIES = { routes: "HTTP route", calls: "gRPC route", endpoints: "endpoint" } as const;

const Load = z.object({ errors: z.number() });

/** What is sent to be counted: one request after the other on one connection. */
export const COUNTED_LOADS = {
  "HTTP/1.1": ["proto=h1"],
  gRPC: ["proto=grpc", "path=/bench.Echo/Unary"],
} as const satisfies Readonly<Record<string, readonly string[]>>;
export type CountedLoad = keyof typeof COUNTED_LOADS;

/** The beginning of a command line that counts into `file` (`%p`: the process). */
function counting(valgrind: Command, file: string): Command {
  return [...valgrind, "--tool=callgrind", "--vgdb=no", `--callgrind-out-file=${file}`];
}

/** User instructions per request, of each end. */
export async function perRequest(
  world: World,
  peer: Peer,
  valgrind: Command,
  load: CountedLoad,
): Promise<ReadonlyMap<Role, number>> {
  const less = await counted(world, peer, valgrind, { load, requests: COUNTED.less });
  const more = await counted(world, peer, valgrind, { load, requests: COUNTED.more });
  const each = [...more].map(([role, total]): [Role, number] => [
    role,
    (total - (less.get(role) ?? 0)) / (COUNTED.more - COUNTED.less),
  ]);
  return new Map(each);
}

/** As figures of the benchmark. */
export async function instructions(world: World, peer: Peer, valgrind: Command): Promise<Figures> {
  const figures: Record<string, number> = {};
  for (const load of ["HTTP/1.1", "gRPC"] as const) {
    if (load === "gRPC" && !peer.scenarios.includes("grpc")) continue;
    const ends = await perRequest(world, peer, valgrind, load);
    const name = `instructions/request ${load}`;
    figures[name] = [...ends.values()].reduce((sum, one) => sum + one, 0);
    for (const [role, count] of ends) figures[`${name} ${role}`] = count;
  }
  return figures;
}

type Run = { readonly load: CountedLoad; readonly requests: number };

/** Instructions of each end in user mode over its whole life. */
async function counted(
  world: World,
  peer: Peer,
  valgrind: Command,
  { load, requests }: Run,
): Promise<ReadonlyMap<Role, number>> {
  // A child that the proxy forks writes its own.
  const file = (role: Role, pid: string): string =>
    join(world.proxyFolder(peer, role), `callgrind-${requests}.${pid}`);
  const pair = await world.startPair(peer, "http", (role, command) => [
    ...counting(valgrind, file(role, "%p")),
    ...command,
  ]);
  const pids = new Map([...pair.proxies].map(([role, running]) => [role, running.pid]));
  try {
    const words = ["http", world.target(peer, "http"), `host=${AUTHORITY}`, "conns=1"];
    const found = Load.parse(await world.load([...words, `requests=${requests}`, ...COUNTED_LOADS[load]]));
    if (found.errors > 0) throw new Error(`${found.errors} requests failed`);
  } finally {
    await pair.stop(VALGRIND_END_MS);
  }
  const totals = [...pids].map(
    ([role, pid]) => [role, summary(readFileSync(file(role, String(pid)), "utf8"))] as const,
  );
  return new Map(totals);
}

/** What one evaluation costs at each size: a route found for a request, an endpoint chosen and given back. */
export async function policy(program: string, valgrind: Command): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "hauberk-policy-"));
  try {
    const figures: Record<string, number> = {};
    for (const [what, name] of Object.entries(POLICIES)) {
      for (const size of POLICY_SIZES) {
        const total = async (times: number): Promise<number> => {
          const file = join(folder, `${what}-${size}-${times}`);
          await output([...counting(valgrind, file), program, what, String(size), String(times)]);
          return summary(readFileSync(file, "utf8"));
        };
        const difference = (await total(EVALUATED.more)) - (await total(EVALUATED.less));
        figures[`instructions/${name}, of ${size}`] = difference / (EVALUATED.more - EVALUATED.less);
      }
    }
    return figures;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
