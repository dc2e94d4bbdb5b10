import assert from "node:assert/strict";
import { test } from "node:test";
import type { ListPage, WatchOptions } from "./client.ts";
import { KUBE_REASON, KubeError } from "./error.ts";
import { follow, noProgress, pauseMs, type Heard, type Lister } from "./follow.ts";
import { INITIAL_EVENTS_END, type WatchEvent } from "./object.ts";
import { RESOURCES } from "./resource.ts";

const pod = (name: string, version: string) => ({ metadata: { name, resourceVersion: version } });
const event = (type: WatchEvent["type"], name: string, version: string): WatchEvent => ({
  type,
  object: pod(name, version),
});
const bookmark = (version: string, annotations = {}): WatchEvent => ({
  type: "BOOKMARK",
  object: { metadata: { resourceVersion: version, annotations } },
});
const complete = (version: string) => bookmark(version, { [INITIAL_EVENTS_END]: "true" });

type Step =
  | { readonly batches: readonly (readonly WatchEvent[])[]; readonly error?: Error }
  | { readonly list: readonly ListPage[]; readonly error?: Error };

/** A server that plays one step for each call, and what it was asked. */
function server(steps: readonly Step[], stop: AbortController) {
  const asked: string[] = [];
  let at = 0;
  const next = (): Step | undefined => {
    const step = steps[at++];
    if (step === undefined) stop.abort();
    return step;
  };
  const lister: Lister = {
    async *pages() {
      asked.push("list");
      const step = next();
      if (step !== undefined && "list" in step) yield* step.list;
      if (step?.error !== undefined) throw step.error;
    },
    async *watchBatches(_, { resourceVersion, sendInitialEvents }: WatchOptions) {
      asked.push(sendInitialEvents === true ? "watch all" : `watch from ${resourceVersion}`);
      const step = next();
      if (step !== undefined && "batches" in step) yield* step.batches;
      if (step?.error !== undefined) throw step.error;
    },
  };
  return { lister, asked };
}

/** What was heard, with the parts of a list that ended as one. */
class Ear {
  readonly heard: string[] = [];
  #parts: string[] = [];

  hear(one: Heard<string>): void {
    switch (one.type) {
      case "begin":
        this.#parts = [];
        return;
      case "part":
        this.#parts.push(...one.items);
        return;
      case "end":
        this.heard.push(`list ${this.#parts.join()}`);
        return;
      case "changes":
        this.heard.push(one.changes.map(({ type, item }) => `${type} ${item}`).join());
    }
  }
}

async function run(steps: readonly Step[]) {
  const stop = new AbortController();
  const { lister, asked } = server(steps, stop);
  const ear = new Ear();
  const pauses: number[] = [];
  const failures: unknown[] = [];
  const progress = noProgress();
  const options = {
    client: lister,
    ref: { type: RESOURCES.pods },
    read: (object: unknown) => JSON.stringify(object).replace(/.*"name":"(\w+)".*/, "$1"),
    progress,
    signal: stop.signal,
    onFailure: (error: unknown) => failures.push(error),
    timing: { nowMs: () => 0, random: () => 1, pause: async (ms: number) => void pauses.push(ms) },
  };
  for await (const one of follow(options)) ear.hear(one);
  return { asked, heard: ear.heard, pauses, failures, progress };
}

const expired = new KubeError({ status: 410, reason: "Expired" }, "too old");
const unreachable = new KubeError({ status: 0, reason: KUBE_REASON.unreachable }, "no answer");
const unknownOption = new KubeError({ status: 422, reason: "Invalid" }, "sendInitialEvents is forbidden");

test("the objects that there are come as one list, and what changes after them as changes", async () => {
  const { heard, asked, progress } = await run([
    {
      batches: [
        [event("ADDED", "a", "1")],
        [event("ADDED", "b", "2"), complete("5"), event("DELETED", "a", "6")],
        [event("MODIFIED", "b", "7")],
      ],
    },
  ]);
  assert.deepEqual(heard, ["list a,b", "remove a", "upsert b"]);
  assert.deepEqual(asked, ["watch all", "watch from 7"]);
  assert.ok(progress.isSynced && progress.lists === 1);
});

test("a watch that the server ends is resumed where it stood, also by a bookmark alone", async () => {
  const { asked, failures } = await run([{ batches: [[complete("5")], [bookmark("9")]] }, { batches: [] }]);
  assert.deepEqual(asked, ["watch all", "watch from 9", "watch from 9"]);
  assert.deepEqual(failures, []);
});

test("a place that is no longer kept is left for a list, and nothing that went in between is kept", async () => {
  const { asked, heard } = await run([
    { batches: [[event("ADDED", "a", "1"), complete("5")]] },
    { batches: [], error: expired },
    { batches: [[event("ADDED", "b", "8"), complete("9")]] },
  ]);
  assert.deepEqual(asked.slice(0, 3), ["watch all", "watch from 5", "watch all"]);
  assert.deepEqual(heard, ["list a", "list b"]);
});

test("a list that breaks off is no list", async () => {
  const { asked, heard } = await run([
    { batches: [[event("ADDED", "a", "1")]], error: unreachable },
    { batches: [[event("ADDED", "a", "1"), event("ADDED", "b", "1"), complete("2")]] },
  ]);
  assert.deepEqual(heard, ["list a,b"]);
  assert.deepEqual(asked.slice(0, 2), ["watch all", "watch all"]);
});

test("a server that cannot begin a watch with what there is, is listed", async () => {
  const pages = [
    { resourceVersion: "4", items: [pod("a", "1")] },
    { resourceVersion: "4", items: [pod("b", "2")] },
  ];
  const { asked, heard, failures } = await run([
    { batches: [], error: unknownOption },
    { list: pages },
    { batches: [[event("ADDED", "c", "5")]], error: expired },
    { list: pages },
  ]);
  assert.deepEqual(asked.slice(0, 5), ["watch all", "list", "watch from 4", "list", "watch from 4"]);
  assert.deepEqual(heard, ["list a,b", "upsert c", "list a,b"]);
  assert.deepEqual(failures, [expired]);
});

test("every failure is reported, waited out for longer each time, and never the end", async () => {
  const { pauses, failures, progress, heard } = await run([
    ...Array.from({ length: 7 }, () => ({ batches: [], error: unreachable })),
    { batches: [[complete("1")]] },
  ]);
  assert.equal(failures.length, 7);
  assert.deepEqual(pauses.slice(0, 7), [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  assert.equal(progress.failures, 7);
  assert.equal(progress.trouble, undefined);
  assert.deepEqual(heard, ["list "]);
});

test("pauses differ from client to client by up to half", () => {
  assert.deepEqual(
    [0, 0.5, 1].map((chance) => pauseMs(3, () => chance)),
    [500, 750, 1_000],
  );
});
