// The application behind the server's proxy. It says what it saw, and knows nothing of a mesh.
//
//   REPLICA=NAME node app.ts CONTROL_SOCKET
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcp, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fail } from "./app-faults.ts";
import { HINT, serveStreams } from "./app-streams.ts";
import { patterned } from "./pattern.ts";
import { AppPort } from "./ports.ts";

const [control] = process.argv.slice(2);
if (control === undefined) throw new Error("usage: app.ts CONTROL_SOCKET");
const replica = process.env["REPLICA"] ?? "";
/** More than the proxy's own limit for heads. */
const HEAD_BYTES_MAX = 1024 * 1024;

/** What happened, for the test to ask for. */
const events: string[] = [];

const sha256 = (): ReturnType<typeof createHash> => createHash("sha256");

function json(response: ServerResponse, value: object): void {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(value));
}

/** Answers with the body as it comes, and its digest and the request's trailers in trailers. */
async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = sha256();
  response.writeHead(200, { trailer: "x-sha256, x-saw" });
  for await (const part of request) {
    hash.update(part);
    response.write(part);
  }
  response.addTrailers({ "x-sha256": hash.digest("hex"), "x-saw": request.trailers["x-said"] ?? "none" });
  response.end();
}

async function digest(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = sha256();
  let bytes = 0;
  for await (const part of request) {
    hash.update(part);
    bytes += part.length;
  }
  json(response, {
    bytes,
    sha256: hash.digest("hex"),
    encoding: request.headers["transfer-encoding"] ?? "",
    said: request.trailers["x-said"] ?? "",
  });
}

/** Notes that it came and how much of it there was; a replica that `x-lag: REPLICA=MS` names begins to read late. */
async function note(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { "x-note": name, "x-mirrored": mirrored, "x-lag": lag, host } = request.headers;
  const [slow, ms] = String(lag).split("=");
  if (slow === replica) await sleep(Number(ms));
  let bytes = 0;
  for await (const part of request) bytes += part.length;
  events.push(`noted ${String(name)} ${request.url ?? ""} ${String(mirrored)} ${host ?? ""} ${bytes}`);
  json(response, { replica, bytes });
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, what = "", argument = ""] = (request.url ?? "").split("?", 1)[0]?.split("/") ?? [];
  response.setHeader("x-replica", replica);
  if (await fail(request, response, { replica, note: (event) => events.push(event) })) return;
  switch (what) {
    case "echo":
      return echo(request, response);
    case "digest":
      return digest(request, response);
    case "bytes": {
      response.setHeader("content-length", argument);
      await pipeline(patterned(Number(argument)), response);
      return;
    }
    case "early":
      response.writeHead(413, { "content-length": "5" });
      response.end("early");
      return;
    // The answer comes after the body: what is heard before it was passed on meanwhile.
    case "hints":
      response.writeProcessing();
      response.writeEarlyHints({ link: HINT, "l5d-proxy-error": "forged" });
      json(response, { body: await text(request) });
      return;
    case "slow":
      setTimeout(() => json(response, { replica }), Number(argument));
      return;
    case "hang":
      events.push(`hang began ${argument}`);
      response.once("close", () => events.push(`hang ended ${argument}`));
      return;
    case "status":
      response.statusCode = Number(argument);
      return json(response, { replica });
    case "close":
      response.setHeader("connection", "close");
      json(response, { replica });
      return;
    case "body":
      json(response, { body: await text(request) });
      return;
    default:
      if (request.headers["x-note"] !== undefined) return note(request, response);
      json(response, {
        replica,
        method: request.method ?? "",
        url: request.url ?? "",
        version: request.httpVersion,
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        socket: `${request.socket.remoteAddress ?? ""}:${request.socket.remotePort ?? ""}`,
      });
  }
}

function http(port: number): void {
  const server = createServer({ maxHeaderSize: HEAD_BYTES_MAX, keepAliveTimeout: 0 }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.startsWith("/refuse") === true) {
      response.writeHead(417, { "content-length": "0" });
      response.end();
      return;
    }
    events.push("100-continue asked");
    response.writeContinue();
    answer(request, response).catch(() => response.destroy());
  });
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const protocol = request.headers.upgrade ?? "";
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`);
    socket.write(head);
    socket.pipe(socket);
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  server.listen(port);
}

/** Greets, then echoes until the other side is done, then says how much that was. `close` ends our side at once. */
function greet(port: number): void {
  createTcp({ allowHalfOpen: true }, (socket) => {
    const hash = sha256();
    let bytes = 0;
    let isClosed = false;
    socket.on("error", () => socket.destroy());
    socket.write(`220 ${replica} is here\n`);
    socket.on("data", (part: Buffer) => {
      hash.update(part);
      bytes += part.length;
      if (part.toString("latin1").startsWith("close\n") && bytes === part.length) {
        isClosed = true;
        socket.end("closing\n");
      } else if (!isClosed && !socket.write(part)) {
        socket.pause();
        socket.once("drain", () => socket.resume());
      }
    });
    socket.on("end", () => {
      const end = `bye ${bytes} ${hash.digest("hex")}\n`;
      if (isClosed) events.push(end.trim());
      else socket.end(end);
    });
  }).listen(port);
}

for (const port of [AppPort.http, AppPort.guarded]) http(port);
for (const port of [AppPort.h2c, AppPort.guardedH2c])
  serveStreams(port, replica, (event) => events.push(event));
for (const port of [AppPort.greeter, AppPort.opaque]) greet(port);

rmSync(control, { force: true });
createTcp((socket) => {
  socket.on("error", () => socket.destroy());
  socket.end(JSON.stringify(events));
}).listen(control);
