import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before } from "node:test";
import { egress, OUTSIDE_IP, SHOP } from "./cases/egress.ts";
import { TestMesh, until } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { AppPort, OutsidePort } from "./ports.ts";
import { Wire } from "./wire.ts";

const RUN_MS_MAX = 3_600_000;
const ports = [AppPort.opaque];

let mesh: TestMesh;

/** Runs `ip` in the network of a pod; only the pod's own rights are missing for that. */
async function ip(pod: string, ...args: readonly string[]): Promise<void> {
  const { stdout } = await mesh.place(pod).run("sh", ["-c", "echo $PPID"], 5_000);
  execFileSync("nsenter", [`--net=/proc/${stdout.trim()}/ns/net`, "ip", ...args]);
}

before(async () => {
  mesh = await TestMesh.start({
    clients: [
      {
        name: "buyer",
        namespace: SHOP,
        annotations: { "config.linkerd.io/proxy-metrics-hostname-labels": "true" },
      },
      { name: "outside", namespace: "outside" },
    ],
    servers: ["database-old", "database-new"].map((name) => ({ name, namespace: SHOP })),
    more: [
      ...namespace(SHOP, { isMeshed: true }),
      ...namespace("outside", { isMeshed: false }),
      service("database", SHOP, { app: "database-old", ports }),
      ...["database-old", "database-new"].map((name) => service(name, SHOP, { app: name, ports })),
    ],
  });
  // An address that is nobody's in the cluster, on the far side of the pods' network.
  await ip("outside-0", "addr", "add", `${OUTSIDE_IP}/32`, "dev", "lo");
  await ip("buyer-0", "route", "add", `${OUTSIDE_IP}/32`, "via", await mesh.ip("outside-0"));
  const program = [join(import.meta.dirname, "outside.ts")];
  void mesh
    .place("outside-0")
    .run(process.execPath, program, RUN_MS_MAX)
    .catch(() => undefined);
  await until("the host outside listens", async () => {
    (await Wire.to(mesh.place("outside-0"), { host: OUTSIDE_IP, port: OutsidePort.grpc })).close();
    return true;
  });
});
after(() => mesh.close());

egress(() => ({ mesh, client: mesh.place("buyer-0") }));
