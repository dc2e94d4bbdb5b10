/** The proxy's codec as a program: cases in, the messages that it would send on out. */
import { execFile, spawn, type ChildProcessByStdio } from "node:child_process";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import type { Case } from "./cases.ts";

const PROXY = join(import.meta.dirname, "..", "..", "proxy");
const BUILD_MS_MAX = 900_000;
const HEAD_BYTES = 5;

/** Builds an example of a crate, and returns where it is. */
export async function buildExample(crate: string, name: string): Promise<string> {
  const args = ["build", "--locked", "-p", crate, "--example", name, "--message-format=json"];
  const { stdout } = await promisify(execFile)("cargo", args, {
    cwd: PROXY,
    timeout: BUILD_MS_MAX,
    maxBuffer: 64 * 1024 * 1024,
  });
  const paths = Array.from(stdout.matchAll(/"executable":"([^"]*)"/g), ([, found]) => found);
  const path = paths.find((one) => one?.endsWith(`/${name}`) === true);
  if (path === undefined) throw new Error(`cargo does not say where ${name} is`);
  return path;
}

/** Bytes of a stream, as many as are asked for. */
export class Taking {
  readonly #parts: AsyncIterator<unknown>;
  #read = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#parts = stream[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    while (this.#read.length < length) {
      const { done, value } = await this.#parts.next();
      if (done === true || !Buffer.isBuffer(value)) throw new Error("the program ended");
      this.#read = Buffer.concat([this.#read, value]);
    }
    const taken = this.#read.subarray(0, length);
    this.#read = this.#read.subarray(length);
    return taken;
  }
}

/** A running forwarder. */
export class Forwarder {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: Taking;

  private constructor(path: string) {
    this.#child = spawn(path, [], { stdio: ["pipe", "pipe", "inherit"] });
    this.#answers = new Taking(this.#child.stdout);
  }

  static async start(): Promise<Forwarder> {
    return new Forwarder(await buildExample("hauberk-wire", "forwarder"));
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
      const count = (await this.#answers.take(2)).readUInt16BE();
      const messages: Buffer[] = [];
      while (messages.length < count)
        messages.push(await this.#answers.take((await this.#answers.take(4)).readUInt32BE()));
      answers.push(messages);
    }
    return answers;
  }

  close(): void {
    this.#child.stdin.end();
  }
}
