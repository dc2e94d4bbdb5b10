import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "./client.ts";
import { KubeError } from "./error.ts";
import { lead, mayTake } from "./lease.ts";
import { KubeObject } from "./object.ts";

/** An API server that holds one lease and demands the version that was read. */
function server() {
  const state: { lease: KubeObject | undefined; version: number; isDown: boolean } = {
    lease: undefined,
    version: 0,
    isDown: false,
  };
  const write = (object: unknown): KubeObject => {
    if (state.isDown) throw new KubeError({ status: 0, reason: "Unreachable" }, "down");
    const given = KubeObject.parse(object);
    if (given.metadata.resourceVersion !== state.lease?.metadata.resourceVersion)
      throw new KubeError({ status: 409, reason: "Conflict" }, "written in between");
    state.version += 1;
    state.lease = { ...given, metadata: { ...given.metadata, resourceVersion: String(state.version) } };
    return state.lease;
  };
  const client: Pick<KubeClient, "find" | "create" | "replace"> = {
    find: () =>
      state.isDown
        ? Promise.reject(new KubeError({ status: 0, reason: "Unreachable" }, "down"))
        : Promise.resolve(state.lease),
    create: async (_, object) => write(object),
    replace: async (_, object) => write(object),
  };
  const holder = () => JSON.stringify(state.lease?.["spec"]).match(/"holderIdentity":"([^"]*)"/)?.[1];
  return { state, client, holder };
}

const TIMES = { durationMs: 1_000, renewMsMax: 60, retryMs: 10 };

function competitor(client: ReturnType<typeof server>["client"], holder: string) {
  const stop = new AbortController();
  const changes: boolean[] = [];
  const isLeading = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<void>();
  const done = lead({
    client,
    namespace: "linkerd",
    name: "l",
    holder,
    signal: stop.signal,
    times: TIMES,
    whileLeading: (signal) =>
      new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true })),
    onChange: (leads) => {
      changes.push(leads);
      if (leads) isLeading.resolve();
      else lost.resolve();
    },
    onFailure: () => undefined,
  });
  return { stop: () => stop.abort(), done, changes, isLeading: isLeading.promise, lost: lost.promise };
}

test("a lease is taken if it is free, ours, or was not written for its duration by our own clock", () => {
  const seen = { holder: "other", durationMs: 30_000, sinceMs: 1_000 };
  const rows: readonly (readonly [Parameters<typeof mayTake>[0], number, boolean])[] = [
    [undefined, 0, true],
    [{ ...seen, holder: "" }, 1_000, true],
    [{ ...seen, holder: "self" }, 1_000, true],
    [seen, 30_999, false],
    [seen, 31_000, true],
  ];
  for (const [lease, nowMs, may] of rows) assert.equal(mayTake(lease, { self: "self", nowMs }), may);
});

test("one replica leads, and at its end another takes over at once", async () => {
  const { client, holder } = server();
  const a = competitor(client, "a");
  await a.isLeading;
  const b = competitor(client, "b");
  a.stop();
  await a.done;
  await b.isLeading;
  assert.equal(holder(), "b");
  assert.deepEqual(a.changes, [true, false]);
  assert.deepEqual(b.changes, [true]);
  b.stop();
  await b.done;
  assert.equal(holder(), "");
});

test("a leader that cannot renew stops before its lease is over, and leads again when it can", async () => {
  const { client, state } = server();
  const a = competitor(client, "a");
  await a.isLeading;
  state.isDown = true;
  await a.lost;
  assert.deepEqual(a.changes, [true, false]);
  state.isDown = false;
  a.stop();
  await a.done;
});

test("a leader whose lease another took stops", async () => {
  const { client, state } = server();
  const a = competitor(client, "a");
  await a.isLeading;
  assert.ok(state.lease);
  state.version += 1;
  const spec = { holderIdentity: "thief", leaseDurationSeconds: 60 };
  state.lease = { ...state.lease, spec, metadata: { resourceVersion: String(state.version), name: "l" } };
  await a.lost;
  a.stop();
  await a.done;
  assert.deepEqual(a.changes, [true, false]);
});
