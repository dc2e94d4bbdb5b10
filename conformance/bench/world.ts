/** Two pods, the backend in one, the load in the other, and a pair of proxies that comes and goes. */

import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { certify } from "./certificates.ts";
import type { AuthorityFiles, Certified, Role } from "./certificates.ts";
import { Address, AUTHORITY, PROXY_UID } from "./peer.ts";
import type { Launch, Peer, Place } from "./peer.ts";
import { output, Running } from "./running.ts";
import { Sandbox } from "./sandbox.ts";
import type { Command, Pod } from "./sandbox.ts";

/** Programs of ours. */
export type Programs = {
  readonly sandbox: string;
  readonly hload: string;
  readonly hserve: string;
  readonly hpolicy: string;
};

/** How processes are scheduled: as all others, or before all others (SCHED_RR). */
export type Scheduling = "none" | "rr";

/** Which service the pair carries: peers without an original destination have other ports for the opaque one. */
export type Service = "http" | "raw";

const READY_MS_MAX = 30_000;
const POLL_MS = 5;
const IDENTITIES = {
  outbound: "client.bench.serviceaccount.identity.linkerd.cluster.local",
  inbound: "server.bench.serviceaccount.identity.linkerd.cluster.local",
} as const;

/** A pair that runs, and what runs beside it; nothing for direct connections. */
export class Pair {
  readonly proxies = new Map<Role, Running>();
  readonly beside: Running[] = [];

  /** Ends all of it; each proxy has `waitMs` to end by itself. */
  async stop(waitMs?: number): Promise<void> {
    for (const running of [...this.proxies.values(), ...this.beside]) await running.stop(waitMs);
  }
}

/** Where the benchmark happens. */
export class World {
  readonly programs: Programs;
  readonly #sandbox: Sandbox;
  readonly #scheduling: Scheduling;
  readonly #folder: string;
  readonly #certified: Readonly<Record<Role, Certified>>;
  readonly #authority: AuthorityFiles;
  readonly #pods: Readonly<Record<Role, Pod>>;
  #backend: Running | undefined;

  private constructor(
    programs: Programs,
    sandbox: Sandbox,
    scheduling: Scheduling,
    pods: Readonly<Record<Role, Pod>>,
  ) {
    this.programs = programs;
    this.#sandbox = sandbox;
    this.#scheduling = scheduling;
    this.#pods = pods;
    this.#folder = mkdtempSync(join(tmpdir(), "hauberk-bench-"));
    chmodSync(this.#folder, 0o755);
    const { ends, authority } = certify(this.#folder, IDENTITIES, PROXY_UID);
    this.#certified = ends;
    this.#authority = authority;
  }

  static async open(programs: Programs, scheduling: Scheduling): Promise<World> {
    const sandbox = await Sandbox.start(programs.sandbox);
    const outbound = await sandbox.addPod("client", Address.client);
    const inbound = await sandbox.addPod("server", Address.server);
    const world = new World(programs, sandbox, scheduling, { outbound, inbound });
    const backend: Command = [programs.hserve, `0.0.0.0:${Address.httpPort}`, `0.0.0.0:${Address.rawPort}`];
    world.#backend = world.#start("inbound", "hserve", backend);
    await world.load(["first", `${Address.server}:${Address.httpPort}`]);
    return world;
  }

  async close(): Promise<void> {
    await this.#backend?.stop();
    await this.#sandbox.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Where the load goes: to the pod itself without proxies, to the cluster address with. */
  target(peer: Peer | undefined, service: Service): string {
    const port = service === "http" ? Address.httpPort : Address.rawPort;
    return `${peer === undefined ? Address.server : Address.cluster}:${port}`;
  }

  /** Starts a pair and waits until it carries an exchange. `wrap` may put another program before the proxies. */
  async startPair(
    peer: Peer | undefined,
    service: Service,
    wrap: (role: Role, command: Command) => Command = (_, command) => command,
  ): Promise<Pair> {
    await this.redirect(peer, service);
    const pair = new Pair();
    if (peer === undefined) return pair;
    try {
      for (const role of ["inbound", "outbound"] as const) await this.#startBeside(peer, role, pair);
      for (const role of ["inbound", "outbound"] as const) {
        const { running, launch } = this.startProxy(peer, role, (command) => wrap(role, command));
        pair.proxies.set(role, running);
        await this.ready(role, running, launch);
      }
      await this.first(peer, service);
    } catch (error) {
      await pair.stop();
      const logs = [...pair.proxies.values(), ...pair.beside].map((running) =>
        running.printed.trimEnd().split("\n"),
      );
      const ends = logs.map((lines) => lines.slice(-3).join(" | "));
      throw new Error(`${peer.name} did not start: ${ends.join("; ")}`, { cause: error });
    }
    return pair;
  }

  async #startBeside(peer: Peer, role: Role, pair: Pair): Promise<void> {
    const launch = peer.beside?.(this.#place(peer, role));
    if (launch === undefined) return;
    this.#write(launch);
    const command = this.#sandbox.inside(this.#pods[role], launch.command, PROXY_UID);
    const env = { ...process.env, ...launch.env };
    const running = Running.start(command, join(this.#folder, `${peer.name}-beside-${role}.log`), env);
    pair.beside.push(running);
    await this.ready(role, running, launch);
  }

  #place(peer: Peer, role: Role): Place {
    const peerIdentity = IDENTITIES[role === "outbound" ? "inbound" : "outbound"];
    const folder = this.proxyFolder(peer, role);
    return { role, folder, certified: this.#certified[role], peerIdentity, authority: this.#authority };
  }

  #write(launch: Launch): void {
    for (const [path, text] of Object.entries(launch.files ?? {})) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      chownSync(path, PROXY_UID, PROXY_UID);
    }
  }

  /** Starts one proxy; its log begins with the time of its `execve`. */
  startProxy(
    peer: Peer,
    role: Role,
    wrap: (command: Command) => Command,
  ): { running: Running; launch: Launch } {
    const launch = peer.launch(this.#place(peer, role));
    this.#write(launch);
    const stamped: Command = [this.programs.hload, "stamp", ...wrap(launch.command)];
    const running = this.#start(role, `${peer.name}-${role}`, stamped, {
      uid: PROXY_UID,
      env: launch.env ?? {},
    });
    return { running, launch };
  }

  /** A folder that this proxy may write to. */
  proxyFolder(peer: Peer, role: Role): string {
    const folder = join(this.#folder, `${peer.name}-${role}`);
    mkdirSync(folder, { recursive: true });
    chownSync(folder, PROXY_UID, PROXY_UID);
    return folder;
  }

  /** Waits until the proxy listens, or says that it is ready; throws as soon as it ends. */
  async ready(role: Role, running: Running, launch: Launch): Promise<number> {
    const watch = new AbortController();
    const died = (async (): Promise<never> => {
      while (running.alive) await sleep(POLL_MS, undefined, { signal: watch.signal });
      throw new Error("it ended");
    })();
    died.catch(() => {});
    try {
      return await Promise.race([this.#probeReady(role, launch), died]);
    } finally {
      watch.abort();
    }
  }

  /** The same for a proxy that is yet to start. */
  async readyFirst(peer: Peer, role: Role): Promise<number> {
    return this.#probeReady(role, peer.launch(this.#place(peer, role)));
  }

  async #probeReady(role: Role, { ready }: Launch): Promise<number> {
    const what = ready.path === undefined ? ["proto=connect"] : [`path=${ready.path}`];
    const words = ["first", `127.0.0.1:${ready.port}`, ...what, `timeout=${READY_MS_MAX / 1000}`];
    const text = await output(this.#inside(role, [this.programs.hload, ...words]));
    return First.parse(JSON.parse(text)).at;
  }

  /** The time of the first exchange through the pair. */
  async first(peer: Peer, service: Service): Promise<number> {
    const proto = service === "raw" ? ["proto=tcp"] : [];
    const words = [
      "first",
      this.target(peer, service),
      ...proto,
      `host=${AUTHORITY}`,
      `timeout=${READY_MS_MAX / 1000}`,
    ];
    return First.parse(await this.load(words)).at;
  }

  /** Sends the traffic of both pods to the proxies, or to nobody. */
  async redirect(peer: Peer | undefined, service: Service): Promise<void> {
    if (peer === undefined) {
      for (const pod of Object.values(this.#pods)) await output(this.#sandbox.redirection(pod, ["--remove"]));
      return;
    }
    const raw = service === "raw" ? peer.rawPorts : undefined;
    const flags = [
      `--outgoing-proxy-port=${raw?.outbound ?? Address.outboundPort}`,
      `--incoming-proxy-port=${raw?.inbound ?? Address.inboundPort}`,
      `--proxy-uid=${PROXY_UID}`,
      "--inbound-ports-to-ignore=4190,4191",
    ];
    for (const pod of Object.values(this.#pods)) await output(this.#sandbox.redirection(pod, flags));
  }

  /** Runs the load generator beside the client to its end; the last line it prints. */
  async load(words: readonly string[]): Promise<unknown> {
    const text = await output(this.#inside("outbound", [this.programs.hload, ...words]));
    return JSON.parse(text.trim().split("\n").at(-1) ?? "");
  }

  /** Starts the load generator beside the client. */
  startLoad(words: readonly string[]): Running {
    return this.#start("outbound", "hload", [this.programs.hload, ...words]);
  }

  #inside(role: Role, command: Command, uid?: number): Command {
    const inside = this.#sandbox.inside(this.#pods[role], command, uid);
    return this.#scheduling === "rr" ? ["chrt", "-r", "1", ...inside] : inside;
  }

  #start(
    role: Role,
    name: string,
    command: Command,
    { uid, env = {} }: { uid?: number; env?: NodeJS.ProcessEnv } = {},
  ): Running {
    return Running.start(this.#inside(role, command, uid), join(this.#folder, `${name}.log`), {
      ...process.env,
      ...env,
    });
  }
}

const First = z.object({ at: z.number() });

/** The time of a proxy's `execve`, from the first line of its log. */
export function execTime(running: Running): number {
  return First.parse(JSON.parse(running.printed.split("\n", 1)[0] ?? "")).at;
}
