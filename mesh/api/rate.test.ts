import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { RateLimit } from "./rate.ts";

test("a workload has its burst at once and then one request each refill", () => {
  const limit = new RateLimit({ burst: 3, refillMs: 1000 });
  assert.deepEqual(
    [0, 0, 0, 0].map((at) => limit.take("a", at)),
    [true, true, true, false],
  );
  assert.equal(limit.take("b", 0), true);
  assert.equal(limit.take("a", 999), false);
  assert.equal(limit.take("a", 1000), true);
  assert.equal(limit.take("a", 1000), false);
});

test("no order of requests gets more than the burst and what time has earned", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 }), (pauses) => {
      const limit = new RateLimit({ burst: 3, refillMs: 1000 });
      let nowMs = 0;
      let taken = 0;
      for (const pause of pauses) {
        nowMs += pause;
        if (limit.take("a", nowMs)) taken += 1;
      }
      assert.ok(taken <= 3 + nowMs / 1000);
    }),
  );
});

test("a clock that jumps back gives nothing away", () => {
  const limit = new RateLimit({ burst: 1, refillMs: 1000 });
  assert.equal(limit.take("a", 10_000), true);
  assert.equal(limit.take("a", 0), false);
  assert.equal(limit.take("a", 500), false);
});

test("only so many workloads are remembered", () => {
  const limit = new RateLimit({ burst: 1, refillMs: 1000 }, 2);
  assert.deepEqual(
    ["a", "b", "c"].map((key) => limit.take(key, 0)),
    [true, true, true],
  );
  assert.equal(limit.take("c", 0), false);
  assert.equal(limit.take("a", 0), true);
});
