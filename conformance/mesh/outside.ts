// A host outside of the mesh: plain HTTP, TLS under any name, gRPC and raw bytes.
//
//   node outside.ts
import { createServer as createHttp } from "node:http";
import { createServer as createTcp } from "node:net";
import { createServer as createTls } from "node:tls";
import { ANONYMOUS } from "./anonymous.ts";
import { serveStreams } from "./app-streams.ts";
import { OutsidePort } from "./ports.ts";

/** Says under which name it was reached. */
function tls(port: number): void {
  const server = createTls(ANONYMOUS, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(`outside as ${String(socket.servername)}\n`);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.listen(port, "0.0.0.0");
}

createHttp((request, response) => {
  response.setHeader("x-outside", "yes");
  response.end(`outside for ${request.headers.host ?? ""}${request.url ?? ""}`);
}).listen(OutsidePort.http, "0.0.0.0");
tls(OutsidePort.tls);
// Both on one port: the first byte of TLS is 22.
createTcp((socket) => {
  socket.on("error", () => socket.destroy());
  socket.once("data", (part: Buffer) => {
    socket.end(part[0] === 22 ? "TLS came\n" : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });
}).listen(OutsidePort.both, "0.0.0.0");
createTcp((socket) => {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
}).listen(OutsidePort.raw, "0.0.0.0");
serveStreams(OutsidePort.grpc, "outside", () => undefined);
