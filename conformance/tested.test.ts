import assert from "node:assert/strict";
import { test } from "node:test";
import { testedThroughout, type Tested } from "./tested.ts";

const about = (sha256: string, commit = "a", isClean = true): Tested => ({
  programs: [{ name: "hauberk-proxy", sha256 }],
  source: { commit, isClean },
});

test("a run is about one binary and one commit from its beginning to its end (D-05)", () => {
  assert.deepEqual(testedThroughout(about("1"), about("1")), about("1"));
  assert.throws(() => testedThroughout(about("1"), about("2")), /hauberk-proxy: built anew/);
  assert.throws(() => testedThroughout(about("1"), about("1", "b")), /the tree went from a to b/);
});

test("a tree that was changed at any time of the run is not the commit's", () => {
  assert.equal(testedThroughout(about("1"), about("1", "a", false)).source?.isClean, false);
  assert.equal(testedThroughout(about("1", "a", false), about("1")).source?.isClean, false);
});
