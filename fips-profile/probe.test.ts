import assert from "node:assert/strict";
import { getFips } from "node:crypto";
import { test } from "node:test";
import { probeNode, whyNotApproved } from "./probe.ts";

test("B-19: a process without the module is not in approved mode, and says what does not hold", () => {
  assert.equal(getFips(), 0, "this test runs outside of the profile");
  const probes = probeNode();
  const held = probes.filter(({ holds }) => holds).map(({ name }) => name);
  assert.deepEqual(held, [
    "SHA-256 gives the published digest",
    "AES-256-GCM gives the published tag",
    "ECDSA on P-256 signs and verifies",
  ]);
  assert.match(whyNotApproved(probes) ?? "", /^not in approved mode; .*MD5 is refused/);
});

test("one probe that fails is enough", () => {
  assert.equal(whyNotApproved([{ name: "a", holds: true }]), undefined);
  assert.match(
    whyNotApproved([
      { name: "a", holds: true },
      { name: "b", holds: false },
    ]) ?? "",
    /do not hold: b$/,
  );
});
