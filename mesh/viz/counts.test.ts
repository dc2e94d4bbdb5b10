import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NO_COUNTS, quantileMs, since, sum } from "./counts.ts";
import type { Counts } from "./counts.ts";

function histogram(...buckets: readonly (readonly [number, number])[]): Counts {
  return { ...NO_COUNTS, buckets: new Map(buckets) };
}

const INF = Number.POSITIVE_INFINITY;

test("quantiles are interpolated within their bucket, as Prometheus does", () => {
  const even = histogram([10, 50], [20, 100], [INF, 100]);
  assert.equal(quantileMs(even, 0.5), 10);
  assert.equal(quantileMs(even, 0.75), 15);
  assert.equal(quantileMs(even, 1), 20);
  assert.equal(quantileMs(histogram([10, 0], [INF, 0]), 0.5), undefined);
  assert.equal(quantileMs(NO_COUNTS, 0.5), undefined);
  assert.equal(
    quantileMs(histogram([10, 0], [20, 1], [INF, 4]), 0.99),
    20,
    "beyond the last bound nothing is known",
  );
});

const times = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 200 });
const BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, INF];

function counted(list: readonly number[]): Counts {
  return {
    success: list.length,
    failure: 0,
    buckets: new Map(BOUNDS.map((bound) => [bound, list.filter((ms) => ms <= bound).length])),
  };
}

test("a quantile lies in the bucket of the true one, and higher ones are not lower", () => {
  fc.assert(
    fc.property(times, fc.double({ min: 0.01, max: 1, noNaN: true }), (list, q) => {
      const ordered = list.toSorted((a, b) => a - b);
      const truth = ordered[Math.ceil(q * list.length) - 1] ?? 0;
      const upper = BOUNDS.find((bound) => truth <= bound) ?? INF;
      const lower = BOUNDS[BOUNDS.indexOf(upper) - 1] ?? 0;
      const got = quantileMs(counted(list), q) ?? -1;
      assert.ok(got >= lower - 1e-9 && got <= upper + 1e-9, `${got} is not in (${lower}, ${upper}]`);
      assert.ok((quantileMs(counted(list), Math.min(1, q + 0.1)) ?? -1) >= got - 1e-9);
    }),
  );
});

test("what two parts counted is what the whole counted", () => {
  fc.assert(
    fc.property(times, times, (one, other) => {
      assert.deepEqual(sum(counted(one), counted(other)), counted([...one, ...other]));
      assert.deepEqual(since(counted([...one, ...other]), counted(one)), counted(other));
    }),
  );
});

test("a proxy that began anew counts from nothing", () => {
  assert.deepEqual(since(counted([5]), counted([1, 2, 3])), counted([5]));
});
