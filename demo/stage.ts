import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { MeshClient, askSocket } from "@hauberk/mesh/standalone/control-client.ts";
import type { PodStatus } from "@hauberk/mesh/standalone/control-protocol.ts";
import type { StatePaths } from "@hauberk/mesh/standalone/state.ts";
import { Report } from "@hauberk/viz/report.ts";
import { activeEdges, edgeStatTable, edgeTable, routeTable, workloadTable } from "@hauberk/viz/tables.ts";
import { readLoadLog, seen } from "./load-log.ts";
import type { Seen } from "./load-log.ts";
import type { Kept } from "./promise.ts";
import type { Screen } from "./screen.ts";

const ANSWER_MS_MAX = 5_000;
const CALL_MS_MAX = 20_000;
const REDRAW_MS = 1_000;
/** The table looks back this far. */
const WINDOW_MS = 10_000;
/** The generator's lines come each second; the last one may be on its way. */
const LINE_MS = 1_200;

const CallResult = z.object({ outcome: z.string(), detail: z.string() });
/** What a client in a pod was told. */
export type CallResult = z.infer<typeof CallResult>;

/** What the acts of the demo have in common. */
export class Stage {
  readonly client: MeshClient;
  readonly screen: Screen;
  /** Divides the pauses in which something is measured. */
  readonly haste: number;
  readonly kept: Kept[] = [];
  readonly #paths: StatePaths;
  readonly #source: string;
  readonly #signal: AbortSignal;

  constructor(options: {
    readonly paths: StatePaths;
    /** Directory of manifests that are applied while the mesh runs. */
    readonly source: string;
    readonly screen: Screen;
    readonly haste: number;
    readonly signal: AbortSignal;
  }) {
    this.client = new MeshClient(options.paths.upSocket);
    this.screen = options.screen;
    this.haste = options.haste;
    this.#paths = options.paths;
    this.#source = options.source;
    this.#signal = options.signal;
  }

  /** Records what was measured, and says so at once. */
  promise(promise: string, passed: boolean, measured: string): void {
    this.kept.push({ promise, passed, measured });
    this.screen.say(`  ${passed ? "√" : "×"} ${promise}: ${measured}`);
  }

  /** Lets time pass while the table is drawn. */
  async pause(ms: number): Promise<void> {
    const until = Date.now() + ms;
    for (let left = ms; left > 0; left = until - Date.now()) {
      await this.redraw().catch(() => undefined);
      await sleep(Math.min(REDRAW_MS, Math.max(1, until - Date.now())), undefined, { signal: this.#signal });
    }
  }

  async redraw(): Promise<void> {
    const report = await this.report();
    this.screen.show(liveTable(report));
  }

  report(windowMs: number = WINDOW_MS): Promise<Report> {
    const path = `/report?window=${windowMs}`;
    return askSocket(this.#paths.vizSocket, { method: "GET", path, timeoutMs: ANSWER_MS_MAX }, Report);
  }

  /** Waits until `test` holds. `false`: it did not, in time. */
  async until(test: () => Promise<boolean>, withinMs: number): Promise<boolean> {
    const deadline = Date.now() + withinMs;
    while (Date.now() < deadline) {
      if (await test().catch(() => false)) return true;
      await this.pause(200);
    }
    return false;
  }

  /** What the generator saw of one page, or of all, in a stretch of time that lies at least a line back. */
  async seen(span: { readonly fromMs: number; readonly toMs: number }, page?: string): Promise<Seen> {
    const wait = span.toMs + LINE_MS - Date.now();
    if (wait > 0) await this.pause(wait);
    const pod = await this.pod("load", "load");
    return seen(await readLoadLog(join(this.#paths.pods, `load_${pod.name}`, "load.log")), span, page);
  }

  /** Measures what the generator sees from now on for so long. */
  async measure(ms: number, page?: string): Promise<Seen> {
    const fromMs = Date.now();
    await this.pause(ms / this.haste);
    return this.seen({ fromMs, toMs: Date.now() }, page);
  }

  /** The pods of one workload. */
  async pods(namespace: string, workload: string): Promise<readonly PodStatus[]> {
    const { pods } = await this.client.status();
    return pods.filter((pod) => pod.namespace === namespace && pod.owner.endsWith(`/${workload}`));
  }

  async pod(namespace: string, workload: string): Promise<PodStatus> {
    const [pod] = await this.pods(namespace, workload);
    if (pod === undefined) throw new Error(`there is no pod of ${namespace}/${workload}`);
    return pod;
  }

  /** Makes one call from inside a pod. */
  async call(from: PodStatus, protocol: "http" | "grpc" | "ledger", target: string): Promise<CallResult> {
    const { stdout, stderr } = await this.client.exec(
      from,
      ["node", "call.ts", protocol, target],
      CALL_MS_MAX,
    );
    try {
      return CallResult.parse(JSON.parse(stdout));
    } catch {
      return { outcome: "no answer", detail: stderr.trim().slice(0, 200) };
    }
  }

  /** `kubectl apply -f live/NAME`, changed if wanted. */
  async apply(name: string, change: (text: string) => string = (text) => text): Promise<void> {
    const text = change(await readFile(join(this.#source, name), "utf8"));
    const fresh = join(this.#paths.live, `.${name}`);
    await writeFile(fresh, text);
    await rename(fresh, join(this.#paths.live, name));
  }

  /** `kubectl delete -f live/NAME`. */
  async remove(name: string): Promise<void> {
    await rm(join(this.#paths.live, name), { force: true });
  }
}

/** Everything on one screen. */
export function liveTable(report: Report): string {
  return [
    workloadTable(report.workloads),
    "",
    routeTable(report.routes.filter(({ requestsPerSecond }) => requestsPerSecond > 0)),
    "",
    edgeStatTable(activeEdges(report)),
    "",
    edgeTable(activeEdges(report)),
  ].join("\n");
}
