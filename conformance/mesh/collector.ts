// A trace collector: takes what proxies export, as it comes, and leaves the reading of it to others.
//
//   node collector.ts FILE PORT
import { appendFileSync } from "node:fs";
import { constants, createServer, type ServerHttp2Stream } from "node:http2";
import { frame, Frames } from "./frames.ts";

const [file, port] = process.argv.slice(2);
if (file === undefined || port === undefined) throw new Error("usage: collector.ts FILE PORT");
const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

const server = createServer();
server.on("sessionError", () => undefined);
server.on("stream", (stream: ServerHttp2Stream, headers) => {
  stream.on("error", () => undefined);
  const parts: Buffer[] = [];
  stream.on("data", (part: Buffer) => parts.push(part));
  stream.on("end", () => {
    if (headers[":path"] !== EXPORT) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    for (const message of new Frames().pushBytes(Buffer.concat(parts))) appendFileSync(file, frame(message));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(frame(""));
  });
});
server.listen(Number(port));
