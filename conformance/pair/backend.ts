// The server's application: HTTP/2 without TLS on one port, and on another a recorder that keeps every byte it is sent.
//
//   node backend.ts CONTROL_SOCKET PYTHON JUDGE
import { rmSync } from "node:fs";
import { createServer as createHttp2 } from "node:http2";
import { createServer, type Socket } from "node:net";
import { Judge } from "../http1-corpus/judge.ts";
import { BackendPort } from "./pair.ts";

const [control, python, script] = process.argv.slice(2);
if (control === undefined || python === undefined || script === undefined)
  throw new Error("usage: backend.ts CONTROL_SOCKET PYTHON JUDGE");

const http2 = createHttp2((request, response) => {
  request.resume();
  response.writeHead(200, { "content-type": "text/plain" });
  response.end("the backend answers\n");
});
http2.on("sessionError", () => undefined);
http2.listen(BackendPort.h2c);

const judge = new Judge(python, script);
const gone = new Set<object>();
/** Each connection's bytes, and how many of them were taken: a proxy keeps its connections and uses them again. */
const recorded = new Set<{ bytes: Buffer; taken: number }>();

/** Answers each request that a strict reader finds complete, and a broken one too, so that no proxy waits for us. */
async function record(socket: Socket): Promise<void> {
  const connection = { bytes: Buffer.alloc(0), taken: 0 };
  recorded.add(connection);
  socket.once("close", () => gone.add(connection));
  // Read from the last answer on: h11 ends its reading after a message of HTTP/1.0, a proxy keeps the connection.
  let unanswered = 0;
  for await (const part of socket) {
    connection.bytes = Buffer.concat([connection.bytes, part]);
    const { complete, error } = await judge.read(connection.bytes.subarray(unanswered));
    const due = error === null ? complete : Math.max(complete, 1);
    if (due > 0) unanswered = connection.bytes.length;
    for (let answered = 0; answered < due; answered += 1) {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  }
}

createServer((socket) => {
  socket.on("error", () => socket.destroy());
  record(socket).catch(() => socket.destroy());
}).listen(BackendPort.http1);

// Each connection to the control socket takes what was recorded since the last one.
rmSync(control, { force: true });
createServer((socket) => {
  socket.on("error", () => socket.destroy());
  const fresh: string[] = [];
  for (const connection of recorded) {
    if (connection.bytes.length > connection.taken) {
      fresh.push(connection.bytes.subarray(connection.taken).toString("hex"));
      connection.taken = connection.bytes.length;
    }
    if (gone.delete(connection)) recorded.delete(connection);
  }
  socket.end(JSON.stringify(fresh));
}).listen(control);
