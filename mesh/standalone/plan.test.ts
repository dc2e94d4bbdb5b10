import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { changes, freeAddress, planPods, podKey } from "./plan.ts";
import type { PodTemplate, Workload, WorkloadKind } from "./workload.ts";

const template: PodTemplate = {
  labels: { app: "web" },
  annotations: {},
  serviceAccount: "default",
  restart: "Always",
  graceMs: 30_000,
  initContainers: [],
  containers: [{ name: "web", command: ["x"], env: [], envFrom: [], ports: [] }],
};

function workload(kind: WorkloadKind, replicas: number, more: Partial<PodTemplate> = {}): Workload {
  return {
    kind,
    namespace: "shop",
    name: "web",
    replicas,
    template: { ...template, ...more },
    file: "a.yaml",
  };
}

const names = (one: Workload) => planPods([one]).map(({ name }) => name);

test("names are what each kind's controller would choose, and always the same", () => {
  assert.deepEqual(names(workload("Pod", 1)), ["web"]);
  assert.deepEqual(names(workload("StatefulSet", 2)), ["web-0", "web-1"]);
  assert.match(
    names(workload("Deployment", 1))[0] ?? "",
    /^web-[bcdfghjklmnpqrstvwxz2456789]{10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/,
  );
  assert.deepEqual(names(workload("Deployment", 3)), names(workload("Deployment", 3)));
  assert.equal(new Set(names(workload("Deployment", 50))).size, 50);
});

test("scaling keeps the pods that stay; a new template replaces all", () => {
  const two = planPods([workload("Deployment", 2)]);
  const running = new Map(two.map((plan) => [podKey(plan), plan]));
  const scaled = changes(running, planPods([workload("Deployment", 3)]));
  assert.equal(scaled.start.length, 1);
  assert.deepEqual([scaled.stop, scaled.replace], [[], []]);
  const edited = changes(running, planPods([workload("Deployment", 2, { graceMs: 1 })]));
  assert.equal(edited.start.length, 2);
  assert.deepEqual(edited.stop.toSorted(), [...running.keys()].toSorted());
});

test("a StatefulSet's pod is replaced under its own name", () => {
  const running = new Map(planPods([workload("StatefulSet", 1)]).map((plan) => [podKey(plan), plan]));
  const { start, stop, replace } = changes(running, planPods([workload("StatefulSet", 1, { graceMs: 1 })]));
  assert.deepEqual([start.map(podKey), stop, replace], [["shop/web-0"], [], ["shop/web-0"]]);
});

test("obeying the changes leads to what is wanted", () => {
  const arbitrary = fc.tuple(
    fc.nat({ max: 6 }),
    fc.nat({ max: 2 }),
    fc.constantFrom<WorkloadKind>("Deployment", "StatefulSet"),
  );
  fc.assert(
    fc.property(arbitrary, arbitrary, ([n, a, kind], [m, b, other]) => {
      const running = new Map(
        planPods([workload(kind, n, { graceMs: a })]).map((plan) => [podKey(plan), plan]),
      );
      const wanted = planPods([workload(other, m, { graceMs: b })]);
      const { start, stop, replace } = changes(running, wanted);
      for (const key of [...stop, ...replace]) running.delete(key);
      for (const plan of start) running.set(podKey(plan), plan);
      assert.deepEqual([...running.keys()].toSorted(), wanted.map(podKey).toSorted());
      for (const plan of wanted) assert.equal(running.get(podKey(plan))?.revision, plan.revision);
    }),
  );
});

test("no address is given twice, and none that a host may not have", () => {
  const taken = new Set<string>();
  for (let count = 0; count < 600; count += 1) {
    const address = freeAddress(taken);
    assert.ok(address);
    assert.ok(!taken.has(address));
    assert.ok(!/\.(0|255)$/.test(address));
    taken.add(address);
  }
  assert.equal(freeAddress(new Set()), "10.244.0.10");
});
