import { after, before } from "node:test";
import { limitsAndZones } from "./cases/overload.ts";
import { profiles } from "./cases/profiles.ts";
import { retries, type ResilienceWorld } from "./cases/resilience.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace } from "./objects.ts";
import { AppPort } from "./ports.ts";

const SHOP = "shop";
const ZONE = "topology.kubernetes.io/zone";

let mesh: TestMesh;
before(async () => {
  const app = (name: string, replicas: number, labels: Readonly<Record<string, string>> = {}) => ({
    name,
    namespace: SHOP,
    replicas,
    labels,
  });
  mesh = await TestMesh.start({
    clients: [{ name: "agent", namespace: SHOP, labels: { [ZONE]: "a" } }],
    servers: [
      app("books", 1),
      app("shelf", 2),
      app("near", 1, { tier: "zoned", [ZONE]: "a" }),
      app("far", 1, { tier: "zoned", [ZONE]: "b" }),
    ],
    more: namespace(SHOP, { isMeshed: true }),
  });
});
after(() => mesh.close());

const world = (): ResilienceWorld => ({
  mesh,
  client: mesh.place("agent-0"),
  to: (name, port = AppPort.http) => ({ host: host(name, SHOP), port }),
});

retries(world);
profiles(world);
limitsAndZones(world);
