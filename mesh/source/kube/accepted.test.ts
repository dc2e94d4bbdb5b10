import assert from "node:assert/strict";
import { test } from "node:test";
import { DECODERS } from "../decode/decode.ts";
import { Accepted } from "./accepted.ts";
import { reader, type ReadObject } from "./read.ts";

function decoderOf(kind: string) {
  const decoder = DECODERS.find((one) => one.kind === kind);
  assert.ok(decoder);
  return decoder;
}

const read = reader(decoderOf("Service"), "v1");
const service = (name: string, port: unknown, more: object = {}) =>
  read({ metadata: { name, namespace: "shop", ...more }, spec: { ports: [{ port }] } });

function list(accepted: Accepted, items: readonly ReadObject[]): void {
  accepted.hear({ type: "begin" });
  for (const item of items) accepted.hear({ type: "part", items: [item] });
  assert.deepEqual(accepted.hear({ type: "end" }), { type: "list" });
}

const portOf = (accepted: Accepted) =>
  [...accepted.objects()].map((tagged) =>
    tagged.kind === "Service" ? `${tagged.object.meta.name}:${tagged.object.ports[0]?.port}` : "",
  );

test("a wrong object changes nothing that was accepted before, and is named with its field", () => {
  const accepted = new Accepted();
  list(accepted, [service("a", 80), service("b", 81)]);
  const outcome = accepted.hear({
    type: "changes",
    changes: [
      { type: "upsert", item: service("a", 99_999) },
      { type: "upsert", item: service("new", "x y") },
    ],
  });
  assert.deepEqual(outcome, { type: "changes", changes: [] });
  assert.deepEqual(portOf(accepted), ["a:80", "b:81"]);
  const [a, created] = accepted.problems();
  assert.equal(a?.object, "Service shop/a");
  assert.equal(a.field, "spec.ports[0].port");
  assert.match(a.message, /accepted before stays in effect/);
  assert.doesNotMatch(created?.message ?? "stays", /stays/);
  // A list says the same: what is wrong in it keeps what was right.
  list(accepted, [service("a", 0), service("b", 82)]);
  assert.deepEqual(portOf(accepted), ["a:80", "b:82"]);
  assert.equal(accepted.problems().length, 1);
});

test("a list that breaks off before its end changes nothing", () => {
  const accepted = new Accepted();
  list(accepted, [service("a", 80)]);
  accepted.hear({ type: "begin" });
  accepted.hear({ type: "part", items: [service("b", 81)] });
  assert.deepEqual(portOf(accepted), ["a:80"]);
  list(accepted, [service("c", 82)]);
  assert.deepEqual(portOf(accepted), ["c:82"]);
});

test("deletion takes an object away whether it was wrong or right, and its problem with it", () => {
  const accepted = new Accepted();
  list(accepted, [service("a", 80)]);
  accepted.hear({ type: "changes", changes: [{ type: "upsert", item: service("a", 0) }] });
  assert.ok(accepted.hasProblems);
  const outcome = accepted.hear({ type: "changes", changes: [{ type: "remove", item: service("a", 0) }] });
  assert.deepEqual(outcome, { type: "changes", changes: [{ type: "remove", key: "shop/a" }] });
  assert.deepEqual([accepted.size, accepted.hasProblems], [0, false]);
});

test("annotations that mean nothing here are not kept, and the latest writer's time is", () => {
  const { decoded, writtenAt } = service("a", 80, {
    annotations: {
      "kubectl.kubernetes.io/last-applied-configuration": "{}",
      "config.linkerd.io/opaque-ports": "80",
      "service.kubernetes.io/topology-mode": "Auto",
    },
    managedFields: [{ time: "2026-01-02T00:00:00Z" }, { time: "2026-01-03T00:00:00Z" }, {}],
  });
  assert.ok(decoded.ok);
  assert.deepEqual(Object.keys(decoded.tagged.object.meta.annotations), [
    "config.linkerd.io/opaque-ports",
    "service.kubernetes.io/topology-mode",
  ]);
  assert.equal(writtenAt, "2026-01-03T00:00:00Z");
});

test("a node keeps the annotations in which network plugins write its addresses", () => {
  const { decoded } = reader(
    decoderOf("Node"),
    "v1",
  )({
    metadata: { name: "n", annotations: { "projectcalico.org/IPv4VXLANTunnelAddr": "192.0.2.1" } },
    status: { addresses: [{ type: "InternalIP", address: "192.0.2.2" }] },
  });
  assert.ok(decoded.ok && decoded.tagged.kind === "Node");
  assert.deepEqual(decoded.tagged.object.addresses.toSorted(), ["192.0.2.1", "192.0.2.2"]);
});

test("two groups of one kind do not share keys", () => {
  const routes = DECODERS.filter(({ kind }) => kind === "HTTPRoute");
  const keys = routes.map(
    (decoder) => reader(decoder, `${decoder.group}/v1`)({ metadata: { name: "a", namespace: "shop" } }).key,
  );
  assert.equal(new Set(keys).size, 2);
});
