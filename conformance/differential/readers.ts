/** Two readers of HTTP/1 that share nothing with the proxy and nothing with each other: h11, and llhttp in Node's server. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createInterface } from "node:readline";
import { Duplex, type Readable, type Writable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { join } from "node:path";
import { z } from "zod";

/** What a reader found in one message: method, target, host and body of each request, or why it refuses. */
const Found = z.strictObject({
  requests: z.array(z.tuple([z.string(), z.string(), z.string(), z.string()])),
  error: z.string().nullable(),
});
export type Found = z.infer<typeof Found>;

/** Answers come after the request in the next turns of the loop, and no later. */
const TURNS_MAX = 50;

/** Node's own server, which is fed bytes instead of a connection. */
export class Llhttp {
  readonly #server: Server;
  #requests: [string, string, string, string][] = [];
  #error: string | null = null;
  #open = 0;

  constructor() {
    const heard = (request: IncomingMessage, response: ServerResponse): void =>
      this.#heard(request, response);
    this.#server = createServer({ insecureHTTPParser: false }, heard);
    // Otherwise the server would answer these itself.
    for (const event of ["checkContinue", "checkExpectation"]) this.#server.on(event, heard);
    this.#server.on(
      "clientError",
      (error: NodeJS.ErrnoException) => (this.#error = error.code ?? error.message),
    );
  }

  async read(message: Buffer): Promise<Found> {
    [this.#requests, this.#error, this.#open] = [[], null, 0];
    const socket = new Duplex({ read: () => undefined, write: (_part, _encoding, done) => done() });
    socket.on("error", () => undefined);
    this.#server.emit("connection", socket);
    socket.push(message);
    for (let turns = 0; turns < TURNS_MAX; turns += 1) {
      await turn();
      if (this.#error !== null || (this.#requests.length > 0 && this.#open === 0)) break;
    }
    const isCut = this.#error === null && (this.#open > 0 || this.#requests.length === 0);
    // A second request in the same bytes would be read now.
    await turn();
    socket.destroy();
    return { requests: this.#requests, error: this.#error ?? (isCut ? "incomplete" : null) };
  }

  #heard(request: IncomingMessage, response: ServerResponse): void {
    this.#open += 1;
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("error", () => undefined);
    request.on("end", () => {
      this.#open -= 1;
      const body = Buffer.concat(parts).toString("latin1");
      this.#requests.push([request.method ?? "", request.url ?? "", request.headers.host ?? "", body]);
      response.end();
    });
  }
}

/** h11, asked in batches over a pipe. */
export class H11 {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(python: string) {
    this.#child = spawn(python, [join(import.meta.dirname, "reader.py")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async read(messages: readonly Buffer[]): Promise<readonly Found[]> {
    this.#child.stdin.write(messages.map((message) => `${message.toString("hex")}\n`).join(""));
    const found: Found[] = [];
    while (found.length < messages.length) {
      const { done, value } = await this.#lines.next();
      if (done === true) throw new Error("h11 ended");
      found.push(Found.parse(JSON.parse(value)));
    }
    return found;
  }

  close(): void {
    this.#child.stdin.end();
  }
}
