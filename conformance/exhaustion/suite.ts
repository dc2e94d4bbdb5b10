/** Memory, processes and the disk run out under traffic, and come back (G17). */
import { Group, type Resource } from "./group.ts";
import { Disk } from "./disk.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { program, victims, type Served } from "../attack/victims.ts";
import { World } from "../attack/world.ts";
import { act } from "../chaos/runtime.ts";
import { until } from "../mesh/mesh.ts";
import { AppPort } from "../mesh/ports.ts";
import type { Case, SuiteResult } from "../report.ts";
import { limitedProxies } from "./wrapper.ts";

/** After the pressure is gone, everything must be answered from then on. */
const RECOVERED_MS_MAX = 5_000;
const RECOVERY_LOOK_MS_MAX = 30_000;
const MEMORY_FACTOR = 1.5;
const READERS = 600;
const READERS_S = 4;
/** Fewer threads than a proxy starts with, which are two: it must say so and end. */
const THREADS_FEW = 1;
const WITHOUT_THREADS_MS = 2_500;
const FULL_S = 4;
const POD = "server-0";
const SERVER = "servers.servers.serviceaccount.";

interface Scene {
  readonly name: string;
  /** Makes the resource scarce under traffic; what the clients saw meanwhile. */
  readonly press: (stage: Stage) => Promise<readonly Served[]>;
  readonly release: (stage: Stage) => Promise<void>;
  /** Share of the requests meanwhile that must be answered. */
  readonly answeredMin: number;
}

interface Stage {
  readonly world: World;
  readonly groups: Readonly<Record<Resource, Group>>;
  readonly disk: Disk;
}

const SCENES: readonly Scene[] = [
  {
    name: "memory",
    answeredMin: 0,
    press: async ({ world, groups }) => {
      await groups.memory.limit(Math.ceil((await groups.memory.current()) * MEMORY_FACTOR));
      const host = await world.mesh.ip(POD);
      const order = { kind: "read", host, port: AppPort.http, connections: READERS, seconds: READERS_S };
      const readers = program(world.outside, "slow.ts", order);
      const served = await victims(world, READERS_S);
      await readers;
      return served;
    },
    release: ({ groups }) => groups.memory.limit(undefined),
  },
  {
    name: "threads",
    answeredMin: 1,
    press: async ({ world, groups }) => {
      // No thread more than there are: what is needed was made at the start.
      await groups.pids.limit(await groups.pids.current());
      return victims(world, READERS_S / 2);
    },
    release: ({ groups }) => groups.pids.limit(undefined),
  },
  {
    name: "start without threads",
    answeredMin: 0,
    press: async ({ world, groups }) => {
      await groups.pids.limit(THREADS_FEW);
      const served = victims(world, WITHOUT_THREADS_MS / 1_000);
      process.kill(await world.mesh.proxyPid(POD), "SIGKILL");
      return served;
    },
    release: ({ groups }) => groups.pids.limit(undefined),
  },
  {
    name: "full disk",
    answeredMin: 1,
    press: async ({ world, disk }) => {
      await disk.fill();
      return victims(world, FULL_S);
    },
    release: ({ disk }) => disk.free(),
  },
  {
    name: "full disk, everything starts again",
    answeredMin: 0,
    press: async ({ world, disk }) => {
      await disk.fill();
      const served = victims(world, FULL_S);
      await act(world.mesh, "/control-plane", { act: "halt" });
      await act(world.mesh, "/control-plane", { act: "resume" });
      process.kill(await world.mesh.proxyPid(POD), "SIGKILL");
      return served;
    },
    release: ({ disk }) => disk.free(),
  },
];

/** Every scene in one world, whose whole state is on one small disk. */
export async function exhaustion(only: readonly string[]): Promise<SuiteResult> {
  const scenes = SCENES.filter(({ name }) => only.length === 0 || only.includes(name));
  const [disk, groups] = [await Disk.mount(), await makeGroups()];
  try {
    const world = await disk.within(() =>
      limitedProxies(disk.dir, { identity: SERVER, groups: Object.values(groups) }, () => World.start()),
    );
    try {
      await victims(world, 2);
      const cases: Case[] = [];
      for (const scene of scenes) cases.push(...(await play(scene, { world, groups, disk })));
      cases.push(await late({ world, groups, disk }), await whole(world));
      return { suite: "exhaustion", usual: () => "holds", never: [], least: scenes.length * 2 + 2, cases };
    } finally {
      await disk.free();
      await world.close();
    }
  } finally {
    await disk.unmount();
    for (const group of Object.values(groups)) await group.remove();
  }
}

async function makeGroups(): Promise<Readonly<Record<Resource, Group>>> {
  const name = `hauberk-exhaustion-${process.pid}`;
  return { memory: await Group.make("memory", name), pids: await Group.make("pids", name) };
}

function told(served: readonly Served[]): string {
  return served
    .map(({ answered, asked, errors }) => `${answered} of ${asked} ${JSON.stringify(errors)}`)
    .join("; ");
}

async function play(scene: Scene, stage: Stage): Promise<readonly Case[]> {
  const before = await stage.world.mesh.proxyPid(POD);
  const served = await scene.press(stage);
  const [asked, answered] = served.reduce(
    ([one, other], victim) => [one + victim.asked, other + victim.answered],
    [0, 0],
  );
  await scene.release(stage);
  const began = performance.now();
  let recoveredMs = Number.POSITIVE_INFINITY;
  await until(
    `${scene.name}: everything is answered again`,
    async () => {
      const since = performance.now() - began;
      const again = await victims(stage.world, 0.5);
      if (again.some((one) => one.answered < one.asked)) return false;
      recoveredMs = Math.round(since);
      return true;
    },
    RECOVERY_LOOK_MS_MAX,
  ).catch(() => undefined);
  const after = await stage.world.mesh.proxyPid(POD).catch(() => 0);
  const life = after === before ? "the same process" : "started again";
  return [
    {
      name: `${scene.name}: ${scene.answeredMin === 0 ? "ends or answers" : "everything is answered"}`,
      outcome: answered >= asked * scene.answeredMin && after !== 0 ? "holds" : "failed",
      detail: `${told(served)}; ${life}`,
    },
    {
      name: `${scene.name}: recovers unaided`,
      outcome: recoveredMs <= RECOVERED_MS_MAX ? "holds" : "late",
      detail: `after ${recoveredMs} ms`,
    },
  ];
}

/** A pod that leaves while nothing can be written: the control plane must hear of it when something can. */
async function late({ world, disk }: Stage): Promise<Case> {
  const file = join(world.mesh.state, "objects", "servers_server-0.json");
  await disk.fill();
  await act(world.mesh, "/pods/servers/server-0", { act: "halt" });
  await sleep(1_000);
  const before = isReady(await readFile(file, "utf8"));
  await disk.free();
  const heard = await until(
    "the object is written",
    async () => !isReady(await readFile(file, "utf8")),
    RECOVERED_MS_MAX,
  )
    .then(() => true)
    .catch(() => false);
  await act(world.mesh, "/pods/servers/server-0", { act: "resume" });
  return {
    name: "full disk, a pod leaves: it is written down when there is room",
    outcome: heard ? "holds" : "stale",
    detail: before ? "stood as ready while the disk was full" : "was written down on the full disk",
  };
}

/** What is on the disk must be whole: every object of a pod parses, and is as the pod is. */
async function whole(world: World): Promise<Case> {
  const dir = join(world.mesh.state, "objects");
  await sleep(RECOVERED_MS_MAX);
  const names = (await readdir(dir)).filter((name) => name.endsWith(".json"));
  const broken: string[] = [];
  for (const name of names) {
    const text = await readFile(join(dir, name), "utf8");
    if (!isReady(text)) broken.push(name);
  }
  return {
    name: "the state on disk is whole",
    outcome: broken.length === 0 && names.length > 0 ? "holds" : "corrupt",
    detail: `${names.length} objects, broken or late: ${broken.join(" ")}`,
  };
}

function isReady(text: string): boolean {
  try {
    JSON.parse(text);
    return /"type":"Ready","status":"True"/.test(text);
  } catch {
    return false;
  }
}
