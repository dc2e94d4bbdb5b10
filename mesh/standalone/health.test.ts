import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { backoffMs, beginHealth, dueProbes, onProbe } from "./health.ts";
import type { ProbeName } from "./health.ts";
import type { Container, Probe } from "./workload.ts";

function probe(successThreshold: number, failureThreshold: number): Probe {
  const action = { type: "tcp", port: 1 } as const;
  return { action, initialDelayMs: 0, periodMs: 1, timeoutMs: 1, successThreshold, failureThreshold };
}

type Probed = Pick<Container, ProbeName>;

function after(container: Probed, answers: readonly (readonly [ProbeName, boolean])[]) {
  return answers.reduce(
    (health, [probe, ok]) => onProbe(container, health, { probe, ok }),
    beginHealth(container),
  );
}

test("a container without probes is ready at once", () => {
  assert.deepEqual([beginHealth({}).ready, beginHealth({}).live], [true, true]);
});

test("thresholds count answers in a row", () => {
  const readiness = { readiness: probe(2, 3) };
  const table: readonly (readonly [string, boolean])[] = [
    ["+", false],
    ["++", true],
    ["+-+", false],
    ["++--", true],
    ["++--+--", true],
    ["++---", false],
    ["++---+", false],
    ["++---++", true],
  ];
  for (const [answers, ready] of table)
    assert.equal(
      after(
        readiness,
        answers.split("").map((one) => ["readiness", one === "+"] as const),
      ).ready,
      ready,
      answers,
    );
});

test("nothing else is asked before the startup probe has passed", () => {
  const container = { startup: probe(1, 3), readiness: probe(1, 1), liveness: probe(1, 1) };
  const fresh = beginHealth(container);
  assert.deepEqual([fresh.ready, dueProbes(container, fresh)], [false, ["startup"]]);
  const started = after(container, [["startup", true]]);
  assert.deepEqual([started.ready, dueProbes(container, started)], [false, ["readiness", "liveness"]]);
  assert.equal(
    after(container, [
      ["startup", false],
      ["startup", false],
      ["startup", false],
    ]).live,
    false,
  );
});

test("only a failed startup or liveness probe ends a container, and no answer brings it back", () => {
  const container = { readiness: probe(1, 1), liveness: probe(1, 2) };
  const answers = fc.array(fc.tuple(fc.constantFrom<ProbeName>("readiness", "liveness"), fc.boolean()));
  fc.assert(
    fc.property(answers, (list) => {
      const failed = list
        .filter(([name]) => name === "liveness")
        .map(([, ok]) => (ok ? "+" : "-"))
        .join("")
        .includes("--");
      assert.equal(after(container, list).live, !failed);
    }),
  );
});

test("pauses grow and are bounded", () => {
  assert.deepEqual([1, 2, 3, 7, 50].map(backoffMs), [500, 1_000, 2_000, 30_000, 30_000]);
});
