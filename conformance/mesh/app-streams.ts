/** The application's HTTP/2 side: plain requests, and a gRPC service whose messages are plain text. */
import { constants, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { check } from "./app-check.ts";
import { frame, Frames } from "./frames.ts";

/** An early hint (RFC 8297). */
export const HINT = "</style.css>; rel=preload; as=style";

/** Serves on `port` without TLS. `note` keeps what happened. */
export function serveStreams(port: number, replica: string, note: (event: string) => void): void {
  const server = createServer();
  server.on("sessionError", () => undefined);
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => undefined);
    const isGrpc = headers["content-type"]?.startsWith("application/grpc") === true;
    const serve = isGrpc ? grpc : plain;
    serve(stream, headers, { replica, note }).catch(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  });
  server.listen(port);
}

interface World {
  readonly replica: string;
  readonly note: (event: string) => void;
}

/** How often each call was refused. */
const refused = new Map<string, number>();

/** Whether a call is to be refused once more. */
function isRefused(id: string, times: number): boolean {
  const before = refused.get(id) ?? 0;
  refused.set(id, before + 1);
  return before < times;
}

async function plain(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { replica }: World,
): Promise<void> {
  if (headers["expect"] === "100-continue") stream.additionalHeaders({ ":status": 100 });
  if (headers[":path"] === "/hints") stream.additionalHeaders({ ":status": 103, link: HINT });
  let bytes = 0;
  for await (const part of stream) bytes += part.length;
  stream.respond({ ":status": 200, "content-type": "application/json", "x-replica": replica });
  stream.end(JSON.stringify({ replica, headers: { ...headers }, bytes }));
}

/** Answers as external authorization, after the pause that the question asks for. */
async function judge(stream: ServerHttp2Stream, note: World["note"]): Promise<void> {
  const frames = new Frames();
  for await (const part of stream) {
    for (const message of frames.pushBytes(part)) {
      await sleep(Number(/pause-(\d+)/.exec(message.toString("latin1"))?.[1] ?? 0));
      stream.write(frame(check(message, note)));
    }
  }
  stream.end();
}

async function grpc(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  { replica, note }: World,
): Promise<void> {
  const method = headers[":path"]?.split("/").at(-1);
  const say = (text: string): boolean => stream.write(frame(text));
  if (method === "Flaky" && isRefused(String(headers["x-id"]), Number(headers["x-times"]))) {
    stream.respond(
      { ":status": 200, "content-type": "application/grpc", "grpc-status": "14" },
      { endStream: true },
    );
    return;
  }
  stream.respond(
    { ":status": 200, "content-type": "application/grpc", "x-replica": replica },
    { waitForTrailers: true },
  );
  stream.once("wantTrailers", () => {
    const isKnown = method !== "Unknown";
    stream.sendTrailers({ "grpc-status": isKnown ? "0" : "12", "x-replica-trailer": replica });
  });
  const frames = new Frames();
  if (method === "Hang") {
    const id = String(headers["x-id"]);
    note(`stream began ${id}`);
    stream.once("close", () => note(`stream ended ${id} ${stream.rstCode}`));
    say("hanging");
    return;
  }
  if (headers[":path"] === "/envoy.service.auth.v3.Authorization/Check") return judge(stream, note);
  let count = 0;
  for await (const part of stream) {
    for (const message of frames.push(part)) {
      count += 1;
      if (method === "Unary" || method === "Flaky") say(message);
      if (method === "Deadline") say(String(headers["grpc-timeout"]));
      if (method === "Bidi") say(`${count}: ${message}`);
      if (method === "ServerStream")
        for (let index = 0; index < Number(message); index += 1) say(`message ${index}`);
    }
  }
  if (method === "ClientStream") say(`${count} messages`);
  stream.end();
}
