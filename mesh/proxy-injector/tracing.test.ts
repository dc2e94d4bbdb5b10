import assert from "node:assert/strict";
import { test } from "node:test";
import { resourceAttributes } from "./tracing.ts";

const POD = { namespace: "shop", name: "web-0", node: "node", annotations: {}, namespaceAnnotations: {} };

test("a pod's annotations describe it, its word before its namespace's, and no value ends another", () => {
  const described = resourceAttributes({
    ...POD,
    annotations: { "resource.opentelemetry.io/service.name": "web,shop=1", "other.io/x": "y" },
    namespaceAnnotations: {
      "resource.opentelemetry.io/service.name": "no",
      "resource.opentelemetry.io/tier": "a b",
    },
  });
  assert.deepEqual(described.split(","), [
    "k8s.namespace.name=shop",
    "k8s.pod.name=web-0",
    "k8s.node.name=node",
    "service.name=web%2Cshop%3D1",
    "tier=a%20b",
  ]);
});
