import assert from "node:assert/strict";
import { test } from "node:test";
import { pathOf } from "./api.ts";
import { placeOf } from "./place.ts";
import { apiPrograms, controlPrograms, nodeMounts, nodePrograms, runtimeProgram } from "./programs.ts";
import { addons, containerd, kubelet } from "./settings.ts";

const place = placeOf({ name: "dev", number: 4, nodes: 2, root: "/state" });

test("every program of a cluster has an id of its own", () => {
  const ids = [
    ...apiPrograms(place),
    ...controlPrograms(place, "full"),
    ...place.nodes.flatMap((node) => [runtimeProgram(place, node), ...nodePrograms(place, node)]),
  ].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(ids.length >= 11);
});

test("a cluster without nodes runs neither scheduler nor names", () => {
  assert.deepEqual(
    controlPrograms(place, "api").map(({ program }) => program),
    ["kube-controller-manager"],
  );
});

test("nothing of a node lies outside the cluster's folder", () => {
  for (const node of place.nodes) {
    const text = containerd(node, { bin: "/bin", runc: "/runc" }, "overlayfs") + kubelet(place, node);
    const paths = text.match(/"(?:unix:\/\/)?\/[^"]*"/g) ?? [];
    assert.ok(paths.length > 8);
    for (const path of paths)
      assert.match(path, /^"(unix:\/\/)?(\/state\/dev\/|\/bin"|\/runc"|\/hauberk-dev\/node\d")/);
  }
});

test("objects that a cluster begins with have paths at the API server", () => {
  const paths = addons(place).map(({ apiVersion, kind, metadata }) => {
    const namespace = typeof metadata === "object" && metadata !== null && "namespace" in metadata;
    return pathOf(String(apiVersion), String(kind), namespace ? "kube-system" : undefined);
  });
  assert.deepEqual(paths, [
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/api/v1/namespaces/kube-system/services",
    "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices",
  ]);
});

test("nodes find folders of their own at the same places, so that one manifest serves every node", () => {
  const [first = [], second = []] = place.nodes.map(nodeMounts);
  assert.deepEqual(
    first.map(({ to }) => to),
    second.map(({ to }) => to),
  );
  for (const { from, to } of [...first, ...second]) {
    assert.ok(from.startsWith("/state/dev/node"), from);
    assert.ok(!to.startsWith("/state"), to);
  }
  assert.equal(new Set([...first, ...second].map(({ from }) => from)).size, first.length * 2);
});
