/** The proxy's codec as a program: cases in, the messages that it would send on out. */
import { execFile, spawn, type ChildProcessByStdio } from "node:child_process";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import type { Case } from "./cases.ts";

const PROXY = join(import.meta.dirname, "..", "..", "proxy");
const BUILD_MS_MAX = 900_000;
const HEAD_BYTES = 5;

/** Builds the program, and returns where it is. */
async function build(): Promise<string> {
  const args = ["build", "--locked", "-p", "hauberk-wire", "--example", "forwarder", "--message-format=json"];
  const { stdout } = await promisify(execFile)("cargo", args, {
    cwd: PROXY,
    timeout: BUILD_MS_MAX,
    maxBuffer: 64 * 1024 * 1024,
  });
  const [path] = Array.from(stdout.matchAll(/"executable":"([^"]*forwarder)"/g), ([, found]) => found);
  if (path === undefined) throw new Error("cargo does not say where the forwarder is");
  return path;
}

/** A running forwarder. */
export class Forwarder {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #parts: AsyncIterator<unknown>;
  #read = Buffer.alloc(0);

  private constructor(path: string) {
    this.#child = spawn(path, [], { stdio: ["pipe", "pipe", "inherit"] });
    this.#parts = this.#child.stdout[Symbol.asyncIterator]();
  }

  static async start(): Promise<Forwarder> {
    return new Forwarder(await build());
  }

  /** What is sent on of each case. */
  async forward(cases: readonly Case[]): Promise<readonly (readonly Buffer[])[]> {
    const pieces = cases.flatMap(({ kind, bytes }) => {
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeUInt8(kind);
      head.writeUInt32BE(bytes.length, 1);
      return [head, bytes];
    });
    this.#child.stdin.write(Buffer.concat(pieces));
    const answers: (readonly Buffer[])[] = [];
    for (let nth = 0; nth < cases.length; nth += 1) {
      const count = (await this.#take(2)).readUInt16BE();
      const messages: Buffer[] = [];
      while (messages.length < count) messages.push(await this.#take((await this.#take(4)).readUInt32BE()));
      answers.push(messages);
    }
    return answers;
  }

  close(): void {
    this.#child.stdin.end();
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#read.length < length) {
      const { done, value } = await this.#parts.next();
      if (done === true || !Buffer.isBuffer(value)) throw new Error("the forwarder ended");
      this.#read = Buffer.concat([this.#read, value]);
    }
    const taken = this.#read.subarray(0, length);
    this.#read = this.#read.subarray(length);
    return taken;
  }
}
