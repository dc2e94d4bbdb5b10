/** h11 as an oracle: an independent, strict reader of HTTP/1, asked over a pipe. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { z } from "zod";

const Reading = z.strictObject({
  /** Whole requests found. */
  complete: z.number().int(),
  requests: z.array(z.tuple([z.string(), z.string()])),
  /** Why the rest is refused. */
  error: z.string().nullable(),
});
export type Reading = z.infer<typeof Reading>;

/** One running oracle. Questions are answered in their order. */
export class Judge {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting: ((line: string) => void)[] = [];

  /** `python` has h11; `script` is `judge.py`. */
  constructor(python: string, script: string) {
    this.#child = spawn(python, [script], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#waiting.shift()?.(line));
  }

  /** Reads `bytes` from the start of a connection. */
  async read(bytes: Uint8Array): Promise<Reading> {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#waiting.push(resolve);
    this.#child.stdin.write(`${Buffer.from(bytes).toString("hex")}\n`);
    return Reading.parse(JSON.parse(await promise));
  }

  close(): void {
    this.#child.stdin.end();
  }
}
