import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseExposition } from "./exposition.ts";

test("samples are read with their labels, escapes resolved", () => {
  const text = `# HELP a b
a_total 3
b_bucket{le="+Inf",path="x\\"y\\\\z\\n"} 7 1700000000
c{} NaN
d{x="1"} +Inf
`;
  assert.deepEqual(
    parseExposition(text, () => true),
    [
      { name: "a_total", labels: {}, value: 3 },
      { name: "b_bucket", labels: { le: "+Inf", path: 'x"y\\z\n' }, value: 7 },
      { name: "d", labels: { x: "1" }, value: Number.POSITIVE_INFINITY },
    ],
  );
});

test("families that nobody wants are skipped", () => {
  assert.deepEqual(
    parseExposition("a 1\nb 2\n", (name) => name === "b").map(({ name }) => name),
    ["b"],
  );
});

test("foreign text never throws", () => {
  fc.assert(fc.property(fc.string({ maxLength: 300 }), (text) => void parseExposition(text, () => true)));
});

test("what is written is read back", () => {
  const label = fc.string({ maxLength: 20 }).filter((text) => !text.includes("\r"));
  fc.assert(
    fc.property(label, fc.integer(), (value, number) => {
      const escaped = value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
      const [one] = parseExposition(`m{l="${escaped}",z="1"} ${number}`, () => true);
      assert.deepEqual(one, { name: "m", labels: { l: value, z: "1" }, value: number });
    }),
  );
});
