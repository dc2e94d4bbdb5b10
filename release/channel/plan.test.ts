import assert from "node:assert/strict";
import test from "node:test";
import { describePlan, newestOf, plan, type Installed } from "./plan.ts";
import type { Release } from "./release.ts";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;

const INSTALLED: Installed = {
  version: "1.2.0",
  images: { proxy: digest("a"), controller: digest("b") },
  crds: [{ name: "servers.policy.linkerd.io", storedVersions: ["v1beta1", "v1beta3"] }],
  oldestProxy: "1.1.4",
  conformance: { h2spec: { asRequired: 292, cases: 292 } },
};

const TO: Release = {
  version: "1.3.0",
  commit: "c".repeat(40),
  at: "2026-11-01T00:00:00.000Z",
  repository: "images.test/hauberk",
  images: { proxy: digest("d"), controller: digest("b") },
  artifacts: {},
  absent: [],
  upgradeFrom: "1.1.0",
  crds: [
    { name: "servers.policy.linkerd.io", storageVersion: "v1beta3", digest: digest("e") },
    { name: "links.multicluster.linkerd.io", storageVersion: "v1alpha3", digest: digest("f") },
  ],
  fixes: [{ id: "CVE-2026-0001", component: "openssl" }],
  conformance: { h2spec: { asRequired: 291, cases: 292 }, attack: { asRequired: 44, cases: 44 } },
};

const refusal = (installed: Installed, to: Release) => {
  const planned = plan(installed, to);
  return planned.kind === "refused" ? planned.refusal : planned.kind;
};

void test("D-03: a plan tells images, migrations, new kinds, fixes and where conformance differs", () => {
  const planned = plan(INSTALLED, TO);
  assert.ok(planned.kind === "plan");
  assert.deepEqual(planned.plan.images, [{ name: "proxy", before: digest("a"), after: digest("d") }]);
  assert.deepEqual(planned.plan.migrations, [
    { crd: "servers.policy.linkerd.io", from: ["v1beta1"], to: "v1beta3" },
  ]);
  assert.deepEqual(planned.plan.newCrds, ["links.multicluster.linkerd.io"]);
  const text = describePlan(planned.plan);
  for (const said of [
    "1.2.0 → 1.3.0",
    "CVE-2026-0001 in openssl",
    "292 of 292 → 291 of 292",
    "not run → 44 of 44",
  ])
    assert.ok(text.includes(said), said);
});

void test("an older release is refused unless going back is meant", () => {
  const older = { ...TO, version: "1.1.9" };
  assert.equal(refusal(INSTALLED, older), "downgrade");
  assert.equal(plan(INSTALLED, older, { isRollback: true }).kind, "plan");
});

void test("a release that cannot be reached directly is refused, and so is one that a proxy is too old for", () => {
  assert.equal(refusal({ ...INSTALLED, version: "1.0.9" }, TO), "skew-control-plane");
  assert.equal(refusal({ ...INSTALLED, oldestProxy: "1.0.0" }, TO), "skew-proxy");
  assert.equal(refusal({ ...INSTALLED, oldestProxy: undefined }, TO), "plan");
});

void test("the same version with the same images is no upgrade, with other images it is one", () => {
  const same = { ...TO, version: "1.2.0", images: INSTALLED.images };
  assert.equal(plan(INSTALLED, same).kind, "current");
  assert.equal(plan(INSTALLED, { ...TO, version: "1.2.0" }).kind, "plan");
});

void test("the newest release is the highest that is no pre-release", () => {
  assert.equal(newestOf(["1.10.0", "1.9.0", "2.0.0-rc.1"]), "1.10.0");
  assert.equal(newestOf(["2.0.0-rc.1", "2.0.0-rc.2"]), "2.0.0-rc.2");
  assert.equal(newestOf([]), undefined);
});
