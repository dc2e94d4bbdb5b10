import assert from "node:assert/strict";
import test from "node:test";
import { inventoryOf, secondsLeft, type Scraped, type Series } from "./inventory.ts";

const AT = new Date("2026-11-21T12:00:00Z");

const tls = (
  direction: "inbound" | "outbound",
  connections: number,
  more: Readonly<Record<string, string>> = {},
): Series => ({
  name: "hauberk_tls_connections_total",
  value: connections,
  labels: {
    direction,
    client_id: "web.id",
    server_id: "pay.id",
    tls_version: "TLSv1.3",
    tls_cipher: "TLS_AES_256_GCM_SHA384",
    tls_group: "X25519MLKEM768",
    ...more,
  },
});

const proxy = (pod: string, series: readonly Series[]): Scraped => ({
  namespace: "shop",
  pod,
  identity: `${pod}.id`,
  series,
});
const of = (...scraped: readonly Scraped[]) =>
  inventoryOf(scraped, { at: AT, silent: [], controlPlane: "linkerd" });

void test("a connection that both ends counted is one edge", () => {
  const { edges } = of(proxy("web", [tls("outbound", 7)]), proxy("pay", [tls("inbound", 5)]));
  assert.equal(edges.length, 1);
  assert.equal(edges[0]?.connections, 7);
});

void test("each group that two workloads negotiated is an edge of its own", () => {
  const { edges } = of(
    proxy("pay", [tls("inbound", 5), tls("inbound", 1, { tls_group: "x25519" }), tls("inbound", 2)]),
  );
  assert.deepEqual(
    edges.map(({ group, connections }) => [group, connections]),
    [
      ["X25519MLKEM768", 7],
      ["x25519", 1],
    ],
  );
});

const allow = (authz_name: string, value: number): Series => ({
  name: "inbound_http_authz_allow_total",
  value,
  labels: { tls: "no_identity", authz_kind: "default", authz_name, target_port: "80" },
});
const opened = (no_tls_reason: string, more: Readonly<Record<string, string>> = {}): Series => ({
  name: "tcp_open_total",
  value: 1,
  labels: {
    direction: "outbound",
    peer: "dst",
    tls: "no_identity",
    no_tls_reason,
    target_addr: "1.2.3.4:443",
    ...more,
  },
});

void test("probes and the pod's own calls are no plaintext traffic; an application's are", () => {
  const to = "not_provided_by_service_discovery";
  const { plain } = of(
    proxy("web", [
      allow("probe", 9),
      allow("all-unauthenticated", 2),
      opened("loopback"),
      opened(to),
      opened(to, { dst_namespace: "db", dst_statefulset: "pg" }),
    ]),
  );
  assert.deepEqual(
    plain.map(({ direction, peer, scope }) => `${direction} ${peer} ${scope}`),
    ["inbound port 80 mesh", "outbound 1.2.3.4:443 outside", "outbound db/pg mesh"],
  );
});

void test("a proxy's module, groups, end of certificate and refusals come from its metrics", () => {
  const [one] = of(
    proxy("web", [
      { name: "rustls_info", value: 1, labels: { tls_fips: "false", tls_kx_groups: "A,B", tls_suites: "C" } },
      {
        name: "hauberk_crypto_module_info",
        value: 1,
        labels: { module: "AWS-LC FIPS", version: "3.1.0", approved: "true" },
      },
      {
        name: "identity_cert_expiration_timestamp_seconds",
        value: AT.getTime() / 1_000 + 3_600,
        labels: {},
      },
      { name: "inbound_tcp_errors_total", value: 3, labels: { error: "tls_incompatible" } },
      { name: "inbound_tcp_errors_total", value: 5, labels: { error: "io" } },
    ]),
  ).proxies;
  assert.ok(one !== undefined);
  assert.deepEqual(one.module, { name: "AWS-LC FIPS", version: "3.1.0", mode: "approved" });
  assert.deepEqual(one.groups, ["A", "B"]);
  assert.equal(one.refusedIncompatible, 3);
  assert.equal(secondsLeft(one, AT.toISOString()), 3_600);
});

void test("what a proxy does not say is unknown, never assumed", () => {
  const [one] = of(proxy("web", [])).proxies;
  assert.equal(one?.module.mode, "unknown");
  assert.equal(one?.certificate.keyType, "unknown");
  assert.equal(one?.countsDecisions, false);
});

const admitted = (target_port: string): Series => ({
  name: "inbound_http_authz_allow_total",
  value: 1,
  labels: { tls: "no_identity", authz_kind: "default", authz_name: "all-unauthenticated", target_port },
});

void test("API servers and nodes at the control plane are told apart; whoever else comes there without TLS is not", () => {
  const ports = ["8443", "9996", "8086"].map(admitted);
  const { plain } = of(
    { ...proxy("destination", ports), namespace: "linkerd" },
    proxy("web", [admitted("8443")]),
  );
  assert.deepEqual(
    plain.map(({ observer, peer, scope }) => `${observer} ${peer} ${scope}`),
    [
      "linkerd/destination port 8086 mesh",
      "linkerd/destination port 8443 control-plane",
      "linkerd/destination port 9996 control-plane",
      "shop/web port 8443 mesh",
    ],
  );
});
