import assert from "node:assert/strict";
import test from "node:test";
import { judgeProxy, readApproved } from "./approved.ts";

const GOOD = `sha256:${"a".repeat(64)}`;
const OTHER = `sha256:${"b".repeat(64)}`;
const APPROVED = readApproved(`# of 1.0.0\n${GOOD}  proxy 1.0.0\n`);

const judge = (imageId: string, name = "linkerd-proxy") => judgeProxy([{ name, imageId }], APPROVED).type;

test("B-01: only a proxy whose image is approved by digest is approved, however the runtime writes the digest", () => {
  assert.equal(judge(GOOD), "approved");
  assert.equal(judge(`images.test/hauberk/proxy@${GOOD}`), "approved");
  assert.equal(judge(OTHER), "refused");
  assert.equal(judge(`images.test/${GOOD}/proxy@${OTHER}`), "refused");
  assert.equal(judge("images.test/hauberk/proxy:1.0.0"), "refused");
});

test("a proxy that the kubelet has not told of yet is not known, and neither is one that is not there", () => {
  assert.equal(judge(""), "unknown");
  assert.equal(judge(GOOD, "web"), "unknown");
});

test("a list takes one digest per line and nothing that only looks like one", () => {
  assert.deepEqual([...APPROVED], [GOOD]);
  assert.equal(readApproved(`x ${GOOD}\n${GOOD}0\n#${OTHER}`).size, 0);
});
