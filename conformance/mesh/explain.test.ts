import { after, before } from "node:test";
import { explained } from "./cases/explain.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { SERVERS } from "./policy-objects.ts";
import { AppPort } from "./ports.ts";

const SILENT_PORT = 8_099;
const ports = [...Object.values(AppPort), SILENT_PORT];
const opaque = { "config.linkerd.io/opaque-ports": String(AppPort.opaque) };

let mesh: TestMesh;
before(async () => {
  mesh = await TestMesh.start({
    clients: [
      { name: "alice", namespace: "callers", account: "alice" },
      { name: "outside", namespace: "outside" },
    ],
    servers: [{ name: "stable", namespace: SERVERS, annotations: opaque }],
    more: [
      ...namespace("callers", { isMeshed: true, accounts: ["alice"] }),
      ...namespace("outside", { isMeshed: false }),
      ...namespace(SERVERS, { isMeshed: true }),
      service("web", SERVERS, { app: "stable", ports, annotations: opaque }),
      service("pods", SERVERS, { app: "stable", ports, isHeadless: true }),
    ],
  });
});
after(() => mesh.close());

explained(() => ({
  mesh,
  server: "stable-0",
  app: "stable",
  silentPort: SILENT_PORT,
  to: (caller, port) => ({ host: host(caller === "outside-0" ? "pods" : "web", SERVERS), port }),
}));
