import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EnvironmentError } from "./environment.ts";
import type { Process } from "./environment.ts";
import type { Janitor } from "./janitor.ts";
import { ObjectFile } from "./object-file.ts";
import { podKey } from "./plan.ts";
import { podObject } from "./pod-object.ts";
import type { PodIdentity, PodState } from "./pod-object.ts";
import type { ProbeResult } from "./probe.ts";
import { watchHealth } from "./probing.ts";
import { capture, launch, neverStarted } from "./process.ts";
import type { Output, Running } from "./process.ts";
import type { Inside, Net, Sandbox } from "./sandbox.ts";
import { Supervised, containerState } from "./supervised.ts";
import type { Container, Probe } from "./workload.ts";

/** Longest wait for a proxy's `/ready`: the injected startup probe's 120 tries of a second. */
const PROXY_READY_MS_MAX = 120_000;
/** Between two looks at a proxy that is starting. */
const PROXY_POLL_MS = 40;
/** A proxy drains this long after its pod's containers are gone. */
const PROXY_GRACE_MS = 5_000;
const RULES_TIMEOUT_MS = 10_000;
/** Between two tries to write a pod's object to a disk that takes nothing. */
const REWRITE_MS = 1_000;
/** The proxy's admin server answers at once or is stuck. */
const ASK_TIMEOUT_MS = 6_000;

/** The proxy of a pod, as the runtime starts it. */
export interface PodProxy {
  readonly binary: string;
  /** As it is now. */
  readonly environment: () => Readonly<Record<string, string>>;
  readonly init: readonly string[];
  readonly adminPort: number;
  /** Whether containers wait for the proxy. The control plane's own do not: it waits for them. */
  readonly first: boolean;
}

/** Everything a pod needs from the runtime. */
export interface PodWorld {
  readonly sandbox: Sandbox;
  readonly janitor: Janitor;
  /** Where the pod's logs and files are. */
  readonly dir: string;
  /** Where Pod objects are written. */
  readonly objects: string;
  readonly resolvConf: string;
  readonly proxy: PodProxy | undefined;
  readonly processOf: (container: Container) => Process;
  readonly probe: (probe: Probe, ip: string) => Promise<ProbeResult>;
  /** After every change of the pod's state. */
  readonly onChange: () => void;
  readonly say: (text: string) => void;
}

type Stage = "starting" | "running" | "stopping" | "failed";

/** One pod: a namespace, a proxy if it is meshed, and its containers' processes. */
export class Pod {
  readonly identity: PodIdentity;
  readonly key: string;
  readonly #world: PodWorld;
  readonly #file: ObjectFile;
  readonly #stop = new AbortController();
  readonly #ready = new Map<string, boolean>();
  readonly #health = new Map<string, AbortController>();
  readonly #containers = new Map<string, Supervised>();
  #proxy: Supervised | undefined;
  #net: Net | undefined;
  #stage: Stage = "starting";
  #problem: string | undefined;
  #deletedAt: string | undefined;
  #rewriting: NodeJS.Timeout | undefined;
  #gone = false;

  constructor(identity: PodIdentity, world: PodWorld) {
    this.identity = identity;
    this.key = podKey(identity.plan);
    this.#world = world;
    this.#file = new ObjectFile(join(world.objects, `${identity.plan.namespace}_${identity.plan.name}.json`));
    for (const container of identity.plan.template.containers) {
      this.#containers.set(container.name, this.#supervise(container));
    }
  }

  /** Why the pod does not run as it should; for people. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get stage(): Stage {
    return this.#stage;
  }

  get state(): PodState {
    const states = [...this.#containers.values()].map((one) =>
      containerState(one, this.#ready.get(one.name) ?? false),
    );
    const { restart } = this.identity.plan.template;
    const ended = restart !== "Always" && states.every(({ state }) => state.type === "terminated");
    const failed = states.some(({ state }) => state.type === "terminated" && state.exitCode !== 0);
    const phase = ended
      ? failed
        ? "Failed"
        : "Succeeded"
      : this.#stage === "starting"
        ? "Pending"
        : "Running";
    const proxyReady = this.#proxy === undefined || this.#proxy.life.type === "running";
    const ready = this.#stage === "running" && proxyReady && states.every((one) => one.ready);
    return {
      phase,
      ready,
      containers: states,
      ...(this.#deletedAt === undefined ? {} : { deletedAt: this.#deletedAt }),
    };
  }

  /** Restarts of all containers and the proxy together. */
  get restarts(): number {
    return [...this.#containers.values(), this.#proxy].reduce((sum, one) => sum + (one?.restarts ?? 0), 0);
  }

  /** Makes the pod known to the control plane, before its proxy asks to be certified. */
  async announce(): Promise<void> {
    await this.#attempt(async () => {
      await mkdir(this.#world.dir, { recursive: true, mode: 0o700 });
      await this.#write();
    });
  }

  /** Makes the namespace and brings the proxy up. Containers come with {@link run}. */
  async prepare(): Promise<void> {
    await this.#attempt(async () => {
      this.#net = await this.#world.sandbox.addPod(this.key, this.identity.ips[0] ?? "");
      const { proxy } = this.#world;
      if (proxy !== undefined) await this.#startProxy(proxy);
      if (proxy?.first === true) await this.#proxyReady(proxy);
    });
  }

  /** Runs the init containers, one after the other, and then the containers. They become ready later. */
  async run(): Promise<void> {
    await this.#attempt(async () => {
      for (const container of this.identity.plan.template.initContainers) await this.#runInit(container);
      if (this.#stop.signal.aborted) return;
      this.#stage = "running";
      for (const container of this.#containers.values()) container.start();
      const { proxy } = this.#world;
      if (proxy?.first === false) await this.#proxyReady(proxy);
    });
  }

  /** A step on the way up. After one that failed there is none. */
  async #attempt(step: () => Promise<void>): Promise<void> {
    if (this.#stage === "failed" || this.#stop.signal.aborted) return;
    try {
      await step();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#stage = "failed";
      this.#problem = error instanceof Error ? error.message : String(error);
      this.#world.say(`pod ${this.key}: ${this.#problem}`);
      this.#changed();
    }
  }

  /** Out of discovery first, then the containers, the proxy last. */
  async stop(
    options: { readonly graceMsMax: number } = { graceMsMax: Number.POSITIVE_INFINITY },
  ): Promise<void> {
    if (this.#stage === "stopping") return;
    this.#stage = "stopping";
    this.#deletedAt = new Date().toISOString();
    this.#stop.abort();
    this.#changed();
    for (const health of this.#health.values()) health.abort();
    const graceMs = Math.min(this.identity.plan.template.graceMs, options.graceMsMax);
    await Promise.all([...this.#containers.values()].map((container) => container.stop(graceMs)));
    await this.#proxy?.stop(Math.min(PROXY_GRACE_MS, options.graceMsMax));
    if (this.#net !== undefined) await this.#world.sandbox.removePod(this.key).catch(() => undefined);
    this.#gone = true;
    clearTimeout(this.#rewriting);
    await this.#file.remove();
  }

  /** Ends every process at once, as a crash of the machine would, until {@link resume}. */
  halt(): void {
    this.#proxy?.halt();
    for (const container of this.#containers.values()) container.halt();
  }

  resume(): void {
    if (this.#stage === "stopping") return;
    if (this.#world.proxy?.first === true) this.#proxy?.start();
    for (const container of this.#containers.values()) container.start();
    if (this.#world.proxy?.first === false) this.#proxy?.start();
  }

  /** Stops every process where it stands, without a word to anyone: sockets stay open, nothing answers. */
  freeze(): void {
    for (const one of [...this.#containers.values(), this.#proxy]) one?.signal("SIGSTOP");
  }

  thaw(): void {
    for (const one of [...this.#containers.values(), this.#proxy]) one?.signal("SIGCONT");
  }

  /** Runs a command beside the pod's containers. */
  exec(
    command: readonly string[],
    options: { readonly container?: string; readonly timeoutMs: number },
  ): Promise<Output> {
    const { containers } = this.identity.plan.template;
    const container = containers.find(
      ({ name }) => options.container === undefined || name === options.container,
    );
    if (container === undefined || this.#net === undefined)
      return Promise.resolve({ code: 1, stdout: "", stderr: `pod ${this.key} has no such container\n` });
    const { environment, cwd } = this.#world.processOf(container);
    const { timeoutMs } = options;
    return capture(this.#inside(this.#net, command, { cwd }), { environment, timeoutMs });
  }

  /** The answer of the proxy's admin server to what only its own machine may ask. */
  async askProxy(path: string): Promise<string> {
    const { proxy } = this.#world;
    if (proxy === undefined || this.#net === undefined) throw new Error(`pod ${this.key} has no proxy`);
    const question = this.#inside(this.#net, [proxy.binary, "ask", path], {});
    const answer = await capture(question, { environment: proxy.environment(), timeoutMs: ASK_TIMEOUT_MS });
    if (answer.code !== 0) throw new Error(answer.stderr.trim());
    return answer.stdout;
  }

  #launch(container: Container): Running {
    try {
      const { command, environment, cwd } = this.#world.processOf(container);
      const net = this.#net ?? this.#world.sandbox.bridge;
      const log = join(this.#world.dir, `${container.name}.log`);
      return launch(this.#inside(net, command, { cwd }), { environment, log, janitor: this.#world.janitor });
    } catch (error) {
      // A reference to nothing: tried again later, since the missing object may yet be written.
      const reason = error instanceof Error ? error.message : String(error);
      this.#problem = `container ${container.name}: ${reason}`;
      return neverStarted(reason);
    }
  }

  #supervise(container: Container): Supervised {
    const { restart } = this.identity.plan.template;
    return new Supervised({
      name: container.name,
      restart,
      launch: () => this.#launch(container),
      onChange: () => this.#onContainer(container),
    });
  }

  /** Probes follow each run of a container. */
  #onContainer(container: Container): void {
    this.#health.get(container.name)?.abort();
    this.#ready.set(container.name, false);
    const one = this.#containers.get(container.name);
    if (one?.life.type === "running" && this.#stage !== "stopping") {
      const run = new AbortController();
      this.#health.set(container.name, run);
      void watchHealth(container, {
        ask: async (probe) => (await this.#ask(probe)).ok,
        signal: run.signal,
        onHealth: ({ ready, live }) => {
          this.#ready.set(container.name, ready);
          this.#changed();
          if (!live) one.signal("SIGKILL");
        },
      });
    }
    this.#changed();
  }

  async #ask(probe: Probe): Promise<ProbeResult> {
    if (probe.action.type !== "exec") return this.#world.probe(probe, this.identity.ips[0] ?? "");
    const { code, stderr } = await this.exec(probe.action.command, { timeoutMs: probe.timeoutMs });
    return { ok: code === 0, detail: stderr };
  }

  async #startProxy(proxy: PodProxy): Promise<void> {
    const net = this.#net;
    if (net === undefined) return;
    const rules = this.#inside(net, [proxy.binary, "init", ...proxy.init], { keep: ["net_admin"] });
    const { code, stderr, stdout } = await capture(rules, {
      environment: proxy.environment(),
      timeoutMs: RULES_TIMEOUT_MS,
    });
    if (code !== 0) throw new Error(`hauberk-proxy init ended with ${code}: ${(stderr || stdout).trim()}`);
    const log = join(this.#world.dir, "linkerd-proxy.log");
    this.#proxy = new Supervised({
      name: "linkerd-proxy",
      restart: "Always",
      launch: () =>
        launch(this.#inside(net, [proxy.binary, "run"], { keep: ["net_raw"] }), {
          environment: proxy.environment(),
          janitor: this.#world.janitor,
          log,
        }),
      onChange: () => this.#changed(),
    });
    this.#proxy.start();
  }

  async #proxyReady(proxy: PodProxy): Promise<void> {
    const deadline = Date.now() + PROXY_READY_MS_MAX;
    const action = {
      type: "http",
      port: proxy.adminPort,
      path: "/ready",
      scheme: "HTTP",
      headers: [],
    } as const;
    const timing = {
      initialDelayMs: 0,
      periodMs: 1_000,
      timeoutMs: 1_000,
      successThreshold: 1,
      failureThreshold: 1,
    };
    let detail = "";
    while (Date.now() < deadline) {
      if (this.#stop.signal.aborted) return;
      const result = await this.#world.probe({ action, ...timing }, this.identity.ips[0] ?? "");
      if (result.ok) return;
      detail = result.detail;
      await sleep(PROXY_POLL_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
    throw new Error(`its proxy is not ready after ${PROXY_READY_MS_MAX / 1_000} s: ${detail}`);
  }

  async #runInit(container: Container): Promise<void> {
    const ended = Promise.withResolvers<void>();
    const one = new Supervised({
      name: container.name,
      restart: this.identity.plan.template.restart === "Never" ? "Never" : "OnFailure",
      launch: () => this.#launch(container),
      onChange: () => {
        if (one.life.type === "ended") ended.resolve();
      },
    });
    this.#stop.signal.addEventListener("abort", () => void one.stop(0), { once: true });
    one.start();
    await ended.promise;
    if (one.life.type === "ended" && one.life.exit.code !== 0)
      throw new EnvironmentError(`init container ${container.name} ended: ${one.life.exit.reason}`);
  }

  #inside(
    net: Net,
    command: readonly string[],
    more: Pick<Inside, "cwd" | "keep">,
  ): readonly [string, readonly string[]] {
    const { name } = this.identity.plan;
    const where = { net, resolvConf: this.#world.resolvConf, hostname: name, ...more };
    return this.#world.sandbox.inside(where, command);
  }

  #changed(): void {
    void this.#write();
    this.#world.onChange();
  }

  async #write(): Promise<void> {
    try {
      await this.#file.save(podObject(this.identity, this.state));
    } catch (error) {
      this.#problem = `its object cannot be written: ${error instanceof Error ? error.message : String(error)}`;
      // The disk may have room again before the pod changes again.
      this.#rewriting ??= setTimeout(() => {
        this.#rewriting = undefined;
        if (!this.#gone) void this.#write();
      }, REWRITE_MS);
      this.#rewriting.unref();
    }
  }
}
