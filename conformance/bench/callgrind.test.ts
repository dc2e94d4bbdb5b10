import assert from "node:assert/strict";
import test from "node:test";
import { summary } from "./callgrind.ts";

test("the total of a callgrind file is read, and a file without one is refused", () => {
  assert.equal(summary("events: Ir\nfn=(1)\n1 5\nsummary: 1234567\n"), 1_234_567);
  assert.equal(summary("totals: 99\n"), 99);
  assert.throws(() => summary("events: Ir\n"), /no total/);
});
