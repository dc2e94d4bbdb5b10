import { after, before } from "node:test";
import { discovery } from "./cases/discovery.ts";
import { limits, type LimitWorld } from "./cases/limits.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { AppPort } from "./ports.ts";

const SHOP = "shop";
const ports = Object.values(AppPort);

let mesh: TestMesh;
before(async () => {
  mesh = await TestMesh.start({
    clients: [
      { name: "alice", namespace: SHOP, account: "alice" },
      { name: "bob", namespace: SHOP, account: "bob" },
      { name: "outside", namespace: "outside" },
    ],
    servers: [
      { name: "payments", namespace: SHOP },
      { name: "api", namespace: SHOP, replicas: 3 },
    ],
    more: [
      ...namespace(SHOP, { isMeshed: true, accounts: [SHOP, "alice", "bob"] }),
      ...namespace("outside", { isMeshed: false }),
      ...["payments", "api"].flatMap((name) => [
        service(name, SHOP, { app: name, ports }),
        service(`${name}-pods`, SHOP, { app: name, ports, isHeadless: true }),
      ]),
    ],
  });
});
after(() => mesh.close());

const world = (): LimitWorld => ({
  mesh,
  to: (caller, app, port) => ({ host: host(caller === "outside-0" ? `${app}-pods` : app, SHOP), port }),
});

limits(world);
discovery(() => ({ mesh, client: mesh.place("alice-0"), namespace: SHOP }));
