// The application of a backend pod: notes each id that it serves in a file, before it answers.
//
//   node backend.ts PORT NOTES
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";

const [port = "", notes = ""] = process.argv.slice(2);
/** A little work, so that requests are in flight when the process ends. */
const WORK_MS = 10;

const server = createServer((request, response) => {
  const id = request.url?.split("/").at(-1) ?? "";
  appendFileSync(notes, `${id}\n`);
  request.resume();
  setTimeout(() => response.end("noted\n"), WORK_MS);
});
server.keepAliveTimeout = 60_000;
server.listen(Number(port));
// As a well-kept server does: what has begun is finished, and connections are told to go.
process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
