import assert from "node:assert/strict";
import test from "node:test";
import { digest } from "@hauberk/crypto/digest.ts";
import { coverageOf, testResult, type Report } from "./gate.ts";

const [ONE, OTHER] = ["1".repeat(64), "2".repeat(64)];
const REPORT = digest(Buffer.from("report")).slice("sha256:".length);
const COMMIT = "a".repeat(40);

const report = (sha256: string, commit = COMMIT, isClean = true): Report => ({
  tested: { programs: [{ name: "hauberk-proxy", sha256 }], source: { commit, isClean } },
  suites: [{ suite: "h2spec", cases: [1], asUsual: 1, excused: 0, findings: [] }],
});
const released = {
  commit: COMMIT,
  proxies: new Map([
    ["linux/amd64", ONE],
    ["linux/arm64", OTHER],
  ]),
};

void test("a conformance report is of this release only if this release's binary was tested (D-05)", () => {
  assert.deepEqual(coverageOf(report(ONE), released), { platforms: ["linux/amd64"], reasons: [] });
  const { reasons } = coverageOf(report("3".repeat(64)), released);
  assert.match(reasons.join(), /in no image of this release/);
});

void test("a report of another commit, or of a tree with changes, is of another release", () => {
  assert.match(coverageOf(report(ONE, "b".repeat(40)), released).reasons.join(), /commit b+ was tested/);
  assert.match(coverageOf(report(ONE, COMMIT, false), released).reasons.join(), /changes that no commit has/);
});

void test("a release without a data plane is held by its commit alone", () => {
  const scripts = { commit: COMMIT, proxies: new Map<string, string>() };
  assert.deepEqual(coverageOf(report(ONE), scripts), { platforms: [], reasons: [] });
});

void test("a test result names the programs and the commit that were tested", () => {
  const { configuration } = testResult(report(ONE), digest(Buffer.from("report")));
  assert.deepEqual(configuration, [
    { name: "conformance/report.json", digest: { sha256: REPORT } },
    { name: "hauberk-proxy", digest: { sha256: ONE } },
    { name: "source", digest: { gitCommit: COMMIT } },
  ]);
});
