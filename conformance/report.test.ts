import assert from "node:assert/strict";
import test from "node:test";
import { judge, render, type SuiteResult } from "./report.ts";

const result = (cases: SuiteResult["cases"]): SuiteResult => ({
  suite: "s",
  usual: () => "passed",
  never: ["leaked"],
  least: 1,
  cases,
});
const reason = "a reason of more than twenty characters";
const problems = (cases: SuiteResult["cases"], expectations = {}): readonly string[] =>
  judge(result(cases), expectations).findings.map(({ problem }) => problem);

test("a run that looked at nothing fails, and so does one that looked at too little", () => {
  assert.deepEqual(problems([]), ["looked at nothing"]);
  const few = judge({ ...result([{ name: "a", outcome: "passed" }]), least: 2 }, {});
  assert.equal(few.findings.length, 1);
});

test("what comes out otherwise is a finding unless it is expected", () => {
  const cases = [
    { name: "a", outcome: "passed" },
    { name: "b", outcome: "failed", detail: "why" },
  ];
  assert.deepEqual(problems(cases), ["failed (why), expected passed"]);
  assert.deepEqual(problems(cases, { b: { outcome: "failed", reason } }), []);
});

test("an expectation that is not met, or of a case that did not run, or of the usual, is a finding", () => {
  const cases = [{ name: "a", outcome: "passed" }];
  assert.equal(problems(cases, { a: { outcome: "failed", reason } }).length, 1);
  assert.equal(problems(cases, { b: { outcome: "failed", reason } }).length, 1);
  assert.equal(problems(cases, { a: { outcome: "passed", reason } }).length, 1);
});

test("some outcomes are excused by nothing", () => {
  const cases = [{ name: "a", outcome: "leaked" }];
  assert.equal(problems(cases, { a: { outcome: "leaked", reason } }).length, 1);
});

test("the report names the suite, its tally and each finding", () => {
  const text = render([judge(result([{ name: "a", outcome: "failed" }]), {})]);
  assert.match(text, /× s: 0 of 1 as required, 0 otherwise/);
  assert.match(text, /a: failed, expected passed/);
});
