import { after, before } from "node:test";
import { policy, type PolicyWorld } from "./cases/policy.ts";
import { routing } from "./cases/routing.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { SERVERS } from "./policy-objects.ts";
import { AppPort } from "./ports.ts";

const ports = Object.values(AppPort);
const opaque = { "config.linkerd.io/opaque-ports": String(AppPort.opaque) };
/** Detection that finds nothing is over soon, so that a test need not wait for it. */
const detectSoon = JSON.stringify([{ name: "LINKERD2_PROXY_INBOUND_DETECT_TIMEOUT", value: "1s" }]);

function defaultPolicy(name: string): Readonly<Record<string, string>> {
  return {
    ...opaque,
    "config.linkerd.io/default-inbound-policy": name,
    "config.linkerd.io/proxy-additional-env": detectSoon,
  };
}

let mesh: TestMesh;
before(async () => {
  const app = (name: string, annotations: Readonly<Record<string, string>> = opaque) => ({
    name,
    namespace: SERVERS,
    annotations,
  });
  const services = (name: string): readonly object[] => [
    service(name, SERVERS, { app: name, ports, annotations: opaque }),
    service(`${name}-pods`, SERVERS, { app: name, ports, isHeadless: true }),
  ];
  mesh = await TestMesh.start({
    clients: [
      { name: "alice", namespace: "callers", account: "alice" },
      { name: "bob", namespace: "callers", account: "bob" },
      { name: "outside", namespace: "outside" },
    ],
    servers: [
      app("stable"),
      app("canary"),
      app("denied", defaultPolicy("deny")),
      app("inside", defaultPolicy("cluster-authenticated")),
    ],
    more: [
      ...namespace("callers", { isMeshed: true, accounts: ["alice", "bob"] }),
      ...namespace("outside", { isMeshed: false }),
      ...namespace(SERVERS, { isMeshed: true }),
      service("web", SERVERS, { app: "stable", ports, annotations: opaque }),
      ...["stable", "canary", "denied", "inside"].flatMap(services),
    ],
  });
});
after(() => mesh.close());

const to =
  (name: string): PolicyWorld["to"] =>
  (caller, port) => ({ host: host(caller === "outside-0" ? `${name}-pods` : name, SERVERS), port });

routing(() => ({
  mesh,
  client: mesh.place("alice-0"),
  web: { host: host("web", SERVERS), port: AppPort.http },
  namespace: SERVERS,
}));
policy(() => ({
  mesh,
  server: "stable-0",
  app: "stable",
  to: to("stable"),
  toDenied: to("denied"),
  toAuthenticated: to("inside"),
}));
