import assert from "node:assert/strict";
import { test } from "node:test";
import { ordersOf } from "./orders.ts";

test("a run is the same each time unless it is to explore, which has a seed of its own or the one that is asked for", () => {
  assert.deepEqual(ordersOf(["fuzz"]).effort, { kind: "fixed", seed: 1 });
  assert.deepEqual(ordersOf(["--seed", "7"]).effort, { kind: "fixed", seed: 7 });
  assert.deepEqual(ordersOf(["--long", "--seed=7"]).effort, { kind: "exploring", seed: 7, seconds: 300 });
  assert.notDeepEqual(ordersOf(["--long"]).effort, ordersOf(["--long"]).effort);
  assert.equal(ordersOf(["--seconds", "5"]).effort.kind, "exploring");
});

test("a part is told what the run was told, but not where to write", () => {
  const { options, suites } = ordersOf([
    "fuzz",
    "--long",
    "--only",
    "a",
    "--only=b",
    "--out",
    "/x",
    "--after=/y",
    "--seed=3",
  ]);
  assert.deepEqual(options, ["--long", "--only=a", "--only=b", "--seed=3"]);
  assert.deepEqual(suites, ["fuzz"]);
  assert.deepEqual(ordersOf([...options, "--part=beside"]).only, ["a", "b"]);
});

test("what is no number and no part is refused by name", () => {
  assert.throws(() => ordersOf(["--seed", "x"]), /--seed x/);
  assert.throws(() => ordersOf(["--part", "x"]), /--part x/);
});
