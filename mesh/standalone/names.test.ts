import assert from "node:assert/strict";
import { test } from "node:test";
import type { DecodedPacket } from "dns-packet";
import { decode, encode } from "dns-packet";
import type { Service } from "../model/service.ts";
import { answer, resolvConf } from "./dns.ts";
import { listeners, zone } from "./services.ts";
import type { Backend } from "./services.ts";

const meta = {
  uid: "u",
  labels: {},
  annotations: {},
  createdMs: 0,
  isDeleting: false,
  owner: undefined,
};

function service(name: string, more: Partial<Service> = {}): Service {
  return {
    meta: { ...meta, namespace: "prod", name },
    clusterIps: ["10.96.0.5", "fd00::5"],
    isHeadless: false,
    externalName: undefined,
    selector: { app: name },
    ports: [{ name: "http", port: 80, targetPort: "web", protocol: "TCP", appProtocol: undefined }],
    isNodeLocal: false,
    publishesNotReady: false,
    prefersZone: false,
    ...more,
  };
}

function backend(name: string, ip: string, more: Partial<Backend> = {}): Backend {
  return {
    namespace: "prod",
    name,
    ip,
    ready: true,
    labels: { app: "db" },
    ports: [{ name: "web", port: 8080 }],
    ...more,
  };
}

const services = [
  service("web"),
  service("db", { isHeadless: true, clusterIps: [] }),
  service("out", { externalName: "web.prod.svc.cluster.local.", clusterIps: [], selector: undefined }),
];
const pods = [
  backend("db-0", "10.244.0.11"),
  backend("db-1", "10.244.0.12"),
  backend("db-2", "10.244.0.13", { ready: false }),
];
const names = zone(services, pods, "cluster.local");

function ask(name: string, type: "A" | "AAAA" | "SRV") {
  const query: DecodedPacket = decode(
    encode({ type: "query", id: 7, flags: 256, questions: [{ name, type }] }),
  );
  const { id, flags = 0, answers = [] } = decode(encode(answer(query, names)));
  const data = answers.map((one) => ("data" in one ? one.data : undefined));
  return { id, code: flags & 15, data };
}

test("a service's name stands for its cluster address, in any spelling", () => {
  assert.deepEqual(ask("web.prod.svc.cluster.local", "A"), { id: 7, code: 0, data: ["10.96.0.5"] });
  assert.deepEqual(ask("WEB.Prod.svc.cluster.local", "A").data, ["10.96.0.5"]);
});

test("a headless service's name stands for its ready pods, and each of them has a name", () => {
  assert.deepEqual(ask("db.prod.svc.cluster.local", "A").data, ["10.244.0.11", "10.244.0.12"]);
  assert.deepEqual(ask("db-1.db.prod.svc.cluster.local", "A").data, ["10.244.0.12"]);
});

test("a name that exists has no IPv6 address; one that does not exist is denied at once", () => {
  assert.deepEqual(ask("web.prod.svc.cluster.local", "AAAA"), { id: 7, code: 0, data: [] });
  assert.equal(ask("prod.svc.cluster.local", "A").code, 0);
  for (const name of ["nothing.prod.svc.cluster.local", "example.com", "toString", "constructor"])
    assert.equal(ask(name, "A").code, 3, name);
});

test("external names are followed and ports are found", () => {
  assert.deepEqual(ask("out.prod.svc.cluster.local", "A").data, ["web.prod.svc.cluster.local", "10.96.0.5"]);
  assert.deepEqual(ask("_http._tcp.db.prod.svc.cluster.local", "SRV").data, [
    { priority: 0, weight: 100, port: 8080, target: "db-0.db.prod.svc.cluster.local" },
    { priority: 0, weight: 100, port: 8080, target: "db-1.db.prod.svc.cluster.local" },
  ]);
});

test("pods without a proxy reach cluster addresses through listeners, with named ports resolved", () => {
  const labels = { app: "web" };
  assert.deepEqual(
    listeners(
      [service("web")],
      [backend("a", "10.244.0.20", { labels }), backend("b", "10.244.0.21", { labels, ports: [] })],
    ),
    [{ name: "prod/web:80", listen: ["10.96.0.5:80"], endpoints: ["10.244.0.20:8080"] }],
  );
});

test("resolv.conf searches the pod's namespace first", () => {
  assert.equal(
    resolvConf("prod", "cluster.local", "10.244.0.1"),
    "nameserver 10.244.0.1\nsearch prod.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:2 attempts:2\n",
  );
});
