import { after, before } from "node:test";
import { affinity } from "./cases/affinity.ts";
import { filters, type TrafficWorld } from "./cases/filters.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { AppPort } from "./ports.ts";

const SHOP = "shop";
const ports = Object.values(AppPort);

let mesh: TestMesh;
before(async () => {
  const app = (name: string, replicas = 1) => ({ name, namespace: SHOP, replicas });
  mesh = await TestMesh.start({
    clients: [{ name: "agent", namespace: SHOP }],
    servers: [app("stable", 3), app("canary")],
    more: [
      ...namespace(SHOP, { isMeshed: true }),
      service("web", SHOP, { app: "stable", ports }),
      ...["stable", "canary"].map((name) => service(name, SHOP, { app: name, ports })),
    ],
  });
});
after(() => mesh.close());

const world = (): TrafficWorld => ({
  mesh,
  client: mesh.place("agent-0"),
  to: (name, port = AppPort.http) => ({ host: host(name, SHOP), port }),
});

filters(world);
affinity(world);
