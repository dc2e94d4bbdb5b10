import assert from "node:assert/strict";
import { test } from "node:test";
import { assertWhole, joined, shareOf, type Loaded } from "./asking.ts";

const part = (more: Partial<Loaded>): Loaded => ({
  asked: 10,
  answered: 10,
  p50Ms: 1,
  p99Ms: 2,
  worstMs: 3,
  failures: {},
  versions: { stable: 9, canary: 1 },
  pods: {},
  ...more,
});

test("loads joined count every request, and are as slow as their slowest part", () => {
  const all = joined([part({}), part({ answered: 9, worstMs: 70, failures: { "503 ": 1 } })]);
  assert.equal(all.asked, 20);
  assert.equal(all.worstMs, 70);
  assert.deepEqual(all.failures, { "503 ": 1 });
  assert.throws(() => assertWhole(all), /19 of 20.*503/);
});

test("a share is of what was answered", () => {
  assert.equal(shareOf(joined([part({}), part({})]), "canary"), 10);
});
