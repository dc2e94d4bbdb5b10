import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Address } from "../pair/pair.ts";
import { http1, Seen, type Path } from "./cases/http1.ts";
import { host, TestMesh } from "./mesh.ts";
import { namespace, service } from "./objects.ts";
import { AppPort } from "./ports.ts";
import { streams } from "./cases/streams.ts";
import { tcp } from "./cases/tcp.ts";
import { fetchOnce } from "./wire.ts";

const CLIENT = "caller-0";
const SERVER = "server-0";
const opaque = { "config.linkerd.io/opaque-ports": String(AppPort.opaque) };
const OF_CLIENT = "caller.callers.serviceaccount.identity.linkerd.cluster.local";
const OF_SERVER = "servers.servers.serviceaccount.identity.linkerd.cluster.local";

let mesh: TestMesh;
before(async () => {
  mesh = await TestMesh.start({
    clients: [
      { name: "caller", namespace: "callers", account: "caller" },
      { name: "outside", namespace: "outside" },
    ],
    servers: [{ name: "server", namespace: "servers", annotations: opaque }],
    more: [
      ...namespace("callers", { isMeshed: true, accounts: ["caller"] }),
      ...namespace("outside", { isMeshed: false }),
      ...namespace("servers", { isMeshed: true }),
      service("server", "servers", {
        app: "server",
        ports: Object.values(AppPort),
        annotations: opaque,
      }),
      service("pods", "servers", { app: "server", ports: Object.values(AppPort), isHeadless: true }),
    ],
  });
});
after(() => mesh.close());

const at = (port: number): Address => ({ host: host("server", "servers"), port });
const path = (port: number): Path => ({
  mesh,
  client: mesh.place(CLIENT),
  address: at(port),
  server: SERVER,
});

http1(() => path(AppPort.http));
streams(() => path(AppPort.h2c));
tcp(() => ({
  mesh,
  client: mesh.place(CLIENT),
  opaque: at(AppPort.opaque),
  detected: at(AppPort.greeter),
  server: SERVER,
}));

/** Of both proxies, what counts requests to the HTTP port. */
async function counts(): Promise<readonly number[]> {
  return [
    await mesh.sum(CLIENT, "response_total", 'direction="outbound"', `dst_service="server"`),
    await mesh.sum(SERVER, "response_total", 'direction="inbound"', `target_port="${AppPort.http}"`),
    await mesh.sum(SERVER, "inbound_http_authz_allow_total", `target_port="${AppPort.http}"`),
    await mesh.sum(SERVER, "inbound_http_authz_allow_total", `client_id="${OF_CLIENT}"`),
  ];
}

describe("identity and metrics", () => {
  test("the application learns who called, and a caller cannot pretend to be another", async () => {
    const forged = { "l5d-client-id": "admin.prod.serviceaccount.identity.linkerd.cluster.local" };
    const meshed = await fetchOnce(mesh.place(CLIENT), at(AppPort.http), { headers: forged });
    assert.equal(Seen.parse(JSON.parse(meshed.body.toString())).headers["l5d-client-id"], OF_CLIENT);
    const pod = { host: host("pods", "servers"), port: AppPort.http };
    const plain = await fetchOnce(mesh.place("outside-0"), pod, { headers: forged });
    assert.equal(plain.status, 200);
    assert.equal(Seen.parse(JSON.parse(plain.body.toString())).headers["l5d-client-id"], undefined);
  });

  test("every mesh connection is TLS 1.3 with X25519MLKEM768, and both ends know each other", async () => {
    await fetchOnce(mesh.place(CLIENT), at(AppPort.http));
    const tls = "hauberk_tls_connections_total";
    for (const [pod, peer, name] of [
      [CLIENT, OF_SERVER, "server_id"],
      [SERVER, OF_CLIENT, "client_id"],
    ] as const) {
      const all = (await mesh.metrics(pod)).filter((one) => one.name === tls && one.labels.includes(peer));
      assert.ok(all.length > 0, `${pod} has no ${tls} with ${peer}`);
      for (const { labels } of all) {
        assert.match(labels, /X25519MLKEM768/);
        assert.ok(labels.includes(`${name}="${peer}"`), labels);
      }
    }
  });

  test("bodies, connections and the control plane's services are counted under Linkerd's names", async () => {
    const body = "x".repeat(5_000);
    const asked = { method: "POST", path: "/digest", body };
    assert.equal((await fetchOnce(mesh.place(CLIENT), at(AppPort.http), asked)).status, 200);
    const counted: readonly (readonly [pod: string, metric: string, part: string, least: number])[] = [
      [CLIENT, "outbound_http_route_request_frame_size_bytes_sum", "", body.length],
      [CLIENT, "outbound_http_route_backend_response_frame_size_bytes_count", "", 1],
      [SERVER, "inbound_http_request_frame_size_bytes_sum", "", body.length],
      [SERVER, "inbound_http_response_frame_size_bytes_count", "", 1],
      [SERVER, "inbound_http_response_duration_seconds_count", "", 1],
      [CLIENT, "outbound_tcp_protocol_connections_total", 'protocol="http/1"', 1],
      [CLIENT, "control_request_total", "", 1],
      [CLIENT, "control_response_total", 'classification="success"', 1],
      [CLIENT, "control_response_latency_ms_count", "", 1],
      ...["destination", "policy"].flatMap((name) => [
        [CLIENT, `control_${name}_balancer_endpoints`, 'endpoint_state="ready"', 1] as const,
        [CLIENT, `control_${name}_balancer_p2c_updates_total`, "", 1] as const,
      ]),
      [CLIENT, "control_identity_balancer_p2c_updates_total", "", 1],
    ];
    for (const [pod, metric, part, least] of counted) {
      const found = await mesh.sum(pod, metric, part);
      assert.ok(found >= least, `${metric}{${part}} of ${pod} is ${found}`);
    }
  });

  test("response_total and the counters of allowed requests move by one with each request", async () => {
    const before = await counts();
    for (let round = 0; round < 5; round += 1)
      assert.equal((await fetchOnce(mesh.place(CLIENT), at(AppPort.http))).status, 200);
    const after = await counts();
    assert.deepEqual(
      after.map((value, index) => value - (before[index] ?? 0)),
      [5, 5, 5, 5],
    );
  });
});
