// Runs one command of a gate and keeps what it printed.
import { spawn } from "node:child_process";

export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** Most characters of a command's output that are kept: enough for any failure, bounded against a runaway. */
const OUTPUT_CHARS_MAX = 4_000_000;

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the output is shown as it comes. */
  readonly live?: boolean;
}

/** Resolves when the command has ended, however it ended; 127 if it could not be started. */
export function runCommand(
  command: string,
  args: readonly string[],
  { cwd, env, live = false }: CommandOptions = {},
): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const [stream, sink] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-OUTPUT_CHARS_MAX);
      if (live) sink.write(text);
    });
  }
  child.once("error", (error) => resolve({ code: 127, output: `${output}\n${error.message}` }));
  child.once("close", (code) => resolve({ code: code ?? 1, output }));
  return promise;
}
