import assert from "node:assert/strict";
import { test } from "node:test";
import { CONTROLLER_NAME, type WrittenStatus } from "../policy/written_status.ts";
import { statusPatch } from "./status_patch.ts";

const NOW = "2026-02-02T00:00:00Z";
const BEFORE = "2026-01-01T00:00:00Z";
const parentRef = { group: "", kind: "Service", namespace: "shop", name: "web", port: 80 };
const condition = (status: "True" | "False", observedGeneration = 1) => ({
  type: "Accepted" as const,
  status,
  reason: "Accepted",
  message: "",
  observedGeneration,
});
const wanted = (status: "True" | "False", generation = 1): WrittenStatus["status"] => ({
  type: "parents",
  parents: [{ parentRef, controllerName: CONTROLLER_NAME, conditions: [condition(status, generation)] }],
});
const gateway = {
  parentRef: { name: "gw" },
  controllerName: "example.org/gateway",
  conditions: [{ type: "Accepted", status: "True", lastTransitionTime: BEFORE }],
};
const ours = {
  // Fields in another order are the same fields.
  parentRef: { port: 80, name: "web", namespace: "shop", kind: "Service", group: "" },
  controllerName: CONTROLLER_NAME,
  conditions: [{ lastTransitionTime: BEFORE, ...condition("True") }],
};
const route = (...parents: object[]) => ({ metadata: { resourceVersion: "7" }, status: { parents } });

test("other controllers' entries stay, and the version that was read is demanded", () => {
  const patch = statusPatch(wanted("True"), route(gateway), NOW);
  assert.equal(patch?.metadata.resourceVersion, "7");
  assert.deepEqual(patch.status["parents"], [
    gateway,
    {
      parentRef,
      controllerName: CONTROLLER_NAME,
      conditions: [{ ...condition("True"), lastTransitionTime: NOW }],
    },
  ]);
});

test("what stands there already is not written again", () => {
  assert.equal(statusPatch(wanted("True"), route(gateway, ours), NOW), undefined);
  assert.equal(statusPatch({ type: "parents", parents: [] }, route(gateway), NOW), undefined);
  assert.equal(statusPatch({ type: "parents", parents: [] }, { metadata: {} }, NOW), undefined);
});

test("the time of a condition is that of its last change of state, not of its last writing", () => {
  const timeOf = (status: "True" | "False", generation: number) =>
    JSON.stringify(statusPatch(wanted(status, generation), route(ours), NOW)).match(
      /"lastTransitionTime":"([^"]*)"/,
    )?.[1];
  assert.equal(timeOf("True", 2), BEFORE);
  assert.equal(timeOf("False", 2), NOW);
});

test("a route that left the mesh keeps no entry of ours", () => {
  const patch = statusPatch({ type: "parents", parents: [] }, route(ours, gateway), NOW);
  assert.deepEqual(patch?.status, { parents: [gateway] });
});

test("conditions of a policy keep those of other types beside them, and name the target", () => {
  const targetRef = { group: "policy.linkerd.io", kind: "Server", name: "web" };
  const status = { type: "conditions", conditions: [condition("True")], targetRef } as const;
  const other = { type: "Other", status: "True", lastTransitionTime: BEFORE };
  const object = { metadata: { resourceVersion: "7" }, status: { conditions: [other] } };
  const patch = statusPatch(status, object, NOW);
  assert.deepEqual(patch?.status, {
    conditions: [other, { ...condition("True"), lastTransitionTime: NOW }],
    targetRef,
  });
  const after = { metadata: {}, status: patch.status };
  assert.equal(statusPatch(status, after, NOW), undefined);
});
