import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import { z } from "zod";

const Answer = z.object({ id: z.number().int(), ok: z.unknown().optional(), error: z.string().optional() });

/** A child process that did not answer, or not as agreed. */
export class LineError extends Error {
  override readonly name = "LineError";
}

interface Waiting {
  readonly resolve: (ok: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Questions and answers with a child process, one JSON object per line: `{"id",...}` out, `{"id","ok"}` or
 * `{"id","error"}` back, in any order. The first line may be a greeting without an id.
 */
export class LineClient {
  readonly #child: ChildProcess;
  readonly #input: Writable;
  readonly #name: string;
  readonly #waiting = new Map<number, Waiting>();
  readonly #greeting = Promise.withResolvers<unknown>();
  #sent = 0;
  #ended: LineError | undefined;

  constructor(name: string, child: ChildProcess) {
    if (child.stdin === null || child.stdout === null)
      throw new LineError(`${name} was started without pipes`);
    this.#name = name;
    this.#child = child;
    this.#input = child.stdin;
    this.#greeting.promise.catch(() => undefined);
    createInterface({ input: child.stdout }).on("line", (line) => this.#read(line));
    child.stdin.on("error", (error) => this.#end(error.message));
    child.on("error", (error) => this.#end(error.message));
    child.on("exit", (code, signal) => this.#end(`it ended with ${signal ?? code ?? "nothing"}`));
  }

  /** Whether the child is gone or spoke nonsense: no question will be answered any more. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** The first line. */
  greeting(): Promise<unknown> {
    return this.#greeting.promise;
  }

  /** Rejects with the child's own words, or when it ends. */
  ask(question: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#sent += 1;
    const id = this.#sent;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, { resolve, reject });
    this.#input.write(`${JSON.stringify({ id, ...question })}\n`);
    return promise;
  }

  /** Closes the child's input, which ends it, and kills it if it does not. */
  async close(graceMs: number): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#child.once("exit", () => resolve());
    this.#input.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    await promise;
    clearTimeout(timer);
  }

  #read(line: string): void {
    let parsed: unknown;
    try {
      parsed = JSON.parse(line);
    } catch {
      this.#end(`it wrote ${line.slice(0, 200)}`);
      return;
    }
    const answer = Answer.safeParse(parsed);
    if (!answer.success) {
      this.#greeting.resolve(parsed);
      return;
    }
    const waiting = this.#waiting.get(answer.data.id);
    this.#waiting.delete(answer.data.id);
    if (answer.data.error === undefined) waiting?.resolve(answer.data.ok);
    else waiting?.reject(new LineError(`${this.#name}: ${answer.data.error}`));
  }

  #end(why: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = new LineError(`${this.#name}: ${why}`);
    this.#greeting.reject(this.#ended);
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}
