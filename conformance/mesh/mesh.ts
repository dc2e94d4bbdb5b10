/** A mesh for one test file: pods with an agent, and servers with the application, on the real data and control planes. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json, text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { appear, hauberk } from "../pair/mesh.ts";
import { Place } from "../pair/pair.ts";
import { statefulSet, type Set } from "./objects.ts";
import { AppPort } from "./ports.ts";

const UP_S_MAX = 60;
const ADMIN_PORT = 4191;
const POLL_MS = 40;
const CONDITION_MS_MAX = 20_000;

/** Waits for a condition; what the last look found is in the error. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  msMax = CONDITION_MS_MAX,
): Promise<T> {
  const end = Date.now() + msMax;
  let last: unknown;
  do {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      last = "not yet";
    } catch (error) {
      last = error;
    }
    await sleep(POLL_MS);
  } while (Date.now() < end);
  throw new Error(`${what}: not within ${msMax} ms`, { cause: last });
}

/** One line of a proxy's metrics. */
export interface Sample {
  readonly name: string;
  readonly labels: string;
  readonly value: number;
}

const Status = z.object({ pods: z.array(z.object({ name: z.string(), ip: z.string() })) });
type PodPlan = Omit<Set, "containers">;
/** `probePath`: what the node asks the application for, again and again. */
type ServerPlan = PodPlan & { readonly probePath?: string };

/** A running mesh. */
export class TestMesh {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Starts it with the given workloads; `more` are any other objects. */
  static async start(plan: {
    readonly clients: readonly PodPlan[];
    readonly servers: readonly ServerPlan[];
    readonly more: readonly object[];
    /** Further manifests as text, such as the guide's. */
    readonly yaml?: string;
  }): Promise<TestMesh> {
    const dir = await mkdtemp(join(tmpdir(), "hb-mesh-"));
    const mesh = new TestMesh(dir);
    const manifests = join(dir, "manifests");
    await mkdir(manifests);
    await mesh.apply("base", [
      ...plan.more,
      ...plan.clients.map((set) => statefulSet({ ...set, containers: [mesh.#agent()] })),
      ...plan.servers.map((set) => statefulSet({ ...set, containers: [mesh.#agent(), mesh.#app(set)] })),
    ]);
    if (plan.yaml !== undefined) await mesh.applyYaml("yaml", plan.yaml);
    try {
      await hauberk(["up", "-f", manifests, "--state", mesh.state, "--wait", String(UP_S_MAX)]);
      // A probe that only connects is answered by the proxy: what the application says itself counts.
      await appear([
        ...plan.clients.flatMap((set) => sockets(dir, set, ".sock")),
        ...plan.servers.flatMap((set) => [...sockets(dir, set, ".sock"), ...sockets(dir, set, ".app.sock")]),
      ]);
      return mesh;
    } catch (error) {
      await mesh.close();
      throw error;
    }
  }

  get state(): string {
    return join(this.#dir, "state");
  }

  async close(): Promise<void> {
    await hauberk(["down", "--state", this.state]).catch(() => undefined);
    await rm(this.#dir, { recursive: true, force: true });
  }

  /** Writes a file of manifests, at once and whole. */
  async apply(file: string, objects: readonly object[]): Promise<void> {
    await this.applyYaml(file, objects.map((one) => JSON.stringify(one)).join("\n---\n"));
  }

  /** The same of manifests as text. */
  async applyYaml(file: string, yaml: string): Promise<void> {
    const path = join(this.#dir, `${file}.tmp`);
    await writeFile(path, yaml);
    await rename(path, join(this.#dir, "manifests", `${file}.yaml`));
  }

  async withdraw(file: string): Promise<void> {
    await rm(join(this.#dir, "manifests", `${file}.yaml`));
  }

  place(pod: string): Place {
    return new Place(join(this.#dir, `${pod}.sock`));
  }

  /** What the application of a pod noted. */
  async events(pod: string): Promise<readonly string[]> {
    const socket = connect({ path: join(this.#dir, `${pod}.app.sock`) });
    return z.array(z.string()).parse(JSON.parse(await text(socket)));
  }

  /** A pod's proxy's own word, over loopback inside the pod. */
  async admin(pod: string, path: string): Promise<string> {
    const socket = await this.place(pod).dial({ host: "127.0.0.1", port: ADMIN_PORT });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n`);
    return text(socket);
  }

  async metrics(pod: string): Promise<readonly Sample[]> {
    const lines = (await this.admin(pod, "/metrics")).split("\n");
    return lines.flatMap((line) => {
      const [, name, labels = "", value] = /^([a-z0-9_]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      return name === undefined ? [] : [{ name, labels, value: Number(value) }];
    });
  }

  /** The sum of a metric over the series whose labels have every given part. */
  async sum(pod: string, name: string, ...parts: readonly string[]): Promise<number> {
    const samples = await this.metrics(pod);
    return samples
      .filter((one) => one.name === name && parts.every((part) => one.labels.includes(part)))
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** The address of a pod. */
  async ip(pod: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    request({ socketPath: join(this.state, "up.sock"), path: "/status" }, (response) => {
      json(response).then(resolve, reject);
    })
      .once("error", reject)
      .end();
    const found = Status.parse(await promise).pods.find(({ name }) => name === pod);
    if (found === undefined) throw new Error(`there is no pod ${pod}`);
    return found.ip;
  }

  /** Process id of the proxy that shares the pod's network. */
  async proxyPid(pod: string): Promise<number> {
    const { stdout } = await this.place(pod).run("readlink", ["/proc/self/ns/net"], 5_000);
    const pid = readdirSync("/proc").find((entry) => isProxyIn(entry, stdout.trim()));
    if (pid === undefined) throw new Error(`no proxy runs beside ${pod}`);
    return Number(pid);
  }

  /** Process id of the control plane. */
  controllerPid(): number {
    const pid = readdirSync("/proc").find((entry) => isControllerOf(entry, this.state));
    if (pid === undefined) throw new Error("no control plane runs");
    return Number(pid);
  }

  #agent(): object {
    const command = [
      process.execPath,
      join(import.meta.dirname, "..", "pair", "agent.ts"),
      this.#path(".sock"),
    ];
    return { name: "agent", command };
  }

  #app({ probePath }: ServerPlan): object {
    const command = [process.execPath, join(import.meta.dirname, "app.ts"), this.#path(".app.sock")];
    const env = [{ name: "REPLICA", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }];
    const ports = Object.values(AppPort).map((containerPort) => ({ containerPort }));
    const readinessProbe = { tcpSocket: { port: AppPort.opaque }, periodSeconds: 1 };
    const livenessProbe = { httpGet: { path: probePath, port: AppPort.http }, periodSeconds: 1 };
    const probes = probePath === undefined ? { readinessProbe } : { readinessProbe, livenessProbe };
    return { name: "app", command, env, ports, ...probes };
  }

  /** The host name of a pod is its own. */
  #path(suffix: string): string {
    return join(this.#dir, `$(HOSTNAME)${suffix}`);
  }
}

/** The sockets that each replica of a set makes in `dir` when it is there. */
function sockets(dir: string, { name, replicas = 1 }: PodPlan, suffix: string): readonly string[] {
  return Array.from({ length: replicas }, (_, index) => join(dir, `${name}-${index}${suffix}`));
}

function isProxyIn(entry: string, net: string): boolean {
  if (!/^\d+$/.test(entry)) return false;
  try {
    const [program = "", verb] = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
    return (
      program.endsWith("/hauberk-proxy") && verb === "run" && readlinkSync(`/proc/${entry}/ns/net`) === net
    );
  } catch {
    // It ended while we looked.
    return false;
  }
}

function isControllerOf(entry: string, state: string): boolean {
  if (!/^\d+$/.test(entry)) return false;
  try {
    const [, script = "", ...args] = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
    return script.endsWith("/controller/main.ts") && args.some((arg) => arg.startsWith(state));
  } catch {
    // It ended while we looked.
    return false;
  }
}

/** The name of a service in the cluster. */
export function host(service: string, namespace: string): string {
  return `${service}.${namespace}.svc.cluster.local`;
}
