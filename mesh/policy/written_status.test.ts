import assert from "node:assert/strict";
import { test } from "node:test";
import type { Meta } from "../model/meta.ts";
import type { HttpRoute, ParentRef } from "../model/route.ts";
import type { MeshSettings } from "../model/settings.ts";
import { applyAll, emptySnapshot } from "../state/snapshot.ts";
import { CONTROLLER_NAME, statuses } from "./written_status.ts";

const settings: MeshSettings = {
  clusterDomain: "cluster.local",
  trustDomain: "cluster.local",
  controlPlaneNamespace: "linkerd",
  clusterNetworks: [],
  probeNetworks: [],
  defaultInboundPolicy: "deny",
  opaquePorts: [],
};

const meta = (name: string, generation: number): Meta => ({
  namespace: "shop",
  name,
  uid: "",
  labels: {},
  annotations: {},
  createdMs: 0,
  generation,
  isDeleting: false,
  owner: undefined,
});

const service = (port: number | undefined, sectionName?: string): ParentRef => ({
  group: "",
  kind: "Service",
  namespace: "shop",
  name: "web",
  port,
  sectionName,
});

const route = (name: string, parents: readonly ParentRef[]): HttpRoute => ({
  meta: meta(name, 3),
  group: "gateway.networking.k8s.io",
  hosts: [],
  parents,
  rules: [],
});

test("a route has one entry per parent of the mesh, with our name, the writing it speaks of and its section", () => {
  const gateway: ParentRef = { ...service(undefined), group: "gateway.networking.k8s.io", kind: "Gateway" };
  const snapshot = applyAll(emptySnapshot(), [
    { type: "upsert", kind: "HTTPRoute", object: route("r", [service(80), service(81, "a"), gateway]) },
  ]);
  const [status, ...others] = statuses(snapshot, settings);
  assert.deepEqual(others, []);
  assert.ok(status?.status.type === "parents");
  const { parents } = status.status;
  assert.deepEqual(
    parents.map(({ parentRef }) => [parentRef.kind, parentRef.port, parentRef.sectionName]),
    [
      ["Service", 80, undefined],
      ["Service", 81, "a"],
    ],
  );
  for (const { controllerName, conditions } of parents) {
    assert.equal(controllerName, CONTROLLER_NAME);
    assert.deepEqual(
      conditions.map(({ type, status: is, observedGeneration }) => [type, is, observedGeneration]),
      [
        ["Accepted", "False", 3],
        ["ResolvedRefs", "True", 3],
      ],
    );
  }
});

test("a route that left the mesh has its entries taken away", () => {
  const snapshot = applyAll(emptySnapshot(), [{ type: "upsert", kind: "HTTPRoute", object: route("r", []) }]);
  assert.deepEqual(
    statuses(snapshot, settings).map(({ status }) => status),
    [{ type: "parents", parents: [] }],
  );
});

test("the status of a rate limit names its target, as Linkerd's schema has it", () => {
  const object = {
    meta: meta("limit", 1),
    server: "web",
    totalPerSecond: 1,
    identityPerSecond: undefined,
    overrides: [],
  };
  const snapshot = applyAll(emptySnapshot(), [{ type: "upsert", kind: "HTTPLocalRateLimitPolicy", object }]);
  const [written] = statuses(snapshot, settings);
  assert.ok(written?.status.type === "conditions");
  assert.deepEqual(written.status.targetRef, { group: "policy.linkerd.io", kind: "Server", name: "web" });
  assert.equal(written.status.conditions[0]?.reason, "NoMatchingTarget");
});
