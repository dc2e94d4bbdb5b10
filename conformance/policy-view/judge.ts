/** Policy's view by the proxy's own code, and a backend's by Node's HTTP server. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Duplex, type Readable, type Writable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { buildExample, Taking } from "../differential/forwarder.ts";
import type { Pair } from "./pairs.ts";
import type { Seen } from "./readings.ts";

/** What policy made of a pair: nothing is sent on of a refused one. */
export type Judged =
  | { readonly type: "refused" }
  | { readonly type: "judged"; readonly isMatched: boolean; readonly message: Buffer };

const MATCHED = 2;
const OUTSIDE = 1;
const TURNS_MAX = 50;

function counted(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The running program `proxy/data/examples/judge.rs`. */
export class Policy {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: Taking;

  private constructor(path: string) {
    this.#child = spawn(path, [], { stdio: ["pipe", "pipe", "inherit"] });
    this.#answers = new Taking(this.#child.stdout);
  }

  static async start(): Promise<Policy> {
    return new Policy(await buildExample("hauberk-data", "judge"));
  }

  async judge(pairs: readonly Pair[]): Promise<readonly Judged[]> {
    const texts = pairs.flatMap(({ rule, request }) => [rule.kind, rule.path, rule.host, rule.role, request]);
    this.#child.stdin.write(Buffer.concat(texts.map(counted)));
    const all: Judged[] = [];
    while (all.length < pairs.length) {
      const answer = (await this.#answers.take(1)).readUInt8();
      const message = await this.#answers.take((await this.#answers.take(4)).readUInt32BE());
      const isJudged = answer === MATCHED || answer === OUTSIDE;
      all.push(isJudged ? { type: "judged", isMatched: answer === MATCHED, message } : { type: "refused" });
    }
    return all;
  }

  close(): void {
    this.#child.stdin.end();
  }
}

/** Node's server, which is fed a message instead of a connection. */
export class Backend {
  readonly #server: Server;
  #seen: Seen | undefined;

  constructor() {
    this.#server = createServer((request: IncomingMessage, response: ServerResponse) => {
      const role = request.headers["x-role"];
      this.#seen = {
        url: request.url ?? "",
        host: request.headers.host ?? "",
        role: role === undefined ? undefined : String(role),
      };
      response.end();
    });
    this.#server.on("clientError", () => undefined);
  }

  /** What it sees; nothing if it refuses the message. */
  async see(message: Buffer): Promise<Seen | undefined> {
    this.#seen = undefined;
    const socket = new Duplex({ read: () => undefined, write: (_part, _encoding, done) => done() });
    socket.on("error", () => undefined);
    this.#server.emit("connection", socket);
    socket.push(message);
    for (let turns = 0; turns < TURNS_MAX && this.#seen === undefined; turns += 1) await turn();
    socket.destroy();
    return this.#seen;
  }
}
