/** A fleet of simulated proxies that connects to a fresh control plane all at once, and readers of it that stall. */
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { held } from "../attack/world.ts";
import type { Case, SuiteResult } from "../report.ts";

const CONTROLLER = join(import.meta.dirname, "..", "..", "mesh", "controller", "main.ts");
const SERVICES = 20;
const PODS_EACH = 25;
const PROCESSES = 2;
const CONVERGED_MS_MAX = 30_000;
const LOOK_MS_MAX = 60_000;
/** For 4500 streams and whatever V8 has not collected yet. */
const CONTROLLER_KIB_MAX = 512 * 1024;
const LOOK_AT_MEMORY_MS = 200;
/** Changes of every service while half of the fleet reads nothing. */
const CHANGES = 40;
const CHANGE_MS = 250;

const Word = z.object({
  version: z.number(),
  streams: z.number(),
  reconnects: z.number(),
  worstPauses: z.number(),
});
type Word = z.infer<typeof Word>;

/** Everything, with `proxies` in all. */
export async function storm(proxies: number): Promise<SuiteResult> {
  const dir = await mkdtemp(join(tmpdir(), "hb-storm-"));
  const fleet = await Fleet.start(dir, proxies);
  try {
    const cases = [...(await fleet.arrives()), ...(await fleet.stalls()), ...(await fleet.losesController())];
    return { suite: "storm", usual: () => "holds", never: [], least: 6, cases };
  } finally {
    await fleet.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Objects of the world; every service has one endpoint whose address says the version. */
function objects(version: number): string {
  const all: object[] = [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "prod" } }];
  for (let nth = 0; nth < SERVICES; nth += 1) {
    const app = `svc-${nth}`;
    const [metadata, ports] = [{ name: app, namespace: "prod" }, [{ port: 8080, targetPort: 8080 }]];
    all.push({ apiVersion: "v1", kind: "Service", metadata, spec: { selector: { app }, ports } });
    for (let of = 0; of < PODS_EACH; of += 1) {
      const index = of * SERVICES + nth;
      const podIP = of === 0 ? `10.1.${version}.${nth + 1}` : `10.${2 + (index >> 8)}.0.${index & 0xff}`;
      all.push(pod({ name: `pod-${index}`, app, podIP }));
    }
  }
  return all.map((one) => JSON.stringify(one)).join("\n---\n");
}

function pod({
  name,
  app,
  podIP,
}: {
  readonly name: string;
  readonly app: string;
  readonly podIP: string;
}): object {
  const labels = { app, "linkerd.io/control-plane-ns": "linkerd" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "prod", uid: name, labels },
    spec: { serviceAccountName: "default", containers: [{ name: "app", ports: [{ containerPort: 8080 }] }] },
    status: { podIP, conditions: [{ type: "Ready", status: "True" }] },
  };
}

/** A port that was free just now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = z.object({ port: z.number() }).parse(server.address());
  server.close();
  await once(server, "close");
  return port;
}

class Fleet {
  readonly #dir: string;
  readonly #proxies: number;
  readonly #ports: { readonly destination: number; readonly policy: number };
  #controller: ChildProcess;
  #children: readonly ChildProcess[] = [];
  #version = 1;
  #kibMax = 0;
  readonly #watch: NodeJS.Timeout;

  private constructor(dir: string, proxies: number, ports: { destination: number; policy: number }) {
    this.#dir = dir;
    this.#proxies = proxies;
    this.#ports = ports;
    this.#controller = this.#launch();
    this.#watch = setInterval(() => this.#weigh(), LOOK_AT_MEMORY_MS);
  }

  static async start(dir: string, proxies: number): Promise<Fleet> {
    await write(dir, 1);
    return new Fleet(dir, proxies, { destination: await freePort(), policy: await freePort() });
  }

  async close(): Promise<void> {
    clearInterval(this.#watch);
    for (const child of this.#children) child.kill("SIGKILL");
    this.#controller.kill("SIGKILL");
    if (this.#controller.exitCode === null && this.#controller.signalCode === null)
      await once(this.#controller, "exit");
  }

  /** All of them at once, while the control plane is still starting. */
  async arrives(): Promise<readonly Case[]> {
    const each = this.#proxies / PROCESSES;
    const began = performance.now();
    this.#children = Array.from({ length: PROCESSES }, (_, nth) => {
      const order = { proxies: each, first: nth * each, services: SERVICES, ...this.#ports };
      return fork(join(import.meta.dirname, "proxies.ts"), [JSON.stringify(order)]);
    });
    const words = await this.#converge(this.#children);
    return this.#judge(`${this.#proxies} proxies arrive`, began, words);
  }

  /** Half of them stop reading, everything changes meanwhile, and then they read again. */
  async stalls(): Promise<readonly Case[]> {
    const [live, stalled] = this.#children;
    if (live === undefined || stalled === undefined) throw new Error("the fleet is not there");
    stalled.kill("SIGSTOP");
    for (let change = 0; change < CHANGES; change += 1) {
      await write(this.#dir, (this.#version += 1));
      await sleep(CHANGE_MS);
    }
    const began = performance.now();
    const others = this.#judge("half of them stall: the others", began, await this.#converge([live]));
    const thawed = performance.now();
    stalled.kill("SIGCONT");
    return [
      ...others,
      ...this.#judge("half of them stall: those again", thawed, await this.#converge([stalled])),
    ];
  }

  /** The control plane is killed, starts anew with other objects, and all come back at once. */
  async losesController(): Promise<readonly Case[]> {
    this.#controller.kill("SIGKILL");
    await once(this.#controller, "exit");
    await write(this.#dir, (this.#version += 1));
    const began = performance.now();
    this.#controller = this.#launch();
    return this.#judge("the control plane starts anew", began, await this.#converge(this.#children));
  }

  #judge(name: string, began: number, words: readonly Word[] | undefined): readonly Case[] {
    const ms = Math.round(performance.now() - began);
    const detail = words
      ?.map(
        (word) =>
          `${word.streams} streams, ${word.reconnects} reconnects, at most ${word.worstPauses} in a row`,
      )
      .join("; ");
    return [
      {
        name: `${name}: converged`,
        outcome: words !== undefined && ms <= CONVERGED_MS_MAX ? "holds" : "late",
        detail: `after ${ms} ms; ${detail ?? "not all of them"}`,
      },
      {
        name: `${name}: the control plane is bounded`,
        outcome: this.#kibMax <= CONTROLLER_KIB_MAX ? "holds" : "grew",
        detail: `at most ${Math.round(this.#kibMax / 1_024)} MiB`,
      },
    ];
  }

  /** Every child's word that all of its streams have seen the present version. */
  async #converge(children: readonly ChildProcess[]): Promise<readonly Word[] | undefined> {
    const version = this.#version;
    const signal = AbortSignal.timeout(LOOK_MS_MAX);
    try {
      return await Promise.all(
        children.map(async (child) => {
          const heard = once(child, "message", { signal });
          child.send({ version });
          return Word.parse((await heard)[0]);
        }),
      );
    } catch {
      return undefined;
    }
  }

  #weigh(): void {
    const { pid } = this.#controller;
    if (pid === undefined) return;
    try {
      const { kib } = held(pid);
      if (kib > this.#kibMax) this.#kibMax = kib;
    } catch {
      // It has ended, or is ending.
    }
  }

  #launch(): ChildProcess {
    const { destination, policy } = this.#ports;
    const listen = [
      ["destination", destination],
      ["policy", policy],
      ["identity", 0],
      ["admin", 0],
    ].flatMap(([role, port]) => [`--${role}-listen`, `127.0.0.1:${port}`]);
    return spawn(process.execPath, [CONTROLLER, "--manifests", this.#dir, ...listen], {
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
}

async function write(dir: string, version: number): Promise<void> {
  await writeFile(join(dir, ".world"), objects(version));
  await rename(join(dir, ".world"), join(dir, "world.yaml"));
}
