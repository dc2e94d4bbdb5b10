import { after, before } from "node:test";
import { authz, type AuthzWorld } from "./cases/authz.ts";
import { authzKeys } from "./cases/authz_keys.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { AppPort } from "./ports.ts";

const ports = Object.values(AppPort);

let mesh: TestMesh;
before(async () => {
  mesh = await TestMesh.start({
    clients: [
      { name: "web", namespace: "frontend", account: "web" },
      { name: "other", namespace: "frontend", account: "other" },
      { name: "outside", namespace: "outside" },
    ],
    servers: [
      { name: "payments", namespace: "prod", probePath: "/live" },
      { name: "judge", namespace: "prod", account: "judge" },
    ],
    more: [
      ...namespace("frontend", { isMeshed: true, accounts: ["web", "other"] }),
      ...namespace("outside", { isMeshed: false }),
      ...namespace("prod", { isMeshed: true, accounts: ["prod", "judge"] }),
      service("judge", "prod", { app: "judge", ports }),
      service("payments", "prod", { app: "payments", ports }),
      service("payments-pods", "prod", { app: "payments", ports, isHeadless: true }),
    ],
  });
});
after(() => mesh.close());

const world = (): AuthzWorld => ({
  mesh,
  to: (caller, port) => ({ host: host(caller === "outside-0" ? "payments-pods" : "payments", "prod"), port }),
});

authz(world);
authzKeys(world);
