import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { take, type Bucket } from "./rate.ts";

test("a burst goes at once, what follows at the rate", () => {
  const rate = { perSecond: 10, burst: 3 };
  let bucket: Bucket | undefined;
  const waits = Array.from({ length: 6 }, () => {
    const taken = take(bucket, rate, 0);
    bucket = taken.bucket;
    return taken.waitMs;
  });
  assert.deepEqual(waits, [0, 0, 0, 100, 200, 300]);
  assert.equal(take(bucket, rate, 10_000).waitMs, 0);
});

test("in no span of time are there more calls than the burst and what the rate allows", () => {
  const rates = fc.record({
    perSecond: fc.integer({ min: 1, max: 500 }),
    burst: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(rates, fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 200 }), (rate, gaps) => {
      let bucket: Bucket | undefined;
      let nowMs = 0;
      const starts = gaps.map((gap) => {
        nowMs += gap;
        const taken = take(bucket, rate, nowMs);
        bucket = taken.bucket;
        return nowMs + taken.waitMs;
      });
      return starts.every((from, index) =>
        starts
          .slice(index)
          .every((to, more) => more + 1 <= rate.burst + ((to - from) * rate.perSecond) / 1_000 + 1e-6),
      );
    }),
  );
});
