import { BACKOFF_RESET_MS, backoffMs } from "./health.ts";
import type { ContainerState } from "./pod-object.ts";
import type { Exit, Running } from "./process.ts";

/** Where a supervised process stands. */
export type Life =
  | { readonly type: "idle" }
  | { readonly type: "running"; readonly process: Running; readonly startedMs: number }
  /** Ended, and to be started again when the pause is over. */
  | { readonly type: "pausing"; readonly exit: Exit; readonly timer: NodeJS.Timeout }
  /** Killed on purpose, until it is resumed. */
  | { readonly type: "halted" }
  /** For good. */
  | { readonly type: "ended"; readonly exit: Exit };

/** What is supervised, and how. */
export interface Supervision {
  readonly name: string;
  readonly restart: "Always" | "OnFailure" | "Never";
  readonly launch: () => Running;
  /** After every change of {@link Supervised.life}. */
  readonly onChange: () => void;
}

/** One process that is started again when it ends, as its pod's restart policy says. */
export class Supervised {
  readonly name: string;
  readonly #supervision: Supervision;
  #life: Life = { type: "idle" };
  #restarts = 0;
  #inARow = 0;

  constructor(supervision: Supervision) {
    this.name = supervision.name;
    this.#supervision = supervision;
  }

  get life(): Life {
    return this.#life;
  }

  get restarts(): number {
    return this.#restarts;
  }

  start(): void {
    if (this.#life.type === "running") return;
    const process = this.#supervision.launch();
    const life: Life = { type: "running", process, startedMs: Date.now() };
    this.#change(life);
    void process.exited.then((exit) => this.#onExit(life, exit));
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#life.type === "running") this.#life.process.signal(signal);
  }

  /** Ends the process at once and keeps it down until {@link start}. */
  halt(): void {
    if (this.#life.type === "pausing") clearTimeout(this.#life.timer);
    const before = this.#life;
    this.#change({ type: "halted" });
    if (before.type === "running") before.process.signal("SIGKILL");
    this.#restarts += 1;
  }

  /** Ends the process for good: politely, and after `graceMs` not. */
  async stop(graceMs: number): Promise<void> {
    const before = this.#life;
    if (before.type === "pausing") clearTimeout(before.timer);
    this.#change({ type: "ended", exit: { code: 0, reason: "stopped" } });
    if (before.type !== "running") return;
    before.process.signal("SIGTERM");
    // A stopped process does not see SIGTERM.
    before.process.signal("SIGCONT");
    const timer = setTimeout(() => before.process.signal("SIGKILL"), graceMs);
    await before.process.exited;
    clearTimeout(timer);
    // What it left in its group.
    before.process.signal("SIGKILL");
  }

  #onExit(from: Life, exit: Exit): void {
    if (this.#life !== from || from.type !== "running") return;
    const { restart } = this.#supervision;
    if (restart === "Never" || (restart === "OnFailure" && exit.code === 0)) {
      this.#change({ type: "ended", exit });
      return;
    }
    this.#inARow = Date.now() - from.startedMs >= BACKOFF_RESET_MS ? 1 : this.#inARow + 1;
    this.#restarts += 1;
    const timer = setTimeout(() => this.start(), backoffMs(this.#inARow));
    this.#change({ type: "pausing", exit, timer });
  }

  #change(life: Life): void {
    this.#life = life;
    this.#supervision.onChange();
  }
}

/** As a Pod's status shows it. */
export function containerState({ name, life, restarts }: Supervised, ready: boolean): ContainerState {
  const head = { name, ready, restarts };
  switch (life.type) {
    case "idle":
      return { ...head, state: { type: "waiting", reason: "PodInitializing" } };
    case "running":
      return { ...head, state: { type: "running", startedAt: new Date(life.startedMs).toISOString() } };
    case "pausing":
      return { ...head, state: { type: "waiting", reason: "CrashLoopBackOff" } };
    case "halted":
      return { ...head, state: { type: "waiting", reason: "Halted" } };
    case "ended":
      return { ...head, state: { type: "terminated", exitCode: life.exit.code, reason: life.exit.reason } };
  }
}
