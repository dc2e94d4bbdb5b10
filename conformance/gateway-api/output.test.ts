import assert from "node:assert/strict";
import { test } from "node:test";
import { casesOf, EXTENDED } from "./output.ts";

const LOG = `=== RUN   TestConformance
--- FAIL: TestConformance (1.92s)
    --- SKIP: TestConformance/GatewayInfrastructure (0.00s)
    --- PASS: TestConformance/MeshBasic (0.50s)
        --- PASS: TestConformance/MeshBasic/Send_to_service (0.20s)
    --- FAIL: TestConformance/MeshPorts (30.00s)
FAIL
`;

const report = (features: readonly string[]): string => `kind: ConformanceReport
profiles:
- core:
    result: success
    statistics: {Failed: 0, Passed: 7, Skipped: 0}
  extended:
    result: success
    statistics: {Failed: 0, Passed: 9, Skipped: 0}
    supportedFeatures: ${JSON.stringify(features)}
  name: MESH-HTTP
`;

test("each test that ran is a case; what the features leave out is none, and neither are parts of tests", () => {
  assert.deepEqual(casesOf(LOG, ""), [
    { name: "MeshBasic", outcome: "pass" },
    { name: "MeshPorts", outcome: "fail" },
  ]);
});

test("a profile passes only if its report names every extended feature", () => {
  assert.equal(casesOf("", report(EXTENDED))[0]?.outcome, "pass");
  assert.equal(casesOf("", report(EXTENDED.slice(1)))[0]?.outcome, "fail");
});

test("a profile whose core tests were skipped in part does not pass", () => {
  const partial = report(EXTENDED).replace("result: success", "result: partial");
  assert.equal(casesOf("", partial)[0]?.outcome, "fail");
});
