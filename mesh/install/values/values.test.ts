import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSet } from "./set.ts";
import {
  DEFAULTS,
  FIPS,
  HIGH_AVAILABILITY,
  ValuesError,
  mergeTrees,
  parseValues,
  STRICT,
  withoutEffect,
} from "./values.ts";

test("the defaults are values, and so is what --ha brings", () => {
  assert.equal(parseValues().controllerReplicas, 1);
  const ha = parseValues(HIGH_AVAILABILITY);
  assert.equal(ha.controllerReplicas, 3);
  assert.equal(ha.webhookFailurePolicy, "Fail");
  // What a mode does not speak of stays as it is.
  assert.equal(ha.identityResources.memory.limit, "250Mi");
  assert.ok(Object.keys(DEFAULTS).length > 40);
});

test("--strict denies what no policy allows, and goes together with --ha", () => {
  const strict = parseValues(HIGH_AVAILABILITY, STRICT);
  assert.equal(strict.proxy.defaultInboundPolicy, "deny");
  assert.equal(strict.webhookFailurePolicy, "Fail");
  assert.deepEqual(strict.policyController.probeNetworks, []);
  assert.equal(strict.controllerReplicas, 3);
});

test("--fips refuses what would leave approved mode, by the value's name", () => {
  assert.ok(parseValues(FIPS, HIGH_AVAILABILITY).fips.enabled);
  const variable = { proxy: { additionalEnv: [{ name: "HAUBERK_PROXY_FIPS", value: "" }] } };
  assert.doesNotThrow(() => parseValues(variable));
  assert.throws(
    () => parseValues(FIPS, variable),
    /^ValuesError: proxy\.additionalEnv: HAUBERK_PROXY_FIPS is set by the FIPS profile/,
  );
  assert.throws(() => parseValues(FIPS, { fips: { node: "other" } }), /fips\.node/);
});

test("a value that nobody reads is refused, and the nearest one is named", () => {
  const cases: readonly (readonly [path: string, meant: string])[] = [
    ["proxy.loglevel", "proxy.logLevel"],
    ["proxy.image.verison", "proxy.image.version"],
    ["shutdownGracePeriod", "proxy.shutdownGracePeriod"],
    ["controlerReplicas", "controllerReplicas"],
    ["identity.issuer.issuanceLifeTime", "identity.issuer.issuanceLifetime"],
  ];
  for (const [path, meant] of cases) {
    assert.throws(
      () => parseValues(parseSet(`${path}=x`, { typed: true })),
      (error) => {
        assert.ok(error instanceof ValuesError);
        assert.ok(error.message.startsWith(`there is no value ${path}`), error.message);
        return error.message.includes(`did you mean ${meant}`) || assert.fail(error.message);
      },
    );
  }
});

test("a value of the wrong form is named with its path", () => {
  assert.throws(() => parseValues({ proxy: { ports: { admin: "x" } } }), /proxy\.ports\.admin: /);
  assert.throws(() => parseValues({ webhookFailurePolicy: "Sometimes" }), /webhookFailurePolicy: /);
  assert.throws(() => parseValues({ proxy: { resources: { cpu: { limit: "much" } } } }), /is no quantity/);
});

test("a value of Linkerd's that cannot be honoured is refused, not swallowed", () => {
  assert.throws(() => parseValues({ enablePprof: true }), /there is no profiler/);
  assert.throws(() => parseValues({ proxyInjector: { externalSecret: true } }), /at run time/);
});

const set = (option: string) => parseSet(option, { typed: true });

test("--set is written as in Helm", () => {
  assert.deepEqual(set("a.b=1,a.c=true"), { a: { b: 1, c: true } });
  assert.deepEqual(set("list={x,2}"), { list: ["x", 2] });
  assert.deepEqual(set("items[1].name=z"), { items: [null, { name: "z" }] });
  assert.deepEqual(set(String.raw`labels.a\.b/c=d\,e`), { labels: { "a.b/c": "d,e" } });
  assert.deepEqual(set("version=007,empty=,none=null"), { version: "007", empty: "", none: null });
  assert.deepEqual(parseSet("version=1", { typed: false }), { version: "1" });
  assert.deepEqual(parseSet("a.c=2", { typed: true }, { a: { b: 1 } }), { a: { b: 1, c: 2 } });
  assert.throws(() => set("a"), /is not NAME=VALUE/);
  assert.throws(() => set("a[100000000]=1"), /above 1000/);
});

test("layers are merged as in Helm: maps by key, lists whole, null takes away", () => {
  assert.deepEqual(mergeTrees({ a: { b: 1, c: 2 }, l: [1, 2], d: 1 }, { a: { c: 3 }, l: [4], d: null }), {
    a: { b: 1, c: 3 },
    l: [4],
  });
});

test("a value of Linkerd's that has no effect is let through and named", () => {
  assert.deepEqual(withoutEffect(parseValues()), []);
  assert.deepEqual(withoutEffect(parseValues({ enableH2Upgrade: false, proxyInit: { logLevel: "debug" } })), [
    "enableH2Upgrade",
    "proxyInit.logLevel",
  ]);
});
