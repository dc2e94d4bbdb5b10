import assert from "node:assert/strict";
import { test } from "node:test";
import { inTurn, type Preparing } from "./turns.ts";

interface Job {
  readonly name: string;
  readonly needs: readonly string[];
}

function preparing(): { readonly now: Preparing<string>; readonly end: (need: string) => void } {
  const ends = new Map(["a", "b"].map((need) => [need, Promise.withResolvers<void>()]));
  const over = new Set<string>();
  const end = (need: string): void => {
    over.add(need);
    ends.get(need)?.resolve();
  };
  const now = {
    isOver: (need: string) => over.has(need),
    over: async (need: string) => ends.get(need)?.promise,
  };
  return { now, end };
}

test("what is ready goes first, and what is not is waited for in its order", async () => {
  const { now, end } = preparing();
  const jobs: readonly Job[] = [
    { name: "needs b", needs: ["b"] },
    { name: "needs a", needs: ["a"] },
    { name: "needs nothing", needs: [] },
    { name: "needs both", needs: ["a", "b"] },
  ];
  const done: string[] = [];
  const all = inTurn(jobs, now, async ({ name }) => {
    done.push(name);
    if (name === "needs nothing") end("a");
    if (name === "needs a") setImmediate(() => end("b"));
  });
  await all;
  assert.deepEqual(done, ["needs nothing", "needs a", "needs b", "needs both"]);
});

test("one job at a time", async () => {
  const { now } = preparing();
  let [running, most] = [0, 0];
  const jobs: readonly Job[] = Array.from({ length: 5 }, (_, nth) => ({ name: String(nth), needs: [] }));
  await inTurn(jobs, now, async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  });
  assert.equal(most, 1);
});
