import assert from "node:assert/strict";
import { test } from "node:test";
import type { Meta } from "../model/meta.ts";
import type { EndpointSlice } from "../model/service.ts";
import type { Pod } from "../model/workload.ts";
import { changeOf, touchesEndpoints, touchesIp, touchesNamespace, touchesWorkload } from "./change.ts";
import { applyAll, emptySnapshot, type Event } from "./snapshot.ts";

const meta = (namespace: string, name: string): Meta => ({
  namespace,
  name,
  uid: "",
  labels: {},
  annotations: {},
  createdMs: 0,
  isDeleting: false,
  owner: undefined,
});

const pod = (namespace: string, name: string, ip: string): Pod => ({
  meta: meta(namespace, name),
  serviceAccount: "default",
  nodeName: undefined,
  hostNetwork: false,
  hostname: undefined,
  subdomain: undefined,
  ips: [ip],
  ports: [],
  hostIps: [],
  probes: [],
  isReady: true,
  isFinished: false,
  isTerminating: false,
});

const slice = (namespace: string, service: string, target: string): EndpointSlice => ({
  meta: meta(namespace, service),
  service,
  family: 4,
  ports: [],
  endpoints: [
    {
      ip: "10.0.0.1",
      isReady: true,
      hostname: undefined,
      nodeName: undefined,
      zone: undefined,
      forZones: [],
      target: { kind: "Pod", namespace: target, name: "a" },
    },
  ],
});

const upsert = (object: Pod): Event => ({ type: "upsert", kind: "Pod", object });

test("a pod touches its namespace, itself and its addresses, old and new, and nothing else", () => {
  const before = applyAll(emptySnapshot(), [
    upsert(pod("shop", "a", "10.0.0.1")),
    upsert(pod("bank", "b", "10.0.0.2")),
  ]);
  const change = changeOf(before, applyAll(before, [upsert(pod("shop", "a", "10.0.0.3"))]));
  assert.deepEqual(
    ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((ip) => touchesIp(change, ip)),
    [true, false, true],
  );
  assert.deepEqual(
    ["shop", "bank"].map((namespace) => touchesNamespace(change, namespace)),
    [true, false],
  );
  const workloads = [meta("shop", "a"), meta("shop", "b"), meta("bank", "b")];
  assert.deepEqual(
    workloads.map((workload) => touchesWorkload(change, workload)),
    [true, false, false],
  );
  const gone = changeOf(before, applyAll(before, [{ type: "remove", kind: "Pod", key: "bank/b" }]));
  assert.ok(touchesIp(gone, "10.0.0.2") && !touchesNamespace(gone, "shop"));
});

test("a slice that points into another namespace is touched by the pods there", () => {
  const slices: readonly Event[] = [
    { type: "upsert", kind: "EndpointSlice", object: slice("shop", "own", "shop") },
    { type: "upsert", kind: "EndpointSlice", object: slice("shop", "foreign", "bank") },
  ];
  const before = applyAll(emptySnapshot(), slices);
  const after = applyAll(before, [upsert(pod("bank", "a", "10.0.0.1"))]);
  const change = changeOf(before, after);
  assert.ok(!touchesEndpoints(change, { namespace: "shop", name: "own" }));
  assert.ok(touchesEndpoints(change, { namespace: "shop", name: "foreign" }));
});

test("any other kind touches everything", () => {
  const before = emptySnapshot();
  const after = applyAll(before, [{ type: "upsert", kind: "Namespace", object: { meta: meta("", "shop") } }]);
  const change = changeOf(before, after);
  assert.ok(touchesIp(change, "192.0.2.1") && touchesNamespace(change, "bank"));
});
