import assert from "node:assert/strict";
import { test } from "node:test";
import type { Check, Finding } from "./check.ts";
import { CHECKS } from "./checks.ts";
import type { CheckFacts } from "./facts.ts";
import { isHealthy, renderResults, resultsJson, runChecks } from "./results.ts";

const unknown = { ok: false, why: "nothing answers at /run/up.sock" } as const;
const facts: CheckFacts = {
  nowMs: 0,
  cliVersion: "1.0.0",
  status: unknown,
  authority: unknown,
  presented: unknown,
  report: unknown,
};

function check(category: string, description: string, finding: Finding, fatal = false): Check<CheckFacts> {
  return {
    category,
    description,
    hint: `hint-${description.split(" ")[0] ?? ""}`,
    fatal,
    find: () => finding,
  };
}

const results = runChecks(
  [
    check("linkerd-existence", "pods are ready", { type: "success" }),
    check("linkerd-identity", "anchors are young", { type: "warning", message: "* root ends soon" }),
    check(
      "linkerd-identity",
      "issuer is valid",
      { type: "error", message: "* it ended\n* it was nobody's" },
      true,
    ),
    check("linkerd-data-plane", "never reached", { type: "success" }),
  ],
  facts,
);

test("the report has Linkerd's look, and ends at a fatal error", () => {
  assert.equal(
    renderResults(results, "table"),
    `linkerd-existence
-----------------
√ pods are ready

linkerd-identity
----------------
‼ anchors are young
    * root ends soon
    see docs/guide/check.md#hint-anchors for hints
× issuer is valid
    * it ended
    * it was nobody's
    see docs/guide/check.md#hint-issuer for hints

Status check results are ×`,
  );
});

test("the JSON report has Linkerd's form", () => {
  assert.deepEqual(resultsJson(results), {
    success: false,
    categories: [
      { categoryName: "linkerd-existence", checks: [{ description: "pods are ready", result: "success" }] },
      {
        categoryName: "linkerd-identity",
        checks: [
          {
            description: "anchors are young",
            hint: "docs/guide/check.md#hint-anchors",
            error: "* root ends soon",
            result: "warning",
          },
          {
            description: "issuer is valid",
            hint: "docs/guide/check.md#hint-issuer",
            error: "* it ended\n* it was nobody's",
            result: "error",
          },
        ],
      },
    ],
  });
});

test("warnings alone are no failure, and the short report leaves out what is well", () => {
  const warned = results.slice(0, 2);
  assert.equal(isHealthy(warned), true);
  assert.match(renderResults(warned, "short"), /^linkerd-identity\n/);
  assert.equal(renderResults(results.slice(0, 1), "short"), "Status check results are √");
});

test("a mesh that does not run fails its first check, which is the last", () => {
  const [only, ...more] = runChecks(CHECKS, facts);
  assert.equal(only?.finding.type, "error");
  assert.deepEqual(more, []);
});
