/** A measured process: its times from `schedstat` (to the nanosecond) and its memory from `smaps_rollup`. */

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "./sandbox.ts";

/** A program that checks for signals before it waits for events can miss one: it is asked again. */
const ASK_AGAIN_MS = 2_000;
/** How long a process may take to end once asked. */
const END_MS_MAX = 500;

/** Mebibytes. */
export type Memory = { readonly rss: number; readonly anonymous: number };

/** A process that runs until it is stopped. */
export class Running {
  readonly #child: ChildProcess;
  readonly #log: string;

  private constructor(child: ChildProcess, log: string) {
    this.#child = child;
    this.#log = log;
  }

  /** Starts `command`; what it prints goes to the file `log`. */
  static start(command: Command, log: string, env: NodeJS.ProcessEnv = process.env): Running {
    const [program, ...words] = command;
    const file = openSync(log, "w");
    const child = spawn(program, words, { stdio: ["ignore", file, file], env });
    closeSync(file);
    child.on("error", () => {}); // "exit" does not follow; `alive` then says so
    return new Running(child, log);
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error("the process did not start");
    return pid;
  }

  get alive(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it has printed. */
  get printed(): string {
    return readFileSync(this.#log, "utf8");
  }

  /** Processor seconds of all its threads so far. Threads that ended are missing: proxies keep theirs. */
  cpuSeconds(): number {
    let nanoseconds = 0;
    for (const task of readdirSync(`/proc/${this.pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${this.pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
    }
    return nanoseconds / 1e9;
  }

  memory(): Memory {
    const text = readFileSync(`/proc/${this.pid}/smaps_rollup`, "utf8");
    const mebibytes = (key: string): number =>
      Number(new RegExp(`^${key}: +(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN) / 1024;
    return { rss: mebibytes("Rss"), anonymous: mebibytes("Anonymous") };
  }

  /** Asks it to end, and ends it when it does not within `waitMs`. */
  async stop(waitMs = END_MS_MAX): Promise<void> {
    if (!this.alive) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const again = setInterval(() => this.#child.kill("SIGTERM"), ASK_AGAIN_MS);
    const patience = new AbortController();
    const late = sleep(waitMs, undefined, { signal: patience.signal }).then(() =>
      this.#child.kill("SIGKILL"),
    );
    await ended;
    clearInterval(again);
    patience.abort();
    await late.catch(() => {});
  }
}

/** Runs a command to its end and gives what it printed. */
export async function output(command: Command, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const [program, ...words] = command;
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], env });
  const ended = once(child, "close");
  const [stdout, stderr] = await Promise.all([collect(child.stdout), collect(child.stderr)]);
  await ended;
  if (child.exitCode !== 0) throw new Error(`${words.at(0) ?? program}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}
