import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { differences, indexed, shared, withEntry, withoutEntry } from "./shards.ts";

const Key = fc.integer({ min: 0, max: 600 }).map((number) => `ns/${number}`);
const Step = fc.record({ key: Key, value: fc.option(fc.nat(), { nil: undefined }) });
/** More than stay a plain map, so that both forms are met. */
const Base = fc
  .integer({ min: 0, max: 500 })
  .map(
    (size) => new Map<string, number>(Array.from({ length: size }, (_, at) => [`ns/${at}`, -at] as const)),
  );

function run(map: ReadonlyMap<string, number>, steps: readonly { key: string; value: number | undefined }[]) {
  let after = map;
  for (const { key, value } of steps)
    after = value === undefined ? withoutEntry(after, key) : withEntry(after, key, value);
  return after;
}

const sum = (map: ReadonlyMap<string, number>) => [...map.values()].reduce((total, one) => total + one, 0);
const entries = (map: ReadonlyMap<string, number>) => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));

test("a map in either form holds what was put in and not taken out, and the map before is untouched", () => {
  fc.assert(
    fc.property(Base, fc.array(Step, { maxLength: 60 }), (base, steps) => {
      const before = shared(base);
      const expected = new Map(base);
      for (const { key, value } of steps)
        if (value === undefined) expected.delete(key);
        else expected.set(key, value);
      const after = run(before, steps);
      assert.deepEqual(entries(after), entries(expected));
      assert.equal(after.size, expected.size);
      assert.equal([...after.keys()].length, expected.size);
      for (const [key, value] of expected) assert.ok(after.has(key) && after.get(key) === value);
      assert.deepEqual(entries(before), entries(base));
    }),
  );
});

test("differences take one map to the other, and equal maps have none", () => {
  fc.assert(
    fc.property(Base, fc.array(Step, { maxLength: 60 }), (base, steps) => {
      const before = shared(base);
      const after = run(before, steps);
      let total = sum(before);
      for (const one of differences(before, after)) {
        assert.notEqual(one.before, one.after);
        total += (one.after ?? 0) - (one.before ?? 0);
      }
      assert.equal(total, sum(after));
      assert.deepEqual([...differences(after, after)], []);
    }),
  );
});

test("an index is that of the map it is asked for, whatever it was asked for before", () => {
  const byParity = indexed<number, Map<number, number>>({
    create: () => new Map(),
    add: (counts, value) => void counts.set(value % 2, (counts.get(value % 2) ?? 0) + 1),
    remove: (counts, value) => void counts.set(value % 2, (counts.get(value % 2) ?? 0) - 1),
  });
  fc.assert(
    fc.property(Base, fc.array(fc.array(Step, { maxLength: 20 }), { maxLength: 5 }), (base, histories) => {
      const maps = [shared(base), ...histories.map((steps) => run(shared(base), steps))];
      for (const map of maps) {
        const counts = byParity(map);
        const odd = [...map.values()].filter((value) => Math.abs(value % 2) === 1).length;
        assert.equal((counts.get(1) ?? 0) + (counts.get(-1) ?? 0), odd);
      }
    }),
  );
});

test("a change of a large map copies a small part of it", () => {
  const large = shared(new Map(Array.from({ length: 100_000 }, (_, at) => [`ns/${at}`, at])));
  const began = performance.now();
  let after = large;
  for (let at = 0; at < 1_000; at += 1) after = withEntry(after, `ns/${at * 7}`, -1);
  let differing = 0;
  for (const _ of differences(large, after)) differing += 1;
  assert.equal(differing, 1_000);
  // A copy of the whole for each change would take seconds.
  assert.ok(performance.now() - began < 1_000);
});
