import assert from "node:assert/strict";
import { test } from "node:test";
import { NODE_CHOICES } from "./claims.ts";
import { buildScript, environmentFor, moduleMac, settingsFor } from "./provider.ts";

const PROVIDER = Buffer.from("not really a provider");

test("settings state the integrity of exactly the provider beside them", () => {
  const mac = moduleMac(PROVIDER);
  assert.match(mac, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  assert.ok(settingsFor("certified", PROVIDER).includes(`module-mac = ${mac}\n`));
  assert.notEqual(moduleMac(Buffer.from("another")), mac);
});

test("the provider tests itself each time that it is loaded, and only approved algorithms are found", () => {
  for (const choice of NODE_CHOICES) {
    const settings = settingsFor(choice, PROVIDER);
    assert.doesNotMatch(settings, /install-status|install-mac/);
    assert.match(settings, /^default_properties = fips=yes$/m);
    assert.doesNotMatch(settings, /CHACHA20|^default = /m);
    assert.doesNotMatch(settings, /Groups = .*X25519(:|$)/m);
  }
});

test("TLS of the certified provider is classical, of the other one hybrid first", () => {
  assert.match(settingsFor("certified", PROVIDER), /^Groups = P-256:P-384$/m);
  assert.match(settingsFor("hybrid", PROVIDER), /^Groups = X25519MLKEM768:/m);
});

test("a process is in approved mode from its start, and cannot leave it", () => {
  assert.deepEqual(environmentFor("hybrid", "/fips"), {
    NODE_OPTIONS: "--force-fips --openssl-config=/fips/hybrid/openssl.cnf",
    OPENSSL_MODULES: "/fips/hybrid",
    HAUBERK_FIPS: "hybrid",
  });
});

test("only the build of the uncertified provider takes files from the other crate", () => {
  const places = { crate: "/c", certified: "/certified", work: "/w", target: "linux-x86_64" };
  assert.doesNotMatch(buildScript("certified", places), /\/certified/);
  assert.match(buildScript("hybrid", places), /cp '\/certified\/openssl\/util\/mkdef.pl'/);
});
