import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { estimate, seeded, shuffled } from "./statistics.ts";

test("the median is the middle, or between the two in the middle", () => {
  assert.equal(estimate([3, 1, 2], seeded(1))?.median, 2);
  assert.equal(estimate([4, 1, 2, 3], seeded(1))?.median, 2.5);
  assert.equal(estimate([], seeded(1)), undefined);
});

test("the interval holds the median and lies within the values", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 12 }),
      fc.integer(),
      (values, seed) => {
        const found = estimate(values, seeded(seed));
        assert.ok(found);
        assert.ok(found.low <= found.median && found.median <= found.high);
        assert.ok(found.low >= Math.min(...values) && found.high <= Math.max(...values));
      },
    ),
    { numRuns: 30 },
  );
});

test("a shuffle loses nothing, and the same seed gives the same order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.integer(), (items, seed) => {
      const order = shuffled(items, seeded(seed));
      assert.deepEqual(
        order.toSorted((a, b) => a - b),
        items.toSorted((a, b) => a - b),
      );
      assert.deepEqual(order, shuffled(items, seeded(seed)));
    }),
  );
});
