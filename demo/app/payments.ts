import { createServer } from "node:http";
import { listenPort, onStop, setting } from "./settings.ts";

const version = setting("VERSION");
const server = createServer((request, response) => {
  const path = request.url ?? "/";
  if (path === "/healthz") {
    response.end("ok\n");
    return;
  }
  const found = /^\/payments\/([A-Za-z0-9-]{1,64})$/.exec(path);
  if (found === null) {
    response.writeHead(404).end("no such payment\n");
    return;
  }
  response.writeHead(200, { "content-type": "application/json", "x-version": version });
  response.end(JSON.stringify({ id: found[1], state: "settled", version }));
});
server.keepAliveTimeout = 60_000;
server.listen(listenPort(), "0.0.0.0", () => console.log(`payments ${version} on ${listenPort()}`));
onStop(() => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
