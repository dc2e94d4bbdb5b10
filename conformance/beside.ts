/** The part of a run that goes on beside the rest: a process of its own that gets what nobody else wants of the cores. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PREPARED } from "./prepared.ts";
import type { Preparing } from "./turns.ts";

const RUN = join(import.meta.dirname, "run.ts");
/** Of the session: where sessions share the cores among them (the kernel's autogroups), priorities count only within one. */
const SESSION_NICE = { yielding: 19, hurrying: 0 } as const;
const POLICY = { yielding: "--idle", hurrying: "--other" } as const;
type Pace = keyof typeof POLICY;
/** A part that hurries may have started something with the old priority just then. */
const LOOK_AGAIN_MS = 5_000;

/** A part at work. */
export interface Beside extends Preparing<string> {
  /** Its exit code. Whoever asks has nothing else to do: from then on it goes on like any other program. */
  readonly ended: () => Promise<number>;
}

/** Starts a part with these words. It ends with this process, however that ends. */
export function startBeside(words: readonly string[]): Beside {
  const args = [POLICY.yielding, "0", process.execPath, RUN, ...words];
  const child = spawn("chrt", args, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  setPace(child, "yielding");
  endWithUs(child);
  const { promise: end, resolve } = Promise.withResolvers<number>();
  const done = new Set<string>();
  const waiting: (() => void)[] = [];
  const wake = (): void => waiting.splice(0).forEach((wait) => wait());
  let isEnded = false;
  const finish = (code: number | null): void => {
    isEnded = true;
    resolve(code ?? 1);
    wake();
  };
  child.once("error", () => finish(null));
  child.once("exit", finish);
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (!line.startsWith(PREPARED)) return;
    done.add(line.slice(PREPARED.length));
    wake();
  });
  const isOver = (need: string): boolean => isEnded || done.has(need);
  const over = async (need: string): Promise<void> => {
    if (isOver(need)) return;
    await hurried(child, async () => {
      while (!isOver(need)) {
        const { promise, resolve: wait } = Promise.withResolvers<void>();
        waiting.push(wait);
        await promise;
      }
    });
  };
  return { isOver, over, ended: () => hurried(child, () => end) };
}

/** While somebody waits for it, a part goes on like any other program. */
async function hurried<T>(child: ChildProcess, wait: () => Promise<T>): Promise<T> {
  setPace(child, "hurrying");
  const again = setInterval(() => setPace(child, "hurrying"), LOOK_AGAIN_MS);
  try {
    return await wait();
  } finally {
    clearInterval(again);
    setPace(child, "yielding");
  }
}

function setPace(child: ChildProcess, pace: Pace): void {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(SESSION_NICE[pace]));
  } catch {
    // A kernel without sessions' shares has only priorities.
  }
  for (const member of membersOf(pid))
    execFile("chrt", [POLICY[pace], "--all-tasks", "--pid", "0", member], () => undefined);
}

/** The processes of a group. */
function membersOf(group: number): readonly string[] {
  return readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const fields = readFileSync(`/proc/${entry}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
      return Number(fields[2]) === group;
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}

function endWithUs(child: ChildProcess): void {
  const end = (): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, "SIGTERM");
    } catch {
      // It has ended by itself.
    }
  };
  process.once("exit", end);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      end();
      process.exit(1);
    });
  }
}
