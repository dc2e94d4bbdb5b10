import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Meta } from "../model/meta.ts";
import { KINDS } from "../model/objects.ts";
import type { Service } from "../model/service.ts";
import { apply, applyAll, emptySnapshot, relistAll, type Event, type Snapshot } from "./snapshot.ts";

const meta = (name: string): Meta => ({
  namespace: "prod",
  name,
  uid: "",
  labels: {},
  annotations: {},
  createdMs: 0,
  isDeleting: false,
  owner: undefined,
});

const service = (name: string, port: number): Service => ({
  meta: meta(name),
  clusterIps: [],
  isHeadless: false,
  externalName: undefined,
  selector: undefined,
  ports: [{ name: "", port, targetPort: port, protocol: "TCP", appProtocol: undefined }],
  isNodeLocal: false,
  publishesNotReady: false,
  prefersZone: false,
});

const name = fc.constantFrom("a", "b", "c", "d");
const anyService = fc
  .record({ name, port: fc.integer({ min: 1, max: 3 }) })
  .map((s) => service(s.name, s.port));

const serviceEvent: fc.Arbitrary<Event> = fc.oneof(
  anyService.map((object): Event => ({ type: "upsert", kind: "Service", object })),
  name.map((key): Event => ({ type: "remove", kind: "Service", key: `prod/${key}` })),
  fc
    .uniqueArray(anyService, { selector: ({ meta: { name: key } }) => key })
    .map((objects): Event => ({ type: "relist", kind: "Service", objects })),
);
const namespaceEvent: fc.Arbitrary<Event> = fc.oneof(
  name.map((key): Event => ({ type: "upsert", kind: "Namespace", object: { meta: meta(key) } })),
  name.map((key): Event => ({ type: "remove", kind: "Namespace", key })),
);
const anyEvent = fc.oneof(serviceEvent, namespaceEvent);

const plain = (snapshot: Snapshot) =>
  Object.fromEntries(
    KINDS.map((kind) => [
      kind,
      Object.fromEntries([...snapshot[kind]].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    ]),
  );

test("an event that is repeated changes nothing, not even the identity of the snapshot", () => {
  fc.assert(
    fc.property(fc.array(anyEvent), anyEvent, (events, event) => {
      const once = apply(applyAll(emptySnapshot(), events), event);
      assert.equal(apply(once, event), once);
      // Neither does one that says the same with other objects.
      assert.equal(apply(once, structuredClone(event)), once);
    }),
  );
});

test("events about different objects may come in any order", () => {
  fc.assert(
    fc.property(
      fc.array(serviceEvent),
      fc.array(namespaceEvent),
      fc.infiniteStream(fc.boolean()),
      (a, b, choose) => {
        const left = [...a];
        const right = [...b];
        const mixed: Event[] = [];
        while (left.length + right.length > 0) {
          const from = right.length === 0 || (left.length > 0 && choose.next().value) ? left : right;
          mixed.push(...from.splice(0, 1));
        }
        assert.deepEqual(
          plain(applyAll(emptySnapshot(), mixed)),
          plain(applyAll(emptySnapshot(), [...a, ...b])),
        );
      },
    ),
  );
});

test("a relist heals whatever was missed before it", () => {
  fc.assert(
    fc.property(
      fc.array(serviceEvent),
      fc.uniqueArray(anyService, { selector: ({ meta: { name: key } }) => key }),
      fc.array(fc.boolean(), { maxLength: 50 }),
      (events, objects, heard) => {
        const relist: Event = { type: "relist", kind: "Service", objects };
        const lossy = events.filter((_, at) => heard[at] ?? true);
        const healed = apply(applyAll(emptySnapshot(), lossy), relist);
        assert.deepEqual(plain(healed), plain(apply(applyAll(emptySnapshot(), events), relist)));
      },
    ),
  );
});

test("an object that did not change keeps its identity through a relist", () => {
  const before = apply(emptySnapshot(), { type: "upsert", kind: "Service", object: service("a", 1) });
  const tagged = [service("a", 1), service("b", 2)].map((object) => ({ kind: "Service", object }) as const);
  const after = applyAll(before, relistAll(tagged));
  assert.equal(after.Service.get("prod/a"), before.Service.get("prod/a"));
  assert.equal(after.Service.size, 2);
  assert.equal(after.Pod, before.Pod);
});
