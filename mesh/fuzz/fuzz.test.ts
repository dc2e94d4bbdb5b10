import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { escape, readCorpus, unescape } from "./corpus.ts";
import { mutate, random } from "./mutate.ts";
import { TARGETS } from "./targets.ts";

test("every target holds over its corpus, whatever once broke it included, and accepts some of it", async () => {
  for (const [name, run] of TARGETS) {
    const corpus = readCorpus(name);
    assert.ok(corpus.length >= 3, `${name} has ${corpus.length} inputs`);
    const answers = [];
    for (const input of corpus) answers.push(await run(input));
    // Nobody signs for the verifier of tokens.
    if (name !== "token")
      assert.ok(
        answers.some(({ isAccepted }) => isAccepted),
        name,
      );
  }
});

test("an input is the same after it was written into a corpus", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.deepEqual(Buffer.from(unescape(escape(bytes))), Buffer.from(bytes));
    }),
  );
});

function inputs(seed: number): readonly string[] {
  const pick = random(seed);
  const pool = [Buffer.from("one"), Buffer.from("another")];
  return Array.from({ length: 50 }, () => escape(mutate(pool, pick)));
}

test("the same seed makes the same inputs", () => {
  assert.deepEqual(inputs(7), inputs(7));
  assert.notDeepEqual(inputs(7), inputs(8));
});
