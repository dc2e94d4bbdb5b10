import { after, before } from "node:test";
import { watched } from "./cases/watching.ts";
import { guideYaml } from "./guide.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { SERVERS } from "./policy-objects.ts";
import { AppPort } from "./ports.ts";

const ports = Object.values(AppPort);
const opaque = { "config.linkerd.io/opaque-ports": String(AppPort.opaque) };

const authorities = {
  "config.linkerd.io/proxy-additional-env": JSON.stringify([
    { name: "LINKERD2_PROXY_INBOUND_METRICS_AUTHORITY_LABELS", value: "unsafe" },
  ]),
};

let mesh: TestMesh;
before(async () => {
  // The guide's namespace comes in a file of its own, beside the accounts that belong to it.
  const [, ...accounts] = namespace(SERVERS, { isMeshed: true });
  mesh = await TestMesh.start({
    clients: [
      { name: "alice", namespace: "callers", account: "alice" },
      { name: "outside", namespace: "outside" },
    ],
    servers: [
      // Whoever wants to know what clients call a server lets them choose labels: there is a bound on those.
      { name: "stable", namespace: SERVERS, annotations: { ...opaque, ...authorities } },
      {
        name: "canary",
        namespace: SERVERS,
        annotations: { ...opaque, "config.linkerd.io/access-log": "apache" },
      },
    ],
    more: [
      ...namespace("callers", { isMeshed: true, accounts: ["alice"] }),
      ...namespace("outside", { isMeshed: false }),
      ...accounts,
      service("web", SERVERS, { app: "stable", ports, annotations: opaque }),
      service("apache", SERVERS, { app: "canary", ports, annotations: opaque }),
    ],
    yaml: guideYaml("observability", "Access log"),
  });
});
after(() => mesh.close());

watched(() => ({
  mesh,
  server: "stable-0",
  apache: "canary-0",
  namespace: SERVERS,
  to: (_caller, port) => ({ host: host("web", SERVERS), port }),
  toApache: { host: host("apache", SERVERS), port: AppPort.http },
}));
