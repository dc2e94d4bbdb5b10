/** Backends that are killed, halted and frozen, and a control plane that is gone, under a constant load (G10 to G12). */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { host, TestMesh, until } from "../mesh/mesh.ts";
import { namespace, service, statefulSet } from "../mesh/objects.ts";
import type { Case, SuiteResult } from "../report.ts";
import { act, call } from "./runtime.ts";

const CALLERS = "callers";
const SERVERS = "backends";
const PORT = 8080;
const REPLICAS = 3;
const CALLER = "caller-0";
const IDEMPOTENT_RATE = 100;
const OTHER_RATE = 30;
const RUN_MS_MAX = 2_400_000;
/** Time for a load to be under way before anything happens. */
const BEFORE_MS = 2_000;
const DOWN_MS = 1_500;
const BETWEEN_MS = 1_500;
/** Within this a pod that was hurt must be ready again before the next one is hurt. */
const READY_MS_MAX = 30_000;

const Loaded = z.object({
  asked: z.number(),
  answered: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  worstMs: z.number(),
  errors: z.record(z.string(), z.number()),
  failed: z.array(z.string()),
});
type Loaded = z.infer<typeof Loaded>;
const Status = z.object({ pods: z.array(z.object({ name: z.string(), ready: z.boolean() })) });

/** What is done while the load goes on. */
interface Scene {
  readonly name: string;
  readonly seconds: number;
  readonly act: (chaos: Chaos) => Promise<void>;
  /** Requests without idempotence that may fail: those in flight at a backend that is hurt. */
  readonly othersFailedMax: number;
}

/** Every scene; `outageS` is how long the control plane is gone. */
export async function chaos(outageS: number, only: readonly string[]): Promise<SuiteResult> {
  const chaos = await Chaos.start();
  const scenes = scenesOf(outageS).filter(({ name }) => only.length === 0 || only.includes(name));
  try {
    const cases: Case[] = [];
    for (const [index, scene] of scenes.entries()) cases.push(...(await chaos.play(scene, index)));
    return { suite: "chaos", usual: () => "holds", never: ["duplicated"], least: scenes.length * 3, cases };
  } finally {
    await chaos.close();
  }
}

function scenesOf(outageS: number): readonly Scene[] {
  const rolling = (wish: object, back?: object) => async (chaos: Chaos) => {
    for (let nth = 0; nth < REPLICAS; nth += 1) {
      await chaos.act(`backend-${nth}`, wish);
      if (back !== undefined) {
        await sleep(DOWN_MS);
        await chaos.act(`backend-${nth}`, back);
      }
      await sleep(BETWEEN_MS);
      await chaos.ready();
    }
  };
  // At most as many as one backend can have in its hands when it ends, with a machine that is busy.
  const inFlight = Math.ceil(OTHER_RATE / 3);
  return [
    { name: "nothing", seconds: 4, act: async () => undefined, othersFailedMax: 0 },
    {
      name: "rolling-halt",
      seconds: 22,
      act: rolling({ act: "halt" }, { act: "resume" }),
      othersFailedMax: REPLICAS * inFlight,
    },
    {
      name: "rolling-kill",
      seconds: 22,
      act: rolling({ act: "kill", downMs: DOWN_MS }),
      othersFailedMax: REPLICAS * inFlight,
    },
    {
      name: "freeze",
      seconds: 16,
      act: async (chaos) => {
        await chaos.act("backend-0", { act: "freeze" });
        await sleep(8_000);
        await chaos.act("backend-0", { act: "thaw" });
      },
      // A request that was given to the frozen backend is answered when it thaws, if its client still waits.
      othersFailedMax: 2 * inFlight,
    },
    {
      name: "no-control-plane",
      seconds: outageS + 6,
      act: async (chaos) => {
        await chaos.controlPlane({ act: "halt" });
        await sleep(outageS * 1_000);
        const first = await chaos.load("quiet", "GET", { rate: 5, seconds: 1, name: "first" });
        await chaos.controlPlane({ act: "resume" });
        if (first.answered !== first.asked)
          throw new Error(`first requests to a known, idle service failed: ${JSON.stringify(first.errors)}`);
      },
      othersFailedMax: 0,
    },
  ];
}

function told({ answered, asked, p99Ms, worstMs, errors }: Loaded): string {
  return `${answered} of ${asked}, p99 ${p99Ms} ms, worst ${worstMs} ms ${JSON.stringify(errors)}`;
}

class Chaos {
  readonly #mesh: TestMesh;
  readonly #dir: string;

  private constructor(mesh: TestMesh, dir: string) {
    this.#mesh = mesh;
    this.#dir = dir;
  }

  static async start(): Promise<Chaos> {
    const dir = await mkdtemp(join(tmpdir(), "hb-chaos-"));
    const program = join(import.meta.dirname, "backend.ts");
    const container = {
      name: "app",
      command: [process.execPath, program, String(PORT), join(dir, "$(HOSTNAME).notes")],
      ports: [{ containerPort: PORT }],
      readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1 },
    };
    const set = { name: "backend", namespace: SERVERS, replicas: REPLICAS, containers: [container] };
    const mesh = await TestMesh.start({
      clients: [{ name: "caller", namespace: CALLERS }],
      servers: [],
      more: [
        ...namespace(CALLERS, { isMeshed: true }),
        ...namespace(SERVERS, { isMeshed: true }),
        statefulSet(set),
        service("backend", SERVERS, { app: "backend", ports: [PORT] }),
        service("quiet", SERVERS, { app: "backend", ports: [PORT] }),
      ],
    });
    const chaos = new Chaos(mesh, dir);
    await chaos.ready();
    // Known from now on, and not asked again until the control plane is gone.
    await chaos.load("quiet", "GET", { rate: 2, seconds: 1, name: "known" });
    return chaos;
  }

  async close(): Promise<void> {
    await this.#mesh.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  act(pod: string, wish: object): Promise<void> {
    return act(this.#mesh, `/pods/${SERVERS}/${pod}`, wish);
  }

  controlPlane(wish: object): Promise<void> {
    return act(this.#mesh, "/control-plane", wish);
  }

  /** Waits until every backend is ready. */
  async ready(): Promise<void> {
    await until(
      "the backends are ready",
      async () => {
        const { pods } = Status.parse(JSON.parse(await call(this.#mesh, "GET", "/status")));
        return pods.filter(({ name, ready }) => name.startsWith("backend-") && ready).length === REPLICAS;
      },
      READY_MS_MAX,
    );
  }

  async load(
    to: string,
    method: "GET" | "POST",
    how: { readonly rate: number; readonly seconds: number; readonly name: string },
  ): Promise<Loaded> {
    const order = { origin: `http://${host(to, SERVERS)}:${PORT}`, method, ...how };
    const words = [join(import.meta.dirname, "load.ts"), JSON.stringify(order)];
    const ran = await this.#mesh.place(CALLER).run(process.execPath, words, RUN_MS_MAX);
    if (ran.code !== 0) throw new Error(`the load ended with ${ran.code}: ${ran.stderr || ran.reason}`);
    return Loaded.parse(JSON.parse(ran.stdout));
  }

  /** Plays a scene under load, and judges what the clients and the backends saw. */
  async play(scene: Scene, index: number): Promise<readonly Case[]> {
    const { seconds } = scene;
    const load = Promise.all([
      this.load("backend", "GET", { rate: IDEMPOTENT_RATE, seconds, name: `get-${index}` }),
      this.load("backend", "POST", { rate: OTHER_RATE, seconds, name: `post-${index}` }),
    ]);
    const acted = (async (): Promise<void> => {
      await sleep(BEFORE_MS);
      await scene.act(this);
    })();
    acted.catch(() => undefined);
    const [idempotent, others] = await load;
    await acted;
    await this.ready();
    const served = await this.#served(`post-${index}-`);
    const twice = [...served].filter(([, times]) => times > 1).map(([id]) => id);
    return [
      {
        name: `${scene.name}: every idempotent request is answered`,
        outcome: idempotent.failed.length === 0 ? "holds" : "failed",
        detail: told(idempotent),
      },
      {
        name: `${scene.name}: of the others at most those in flight fail`,
        outcome: others.failed.length <= scene.othersFailedMax ? "holds" : "failed",
        detail: told(others),
      },
      {
        name: `${scene.name}: no other request is served twice`,
        outcome: twice.length === 0 ? "holds" : "duplicated",
        detail: `${served.size} served${twice.length === 0 ? "" : `, twice: ${twice.slice(0, 5).join(" ")}`}`,
      },
    ];
  }

  /** How often each id was served. */
  async #served(prefix: string): Promise<ReadonlyMap<string, number>> {
    const files = Array.from({ length: REPLICAS }, (_, nth) => join(this.#dir, `backend-${nth}.notes`));
    const notes = (await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")))).join("");
    const times = new Map<string, number>();
    for (const id of notes.split("\n")) if (id.startsWith(prefix)) times.set(id, (times.get(id) ?? 0) + 1);
    return times;
  }
}
