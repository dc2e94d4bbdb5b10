import { Client, credentials } from "@grpc/grpc-js";
import { request } from "node:http";
import type { Agent } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import type { ServiceDefinition } from "@grpc/proto-loader";
import { method } from "./grpc.ts";

/** What a service answered over HTTP. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

/** Gets `url`; fails after `timeoutMs` or when the connection does. */
export function get(
  url: string,
  options: { readonly agent?: Agent; readonly timeoutMs: number },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      { agent: options.agent, signal: AbortSignal.timeout(options.timeoutMs) },
      (response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(parts).toString("utf8"),
          }),
        );
      },
    );
    call.on("error", reject);
    call.end();
  });
}

/** A channel to a gRPC service at `host:port`. */
export function channel(address: string): Client {
  return new Client(address, credentials.createInsecure(), { "grpc.service_config_disable_resolution": 1 });
}

/** One unary call. */
export function unary(
  client: Client,
  of: ServiceDefinition,
  call: { readonly method: string; readonly message: object; readonly timeoutMs: number },
): Promise<object> {
  const { path, requestSerialize, responseDeserialize } = method(of, call.method);
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + call.timeoutMs;
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      call.message,
      { deadline },
      (error, reply) => {
        if (error !== null) reject(error);
        else if (reply === undefined) reject(new Error(`${path} answered nothing`));
        else resolve(reply);
      },
    );
  });
}

/** Sends every message over one two-way stream and returns the answers, which come as the messages go. */
export function exchange(
  client: Client,
  of: ServiceDefinition,
  call: { readonly method: string; readonly messages: readonly object[]; readonly timeoutMs: number },
): Promise<readonly object[]> {
  const { path, requestSerialize, responseDeserialize } = method(of, call.method);
  return new Promise((resolve, reject) => {
    const answers: object[] = [];
    const deadline = Date.now() + call.timeoutMs;
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, { deadline });
    const next = (): void => {
      const message = call.messages[answers.length];
      if (message === undefined) stream.end();
      else stream.write(message);
    };
    stream.on("data", (answer: object) => {
      answers.push(answer);
      next();
    });
    stream.on("error", reject);
    stream.on("end", () => resolve(answers));
    next();
  });
}

/** Waits for the ledger's greeting, sends one command, closes its side, and returns both lines. */
export function ledger(
  address: string,
  command: string,
  timeoutMs: number,
): Promise<{ readonly greeting: string; readonly answer: string }> {
  const [host = "", port = ""] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), allowHalfOpen: true });
    const lines: string[] = [];
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error("the ledger did not answer in time")));
    socket.on("error", reject);
    // The server's end is ours, too: whatever it had to say has been said.
    socket.on("end", () => socket.end());
    const input = createInterface({ input: socket });
    // It repeats the socket's errors.
    input.on("error", reject);
    input.on("line", (line) => {
      lines.push(line.trimEnd());
      // Half-closed after the command: the answer must still come.
      if (lines.length === 1) socket.end(`${command}\r\n`);
    });
    socket.on("close", () => {
      const [greeting, answer] = lines;
      if (greeting === undefined || answer === undefined)
        reject(new Error("the ledger closed the connection"));
      else resolve({ greeting, answer });
    });
  });
}
