import assert from "node:assert/strict";
import { test } from "node:test";
import { DECODERS } from "../decode/decode.ts";
import { reader } from "./read.ts";
import { Parts, Sharer } from "./share.ts";

function decodedPod(name: string) {
  const decoder = DECODERS.find(({ kind }) => kind === "Pod");
  assert.ok(decoder);
  const { decoded } = reader(
    decoder,
    "v1",
  )({
    metadata: { name, namespace: "shop", labels: { app: "web" } },
    spec: { nodeName: "n", containers: [{ ports: [{ name: "http", containerPort: 80 }] }] },
    status: { podIP: "192.0.2.1" },
  });
  assert.ok(decoded.ok && decoded.tagged.kind === "Pod");
  return decoded.tagged;
}

test("what pods have in common is kept once, and the pods are what they were", () => {
  const sharer = new Sharer();
  const [a, b] = [sharer.share(decodedPod("a")), sharer.share(decodedPod("b"))];
  assert.ok(a.kind === "Pod" && b.kind === "Pod");
  assert.deepEqual([a, b], [decodedPod("a"), decodedPod("b")]);
  assert.equal(a.object.meta.labels, b.object.meta.labels);
  assert.equal(a.object.ports, b.object.ports);
});

test("no more is remembered than two generations hold, and what is used stays", () => {
  const parts = new Parts<readonly string[]>(10);
  const used = parts.share(["used"]);
  for (let at = 0; at < 100; at += 1) {
    parts.share([String(at)]);
    assert.equal(parts.share(["used"]), used);
    assert.ok(parts.size <= 20);
  }
});
