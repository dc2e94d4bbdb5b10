import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inputsOf, lineOf, targets } from "./corpus.ts";
import { ofEngine, ofTarget } from "./output.ts";
import { FIXED_SEED, shareOf } from "./plan.ts";

test("an engine that ran to its end tells executions and coverage", () => {
  const stderr =
    "#2\tINITED cov: 12 ft: 13 corp: 1/1b\n#4096\tpulse  cov: 80 ft: 90\nDone 9000 runs in 2 second(s)\nstat::number_of_executed_units: 9000\n";
  assert.deepEqual(ofEngine(stderr, 0), { executions: 9000, coverage: 80, broke: undefined });
});

test("a crash is told in the words of what crashed", () => {
  const stderr =
    "#8\tNEW    cov: 9 ft: 9\nthread '<unnamed>' (7) panicked at fuzz/src/paths.rs:1:2:\nassertion failed\n==1== ERROR: libFuzzer: deadly signal\n";
  const { executions, broke } = ofEngine(stderr, 77);
  assert.equal(executions, 8);
  assert.match(broke ?? "", /panicked at fuzz\/src\/paths.rs:1:2:\nassertion failed/);
  assert.equal(ofEngine("", 2).broke, "ended with 2");
});

test("a target of the control plane tells the same in JSON, and silence is a failure", () => {
  assert.deepEqual(ofTarget('{"executions":5,"accepted":1,"seed":2,"answers":3,"blocks":4}\n', 0), {
    executions: 5,
    coverage: 4,
    broke: undefined,
  });
  assert.match(
    ofTarget('{"executions":5,"seed":2,"crash":"x","message":"AssertionError"}', 1).broke ?? "",
    /Assert/,
  );
  assert.match(ofTarget("", 1).broke ?? "", /ended with 1/);
});

test("a run has a number of executions for every target", () => {
  for (const { name } of targets()) {
    const share = shareOf(name, { kind: "fixed", seed: FIXED_SEED });
    assert.ok((share.executions ?? 0) >= 50_000, name);
  }
});

test("exploring goes on for its time, with its own seed", () => {
  const share = shareOf("h1_request", { kind: "exploring", seed: 7, seconds: 300 });
  assert.deepEqual(share, { seed: 7, executions: undefined, secondsMax: 300, inputSecondsMax: 5 });
});

test("an input is the same after it was written as the line of a corpus", () => {
  const lines = targets().flatMap(({ corpus }) => inputsOf(corpus));
  assert.ok(lines.length > 100);
  const [all] = [Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))];
  const folder = mkdtempSync(join(tmpdir(), "hb-corpus-"));
  try {
    const file = join(folder, "corpus.txt");
    writeFileSync(file, [all, ...lines].map((input) => `${lineOf(input)}\n`).join(""));
    assert.deepEqual(inputsOf(file), [all, ...lines]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
