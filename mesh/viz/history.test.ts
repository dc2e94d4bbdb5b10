import assert from "node:assert/strict";
import { test } from "node:test";
import { parseExposition } from "./exposition.ts";
import { HISTORY_MS, apply, report } from "./history.ts";
import type { History, ScrapedPod } from "./history.ts";
import { Report } from "./report.ts";
import { isWanted, sampleOf } from "./sample.ts";

const web: ScrapedPod = { namespace: "frontend", pod: "web-1", workload: "web", identity: "web.frontend.id" };
const pay = (pod: string): ScrapedPod => ({
  namespace: "prod",
  pod,
  workload: "payments",
  identity: "payments.prod.id",
});

const TLS = 'direction="outbound",client_id="web.frontend.id",server_id="payments.prod.id"';
const FACTS = `${TLS},tls_version="TLSv1.3",tls_cipher="TLS_AES_128_GCM_SHA256",tls_group="X25519MLKEM768"`;

/** What the web's proxy says after so many requests, a tenth of them to the canary. */
function outbound(requests: number, failed = 0): string {
  const dst = `${TLS},dst_deployment="payments",dst_namespace="prod"`;
  const route =
    'parent_namespace="prod",parent_name="payments",route_name="canary",route_namespace="prod",route_kind="HTTPRoute"';
  return [
    `response_total{${dst},classification="success"} ${requests - failed}`,
    `response_total{${dst},classification="failure"} ${failed}`,
    `response_latency_ms_bucket{${dst},le="10"} ${requests}`,
    `response_latency_ms_bucket{${dst},le="+Inf"} ${requests}`,
    `tcp_open_total{${dst},peer="dst"} 1`,
    `outbound_http_route_request_statuses_total{${route},http_status="200",error=""} ${requests - failed}`,
    `outbound_http_route_request_statuses_total{${route},http_status="",error="timeout"} ${failed}`,
    `outbound_http_route_request_duration_seconds_bucket{${route},le="0.01"} ${requests}`,
    `outbound_http_route_request_duration_seconds_bucket{${route},le="+Inf"} ${requests}`,
    `outbound_http_route_backend_requests_total{${route},backend_namespace="prod",backend_name="stable"} ${requests * 0.9}`,
    `outbound_http_route_backend_requests_total{${route},backend_namespace="prod",backend_name="canary"} ${requests * 0.1}`,
    `hauberk_tls_connections_total{${FACTS}} 2`,
    `hauberk_tls_open_connections{${FACTS}} 1`,
    "identity_cert_expiration_timestamp_seconds 1900000000",
    'identity_cert_refreshes_total{result="success"} 3',
    'hauberk_discovery_connected{kind="endpoints"} 1',
  ].join("\n");
}

function inbound(requests: number): string {
  return `response_total{direction="inbound",classification="success"} ${requests}\nresponse_total{direction="inbound",classification="failure",route_kind="default",route_name="probe"} ${requests}\nresponse_latency_ms_bucket{direction="inbound",le="+Inf"} ${requests}\n`;
}

function round(
  history: History,
  atMs: number,
  says: readonly (readonly [ScrapedPod, string | undefined])[],
): History {
  const scrapes = says.map(([pod, text]) => ({
    pod,
    sample: text === undefined ? undefined : sampleOf(parseExposition(text, isWanted), atMs),
  }));
  return apply(history, { atMs, scrapes });
}

const ten = round(
  round(new Map(), 0, [
    [web, outbound(0)],
    [pay("a"), inbound(0)],
    [pay("b"), inbound(50)],
  ]),
  10_000,
  [
    [web, outbound(200, 2)],
    [pay("a"), inbound(120)],
    [pay("b"), inbound(130)],
  ],
);
const window = { atMs: 10_000, windowMs: 10_000 };

test("a workload is all its pods, over the window and not since their start", () => {
  const [, payments] = report(ten, window).workloads;
  assert.deepEqual(
    payments && [payments.workload, payments.meshedPods, payments.requestsPerSecond, payments.successRate],
    ["payments", 2, 20, 1],
  );
});

test("a route knows its errors and where its requests went", () => {
  const [route] = report(ten, window).routes;
  assert.equal(route?.successRate, 0.99);
  assert.equal(route?.requestsPerSecond, 20);
  assert.deepEqual(
    route?.backends.map(({ backend, share }) => [backend, share]),
    [
      ["prod/canary", 0.1],
      ["prod/stable", 0.9],
    ],
  );
});

test("an edge has both identities and what protects it", () => {
  const [edge] = report(ten, window).edges;
  assert.deepEqual([edge?.clientId, edge?.serverId], ["web.frontend.id", "payments.prod.id"]);
  assert.deepEqual(edge?.tls, [
    { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", group: "X25519MLKEM768", total: 2, open: 1 },
  ]);
});

test("a proxy that began anew does not count backwards", () => {
  const again = round(ten, 20_000, [
    [web, outbound(10)],
    [pay("a"), inbound(5)],
    [pay("b"), inbound(130)],
  ]);
  const [, payments] = report(again, { atMs: 20_000, windowMs: 10_000 }).workloads;
  assert.equal(payments?.requestsPerSecond, 0.5);
});

test("a proxy that does not answer is shown as such, and forgotten in the end", () => {
  const silent = round(ten, 11_000, [
    [web, undefined],
    [pay("a"), inbound(120)],
  ]);
  const proxies = report(silent, { atMs: 11_000, windowMs: 10_000 }).proxies;
  assert.deepEqual(
    proxies.map(({ pod, reachable }) => [pod, reachable]),
    [
      ["web-1", false],
      ["a", true],
      ["b", false],
    ],
  );
  const later = round(silent, 11_000 + HISTORY_MS, []);
  assert.deepEqual([...later.keys()], ["prod/a"]);
});

test("the report keeps to its schema", () => {
  const made = report(ten, window);
  assert.deepEqual(Report.parse(JSON.parse(JSON.stringify(made))), made);
});

function onProbePath(tls: string, requests: number): string {
  return `response_total{direction="inbound",classification="success",route_kind="default",route_name="probe",tls="${tls}"} ${requests}\n`;
}

function toldOf(tls: string): number | undefined {
  const before = round(new Map(), 0, [[pay("a"), onProbePath(tls, 0)]]);
  const after = round(before, 10_000, [[pay("a"), onProbePath(tls, 100)]]);
  return report(after, window).workloads[0]?.requestsPerSecond;
}

test("a caller of the mesh that asks for the path of a probe is counted, the kubelet is not", () => {
  assert.equal(toldOf("true"), 10);
  assert.equal(toldOf("no_identity"), 0);
});
