import assert from "node:assert/strict";
import { test } from "node:test";
import { Latest } from "./subscribe.ts";

test("a slow follower misses what lay between and never the last value", async () => {
  const latest = new Latest(1);
  const stop = new AbortController();
  const values = latest.follow(stop.signal);
  assert.equal((await values.next()).value, 1);
  const waiting = values.next();
  latest.set(2);
  assert.equal((await waiting).value, 2);
  for (const value of [3, 4, 5]) latest.set(value);
  assert.equal((await values.next()).value, 5);
  const last = values.next();
  stop.abort();
  assert.equal((await last).done, true);
});

test("the same value is no change, and a listener that left hears nothing", () => {
  const latest = new Latest("a");
  const heard: string[] = [];
  const leave = latest.listen((value) => heard.push(value));
  latest.set("a");
  latest.set("b");
  leave();
  latest.set("c");
  assert.deepEqual(heard, ["b"]);
});
