/** HTTP/2 with prior knowledge and gRPC through the pair. */
import assert from "node:assert/strict";
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from "node:http2";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import type { Address, Place } from "../../pair/pair.ts";
import { HINT } from "../app-streams.ts";
import { frame, Frames } from "../frames.ts";
import { until } from "../mesh.ts";
import type { Path } from "./http1.ts";

const ANSWER_MS_MAX = 20_000;
const PARALLEL = 50;
const Plain = z.object({
  replica: z.string(),
  headers: z.record(z.string(), z.unknown()),
  bytes: z.number(),
});

/** An HTTP/2 connection from inside a pod. */
export async function session(place: Place, address: Address): Promise<ClientHttp2Session> {
  const socket = await place.dial(address);
  const made = connect(`http://${address.host}`, { createConnection: () => socket });
  made.on("error", () => undefined);
  return made;
}

/** How a stream went. */
export interface Streamed {
  readonly headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly trailers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly body: Buffer;
}

/** Reads a stream to its end. */
export async function finished(stream: ClientHttp2Stream): Promise<Streamed> {
  let headers: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
  let trailers: IncomingHttpHeaders & IncomingHttpStatusHeader = {};
  stream.on("response", (heard) => (headers = heard));
  stream.on("trailers", (heard) => (trailers = heard));
  stream.setTimeout(ANSWER_MS_MAX, () => stream.close(constants.NGHTTP2_CANCEL));
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(z.instanceof(Buffer).parse(part));
  return { headers, trailers, body: Buffer.concat(parts) };
}

/** Begins a call; messages are written by the caller. */
export function begin(
  client: ClientHttp2Session,
  method: string,
  headers: Readonly<Record<string, string>> = {},
): ClientHttp2Stream {
  return client.request(
    {
      ":method": "POST",
      ":path": `/conformance.Streams/${method}`,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    },
    { endStream: false },
  );
}

/** A call from its first message to its status. */
export async function call(
  client: ClientHttp2Session,
  method: string,
  messages: readonly string[],
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly messages: readonly string[]; readonly status: string; readonly message: string }> {
  const stream = begin(client, method, headers);
  const outcome = finished(stream);
  for (const message of messages) stream.write(frame(message));
  stream.end();
  const { headers: heard, trailers, body } = await outcome;
  // A status without messages comes in the head.
  const status = trailers["grpc-status"] ?? heard["grpc-status"];
  const message = trailers["grpc-message"] ?? heard["grpc-message"];
  return { messages: new Frames().push(body), status: String(status), message: String(message ?? "") };
}

export function streams(path: () => Path): void {
  let client: ClientHttp2Session;
  describe("HTTP/2 and gRPC", () => {
    before(async () => {
      client = await session(path().client, path().address);
    });
    after(() => client.destroy());

    test("an HTTP/2 connection with prior knowledge carries many requests at once", async () => {
      const paths = Array.from({ length: PARALLEL }, (_, index) => `/stream/${index}`);
      const answers = await Promise.all(paths.map((one) => finished(client.request({ ":path": one }))));
      for (const [index, { headers, body }] of answers.entries()) {
        assert.equal(headers[":status"], 200);
        assert.equal(Plain.parse(JSON.parse(body.toString())).headers[":path"], paths[index]);
      }
    });

    test("100, and 103 with its fields, come through while the server waits for the body", async () => {
      const stream = client.request({ ":path": "/hints", ":method": "POST", expect: "100-continue" });
      const heard: (readonly [unknown, unknown])[] = [];
      stream.on("headers", (headers) => heard.push([headers[":status"], headers["link"]]));
      const outcome = finished(stream);
      await until("both come", async () => heard.length === 2);
      assert.deepEqual(heard, [
        [100, undefined],
        [103, HINT],
      ]);
      stream.end("late");
      const { headers, body } = await outcome;
      assert.equal(headers[":status"], 200);
      assert.equal(z.object({ bytes: z.number() }).parse(JSON.parse(body.toString())).bytes, 4);
    });

    test("a unary call brings its message, its status and the server's trailers", async () => {
      const stream = begin(client, "Unary");
      const outcome = finished(stream);
      stream.end(frame("hello"));
      const { headers, trailers, body } = await outcome;
      assert.equal(headers["content-type"], "application/grpc");
      assert.deepEqual(new Frames().push(body), ["hello"]);
      assert.equal(trailers["grpc-status"], "0");
      assert.equal(trailers["x-replica-trailer"], path().server);
    });

    test("a server stream brings every message in order", async () => {
      const { messages, status } = await call(client, "ServerStream", ["200"]);
      assert.equal(status, "0");
      assert.deepEqual(
        messages,
        Array.from({ length: 200 }, (_, index) => `message ${index}`),
      );
    });

    test("a client stream brings every message", async () => {
      const many = Array.from({ length: 300 }, (_, index) => `${index}`);
      assert.deepEqual((await call(client, "ClientStream", many)).messages, ["300 messages"]);
    });

    test("a two-way stream answers each message before the next is sent", async () => {
      const stream = begin(client, "Bidi");
      const frames = new Frames();
      const heard: string[] = [];
      stream.on("data", (part: Buffer) => heard.push(...frames.push(part)));
      for (let round = 1; round <= 5; round += 1) {
        stream.write(frame(`ping ${round}`));
        await until("the echo comes", async () => heard.length === round);
      }
      assert.deepEqual(heard, ["1: ping 1", "2: ping 2", "3: ping 3", "4: ping 4", "5: ping 5"]);
      stream.end();
    });

    test("a status that is no success comes through as it is", async () => {
      assert.equal((await call(client, "Unknown", ["x"])).status, "12");
    });

    test("a call that the client cancels is cancelled at the server, and the connection lives on", async () => {
      const { mesh, server } = path();
      const stream = begin(client, "Hang", { "x-id": "cancelled" });
      stream.on("error", () => undefined);
      stream.resume();
      stream.write(frame("x"));
      const has = (event: string) => async () => (await mesh.events(server)).includes(event);
      await until("the call arrives", has("stream began cancelled"));
      stream.close(constants.NGHTTP2_CANCEL);
      await until("it ends", has(`stream ended cancelled ${constants.NGHTTP2_CANCEL}`));
      assert.equal((await call(client, "Unary", ["still"])).status, "0");
    });

    test("the client's deadline reaches the server", async () => {
      const { messages } = await call(client, "Deadline", ["x"], { "grpc-timeout": "7S" });
      const [, amount, unit = ""] = /^(\d+)([HMSmun])$/.exec(messages[0] ?? "") ?? [];
      const seconds: Readonly<Record<string, number>> = { S: 1, m: 1e-3, u: 1e-6, n: 1e-9 };
      const left = Number(amount) * (seconds[unit] ?? Number.NaN);
      assert.ok(left > 5 && left <= 7, `the server saw ${messages[0] ?? "nothing"}`);
    });
  });
}
