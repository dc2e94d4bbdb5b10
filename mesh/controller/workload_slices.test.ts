import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../source/decode/decode.ts";
import { parseObject } from "../source/manifests/parse.ts";
import { applyAll, emptySnapshot, relistAll, type Snapshot } from "../state/snapshot.ts";
import { MANAGED_BY_LABEL, MANAGER, sliceChanges, sliceObject, wantedSlices } from "./workload_slices.ts";

function snapshotOf(...objects: readonly object[]): Snapshot {
  const tagged = objects.map((object) => {
    const parsed = parseObject(object);
    assert.ok(parsed.ok);
    const decoded = decode(parsed.object);
    assert.ok(decoded?.ok, JSON.stringify(decoded));
    return decoded.tagged;
  });
  return applyAll(emptySnapshot(), relistAll(tagged));
}

const metadata = (name: string, labels = {}) => ({ name, namespace: "shop", uid: `uid-${name}`, labels });
const service = (spec: object) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: metadata("web"),
  spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: "web" }], ...spec },
});
const workload = (name: string, ip: string, { ready = true, app = "web", port = 8080 } = {}) => ({
  apiVersion: "workload.linkerd.io/v1beta1",
  kind: "ExternalWorkload",
  metadata: metadata(name, { app }),
  spec: {
    meshTLS: { identity: "spiffe://mesh.test/vm", serverName: "vm.x" },
    ports: [{ name: "web", port }],
    workloadIPs: [{ ip }],
  },
  status: { conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
});
/** What an API server holds after `sliceObject` was applied. */
const applied = (slice: Parameters<typeof sliceObject>[0]) => ({
  apiVersion: "discovery.k8s.io/v1",
  ...sliceObject(slice),
});

test("a Service selects external workloads by its ordinary selector, with named ports as each workload has them", () => {
  const slices = wantedSlices(
    snapshotOf(
      service({}),
      workload("a", "192.0.2.1"),
      workload("b", "192.0.2.2", { port: 9090, ready: false }),
      workload("c", "2001:db8::1"),
      workload("other", "192.0.2.3", { app: "else" }),
    ),
  );
  assert.deepEqual(
    slices.map(({ family, ports, endpoints }) => [
      family,
      ports.map(({ port }) => port),
      endpoints.map(({ ip, isReady }) => `${ip} ${isReady}`),
    ]),
    [
      [4, [8080], ["192.0.2.1 true"]],
      [4, [9090], ["192.0.2.2 false"]],
      [6, [8080], ["2001:db8::1 true"]],
    ],
  );
});

test("no slice holds more than a hundred endpoints", () => {
  const many = Array.from({ length: 205 }, (_, at) => workload(`w${at}`, `192.0.2.${at}`));
  const sizes = wantedSlices(snapshotOf(service({}), ...many)).map(({ endpoints }) => endpoints.length);
  assert.deepEqual(sizes, [100, 100, 5]);
});

test("what was written is not written again; what differs is, and what is left over is taken away", () => {
  const objects = [service({}), workload("a", "192.0.2.1")];
  const [slice] = sliceChanges(snapshotOf(...objects)).write;
  assert.ok(slice);
  const there = snapshotOf(...objects, applied(slice));
  assert.deepEqual(sliceChanges(there), { write: [], remove: [] });
  const unready = snapshotOf(service({}), workload("a", "192.0.2.1", { ready: false }), applied(slice));
  assert.equal(sliceChanges(unready).write.length, 1);
  const gone = sliceChanges(snapshotOf(service({}), applied(slice)));
  assert.deepEqual([gone.write.length, gone.remove.map(({ meta }) => meta.name)], [0, [slice.name]]);
});

test("slices of Kubernetes' own controller are never touched", () => {
  const [slice] = sliceChanges(snapshotOf(service({}), workload("a", "192.0.2.1"))).write;
  assert.ok(slice);
  const foreign = JSON.parse(
    JSON.stringify(applied(slice)).replaceAll(MANAGER, "endpointslice-controller.k8s.io"),
  );
  assert.ok(JSON.stringify(foreign).includes(MANAGED_BY_LABEL));
  foreign.metadata.name = "web-abcde";
  assert.deepEqual(sliceChanges(snapshotOf(service({}), foreign)).remove, []);
});
