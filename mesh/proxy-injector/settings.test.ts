import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingsError, readSettings, trustDomainOf } from "./settings.ts";

const LEAST = "linkerdVersion: 1.2.3\nproxy: {image: {name: mesh/proxy}}\n";

test("the version and an image are enough, and everything else has Linkerd's defaults", () => {
  const settings = readSettings(LEAST, "values");
  assert.equal(trustDomainOf(settings), "cluster.local");
  assert.equal(settings.proxy.uid, 2_102);
  assert.deepEqual(settings.proxy.ports, { admin: 4_191, control: 4_190, inbound: 4_143, outbound: 4_140 });
  assert.equal(settings.proxy.nativeSidecar, true);
  assert.equal(settings.proxyInjector.unsupportedPods, "refuse");
});

test("values of other components are left alone", () => {
  assert.doesNotThrow(() => readSettings(`${LEAST}policyController: {logLevel: info}\n`, "values"));
});

test("a wrong value is named with its source and its path", () => {
  for (const [text, expected] of [
    ["a: [", /^values: not YAML/],
    ["linkerdVersion: 1.2.3\n", /^values: proxy/],
    [LEAST.replace("{image", "{uid: 0, image"), /proxy\.uid/],
    [LEAST.replace("{image", "{defaultInboundPolicy: open, image"), /proxy\.defaultInboundPolicy/],
  ] as const) {
    assert.throws(
      () => readSettings(text, "values"),
      (error) => error instanceof SettingsError && expected.test(error.message),
    );
  }
});

test("ports and quantities may be written as numbers, as YAML tempts one to", () => {
  const settings = readSettings(
    LEAST.replace("{image", "{opaquePorts: 25, resources: {cpu: {limit: 2}}, image"),
    "values",
  );
  assert.deepEqual([settings.proxy.opaquePorts, settings.proxy.resources.cpu.limit], ["25", "2"]);
});
