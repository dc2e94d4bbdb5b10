import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Janitor } from "./janitor.ts";

/** How a process ended. */
export interface Exit {
  /** As a shell counts: 128 and the signal's number where a signal ended it. */
  readonly code: number;
  /** For people. */
  readonly reason: string;
}

/** A process with a process group of its own. */
export interface Running {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** To the whole group; nothing happens if it is gone. */
  readonly signal: (signal: NodeJS.Signals) => void;
}

const SIGNALS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 };
/** What a shell answers when there is no such program. */
const NOT_FOUND = 127;

/** Starts a process whose output goes to the end of a file. Never throws: a failed start is an exit. */
export function launch(
  [program, words]: readonly [string, readonly string[]],
  options: {
    readonly environment: Readonly<Record<string, string>>;
    readonly log: string;
    readonly janitor: Janitor;
  },
): Running {
  const log = openLog(options.log);
  try {
    const child = spawn(program, [...words], {
      stdio: ["ignore", log, log],
      env: { ...options.environment },
      detached: true,
    });
    const group = child.pid ?? 0;
    options.janitor.add(group);
    const { promise, resolve } = Promise.withResolvers<Exit>();
    child.once("error", (error) => resolve({ code: NOT_FOUND, reason: error.message }));
    child.once("exit", (code, signal) => {
      // What the process left in its group goes with it.
      signalGroup(child.pid, "SIGKILL");
      options.janitor.drop(group);
      resolve(exitOf(code, signal));
    });
    return { pid: group, exited: promise, signal: (signal) => signalGroup(child.pid, signal) };
  } finally {
    if (log !== "ignore") closeSync(log);
  }
}

/** A process whose log cannot be opened, on a full disk, runs without one. */
function openLog(path: string): number | "ignore" {
  try {
    return openSync(path, "a", 0o600);
  } catch {
    return "ignore";
  }
}

/** A process that could not even be described. */
export function neverStarted(reason: string): Running {
  return { pid: 0, exited: Promise.resolve({ code: NOT_FOUND, reason }), signal: () => undefined };
}

function exitOf(code: number | null, signal: NodeJS.Signals | null): Exit {
  if (signal !== null) return { code: 128 + (SIGNALS[signal] ?? 0), reason: signal };
  return { code: code ?? 1, reason: `exit code ${code ?? 1}` };
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody is left in the group.
  }
}

/** What a command printed, and how it ended. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** More of a command's output than this is dropped. */
const OUTPUT_BYTES_MAX = 1024 * 1024;

/** Runs a command to its end, or to the deadline's. */
export function capture(
  [program, words]: readonly [string, readonly string[]],
  options: { readonly environment: Readonly<Record<string, string>>; readonly timeoutMs: number },
): Promise<Output> {
  const { promise, resolve } = Promise.withResolvers<Output>();
  const child = spawn(program, [...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...options.environment },
    detached: true,
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      if (output[name].length < OUTPUT_BYTES_MAX) output[name] += text;
    });
  }
  const timer = setTimeout(() => signalGroup(child.pid, "SIGKILL"), options.timeoutMs);
  child.once("error", (error) => {
    clearTimeout(timer);
    resolve({ code: NOT_FOUND, stdout: "", stderr: error.message });
  });
  child.once("close", (code, signal) => {
    clearTimeout(timer);
    resolve({ code: exitOf(code, signal).code, ...output });
  });
  return promise;
}
