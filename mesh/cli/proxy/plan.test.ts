import assert from "node:assert/strict";
import { test } from "node:test";
import { MeshedPod, hasTurned, otherRestarts, patchOf, planUpgrade } from "./plan.ts";

const WANTED = { image: "hauberk/proxy:2", version: "2" };

function pod(
  name: string,
  {
    owner = "web",
    image = "hauberk/proxy:1",
    annotations = {},
    ready = "True",
    isNative = true,
    restarts = 0,
  }: {
    readonly owner?: string;
    readonly image?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ready?: string;
    readonly isNative?: boolean;
    readonly restarts?: number;
  } = {},
): MeshedPod {
  const proxy = { name: "linkerd-proxy", image };
  const app = { name: "app", image: "app:1" };
  return MeshedPod.parse({
    metadata: {
      name,
      namespace: "shop",
      uid: name,
      annotations,
      ownerReferences: [{ kind: "ReplicaSet", name: owner, uid: owner }],
    },
    spec: isNative
      ? { initContainers: [{ name: "linkerd-init", image }, proxy], containers: [app] }
      : { containers: [proxy, app] },
    status: {
      phase: "Running",
      conditions: [{ type: "Ready", status: ready }],
      initContainerStatuses: isNative ? [{ name: "linkerd-proxy", restartCount: restarts }] : [],
      containerStatuses: [{ name: "app", restartCount: 0 }],
    },
  });
}

test("B-03: of a workload with several pods, the proxy's image and nothing else of each is changed, pod after pod", () => {
  const { steps, left } = planUpgrade([pod("b"), pod("a"), pod("c", { isNative: false })], WANTED, {
    single: false,
  });
  assert.deepEqual(
    steps.map(({ name, path }) => [name, path]),
    [
      ["a", "/spec/initContainers/1/image"],
      ["b", "/spec/initContainers/1/image"],
      ["c", "/spec/containers/0/image"],
    ],
  );
  assert.deepEqual(left, []);
  const [first] = steps;
  assert.ok(first !== undefined);
  assert.deepEqual(patchOf(first, WANTED)[0], {
    op: "test",
    path: "/spec/initContainers/1/image",
    value: "hauberk/proxy:1",
  });
});

test("what is pinned, of another make, unready, alone or upgraded is left as it is, and told why", () => {
  const table = [
    [pod("a", { image: WANTED.image }), "has this image"],
    [
      pod("b", { annotations: { "config.linkerd.io/proxy-version": "1" } }),
      "is pinned by an annotation of its pod",
    ],
    [pod("c", { image: "cr.l5d.io/linkerd/proxy:1" }), "is of another make"],
    [pod("d", { ready: "False" }), "is not ready"],
    [pod("e", { owner: "lone" }), "has no other pod of its workload beside it"],
  ] as const;
  const pods = table.map(([one]) => one);
  const { steps, left } = planUpgrade(pods, WANTED, { single: false });
  assert.deepEqual(steps, []);
  assert.deepEqual(
    new Map(left.map(({ pod: name, why }) => [name, why])),
    new Map(table.map(([one, why]) => [`shop/${one.metadata.name}`, why])),
  );
  const lone = planUpgrade(pods, WANTED, { single: true });
  assert.deepEqual(
    lone.steps.map(({ name }) => name),
    ["e"],
  );
});

test("a pod has turned when its proxy was restarted and everything of it is ready again", () => {
  assert.ok(!hasTurned(pod("a"), 0));
  assert.ok(!hasTurned(pod("a", { restarts: 1, ready: "False" }), 0));
  assert.ok(hasTurned(pod("a", { restarts: 1 }), 0));
  assert.equal(otherRestarts(pod("a", { restarts: 1 })), 0);
});

test("a pod that ends, and one without a proxy, are not looked at", () => {
  const ending = pod("a");
  const gone = MeshedPod.parse({
    ...ending,
    metadata: { ...ending.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
  });
  const plain = MeshedPod.parse({ ...pod("b"), spec: { containers: [{ name: "app", image: "app:1" }] } });
  assert.deepEqual(planUpgrade([gone, plain], WANTED, { single: true }), { steps: [], left: [] });
});
