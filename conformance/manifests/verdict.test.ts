import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { strict } from "./schemas.ts";
import { Exceptions, unneeded, verdict, type Exceptions as All } from "./verdict.ts";

const EXCEPTIONS: All = [
  { title: "t", reason: "r".repeat(60), rules: ["judge A"], objects: ["Deployment/a"] },
];

test("a finding is excused in the objects that the exception names, and in no other", () => {
  assert.equal(verdict("x", [{ rule: "judge A", object: "Deployment/a" }], EXCEPTIONS).outcome, "passed");
  const other = verdict("x", [{ rule: "judge A", object: "Deployment/b" }], EXCEPTIONS);
  assert.deepEqual(other, { name: "x", outcome: "failed", detail: "Deployment/b: judge A" });
});

test("an exception that nothing needs any more is named", () => {
  assert.deepEqual(unneeded([{ rule: "judge A", object: "Deployment/b" }], EXCEPTIONS), ["Deployment/a"]);
});

test("there are at most five exceptions, each with its reason", () => {
  const file = readFileSync(join(import.meta.dirname, "exceptions.json"), "utf8");
  const all = Exceptions.parse(JSON.parse(file));
  assert.ok(all.length > 0);
  assert.equal(Exceptions.safeParse([...all, ...all]).success, false);
});

test("a field that a schema does not name is refused, unless it takes any", () => {
  const open = { type: "object", properties: {}, "x-kubernetes-preserve-unknown-fields": true };
  assert.deepEqual(strict({ type: "object", properties: { open, name: { type: "string" } } }), {
    type: "object",
    properties: { open, name: { type: "string" } },
    additionalProperties: false,
  });
});
