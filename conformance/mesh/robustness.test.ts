import { after, before } from "node:test";
import { hostile, type HostileWorld } from "./cases/hostile.ts";
import { leaving } from "./cases/leaving.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { SERVERS } from "./policy-objects.ts";
import { AppPort } from "./ports.ts";

const ports = Object.values(AppPort);

let mesh: TestMesh;
before(async () => {
  mesh = await TestMesh.start({
    clients: [
      { name: "caller", namespace: "callers", account: "caller" },
      { name: "outside", namespace: "outside" },
    ],
    // A log of every connection, so that one that cannot be written is missed.
    servers: [
      {
        name: "server",
        namespace: SERVERS,
        replicas: 2,
        annotations: { "config.linkerd.io/proxy-log-level": "debug" },
      },
    ],
    more: [
      ...namespace("callers", { isMeshed: true, accounts: ["caller"] }),
      ...namespace("outside", { isMeshed: false }),
      ...namespace(SERVERS, { isMeshed: true }),
      service("server", SERVERS, { app: "server", ports }),
    ],
  });
});
after(() => mesh.close());

const world = (): HostileWorld => ({
  mesh,
  service: (port) => ({ host: host("server", SERVERS), port }),
});
hostile(world);
leaving(world);
