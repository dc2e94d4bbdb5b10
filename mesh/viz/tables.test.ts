import assert from "node:assert/strict";
import { test } from "node:test";
import { millis, perSecond, percent, renderTable } from "./table.ts";
import { edgeTable, routeTable, shortIdentity, workloadTable } from "./tables.ts";

test("columns are as wide as their widest cell, numbers stand to the right", () => {
  const table = renderTable<{ name: string; count: number }>(
    [
      { title: "NAME", value: ({ name }) => name },
      { title: "N", value: ({ count }) => String(count), align: "right" },
      { title: "", value: () => "" },
    ],
    [
      { name: "a", count: 1 },
      { name: "longer", count: 100 },
    ],
  );
  assert.equal(table, "NAME      N\na         1\nlonger  100");
});

test("numbers have as many digits as say something", () => {
  assert.deepEqual([percent(0.99791), percent(1), percent(undefined)], ["99.79%", "100.00%", "-"]);
  assert.deepEqual([millis(0.44), millis(12.6), millis(undefined)], ["0.4ms", "13ms", "-"]);
  assert.deepEqual([perSecond(0), perSecond(0.26), perSecond(59.7)], ["0", "0.3", "60"]);
});

const golden = { successRate: 1, requestsPerSecond: 60, p50Ms: 1.5, p95Ms: 4, p99Ms: 12 };

const name = (workload: string) => `${workload}.serviceaccount.identity.linkerd.cluster.local`;

test("tables look as the guide shows them", () => {
  assert.equal(
    workloadTable([{ namespace: "prod", workload: "payments", meshedPods: 3, ...golden }]),
    "NAMESPACE  WORKLOAD  MESHED  SUCCESS  RPS    P50    P95   P99\nprod       payments       3  100.00%   60  1.5ms  4.0ms  12ms",
  );
  const backends = [
    { backend: "prod/payments-canary", share: 0.1, requests: 6 },
    { backend: "prod/payments-stable", share: 0.9, requests: 54 },
    { backend: "prod/payments", share: 0, requests: 0 },
  ];
  assert.equal(
    routeTable([{ parent: "prod/payments", route: "", ...golden, backends }]),
    "SERVICE        ROUTE    SUCCESS  RPS    P50    P95   P99  BACKENDS\n" +
      "prod/payments  default  100.00%   60  1.5ms  4.0ms  12ms  payments-canary 10%, payments-stable 90%",
  );
  assert.equal(
    edgeTable([
      {
        source: { namespace: "frontend", workload: "web" },
        destination: { namespace: "prod", workload: "payments" },
        clientId: name("web.frontend"),
        serverId: name("payments.prod"),
        connectionsPerSecond: 0,
        tls: [
          {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            group: "X25519MLKEM768",
            total: 1,
            open: 1,
          },
        ],
        ...golden,
      },
    ]),
    "SOURCE        DESTINATION    CLIENT        SERVER         TLS      CIPHER                  GROUP\n" +
      "frontend/web  prod/payments  web.frontend  payments.prod  TLSv1.3  TLS_AES_128_GCM_SHA256  X25519MLKEM768",
  );
  assert.equal(shortIdentity("spiffe://other/x"), "spiffe://other/x");
});
