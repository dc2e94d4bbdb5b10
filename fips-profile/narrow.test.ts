import assert from "node:assert/strict";
import { test } from "node:test";
import { generateKeyPair, type AlgorithmName } from "@hauberk/crypto/algorithms.ts";
import { writeCertificatesPem } from "@hauberk/crypto/certificate.ts";
import { createTrustAnchor, randomSerial } from "@hauberk/crypto/issue.ts";
import { explain, refusals, type FipsValues } from "./narrow.ts";

const VALUES: FipsValues = {
  identityTrustAnchorsPEM: "",
  identity: { additionalEnv: [], issuer: { tls: { crtPEM: "" } } },
  destinationController: { additionalEnv: [] },
  proxyInjector: { additionalEnv: [] },
  proxy: { additionalEnv: [] },
};
function anchors(name: AlgorithmName): string {
  const content = { commonName: "root", serial: randomSerial(), nowMs: Date.now(), lifeMs: 60_000 };
  return writeCertificatesPem([createTrustAnchor({ ...content, keys: generateKeyPair(name) }).certificate]);
}

test("an authority on P-256 or P-384 is taken, and none is, too: one is made on P-256", () => {
  assert.deepEqual(refusals(VALUES), []);
  for (const name of ["ecdsa-p256-sha256", "ecdsa-p384-sha384"] as const)
    assert.deepEqual(refusals({ ...VALUES, identityTrustAnchorsPEM: anchors(name) }), []);
});

test("D-02: an authority of another kind is refused by the value's name, with the reason", () => {
  for (const name of ["ed25519", "ml-dsa-65"] as const) {
    const [refusal, ...more] = refusals({ ...VALUES, identityTrustAnchorsPEM: anchors(name) });
    assert.ok(refusal);
    assert.deepEqual(more, []);
    assert.equal(
      explain(refusal),
      `identityTrustAnchorsPEM: certificate 1 is of ${name}, and the FIPS profile permits ecdsa-p256-sha256 or ecdsa-p384-sha384`,
    );
  }
});

test("an authority that cannot be read is refused, not passed", () => {
  const [refusal] = refusals({
    ...VALUES,
    identityTrustAnchorsPEM: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  });
  assert.match(refusal?.why ?? "", /^cannot be judged/);
});

test("no value lets a process out of approved mode, or loads other code into it", () => {
  const found = refusals({
    ...VALUES,
    identity: { ...VALUES.identity, additionalEnv: [{ name: "NODE_OPTIONS" }, { name: "TZ" }] },
    proxyInjector: { additionalEnv: [{ name: "LD_PRELOAD" }] },
    proxy: { additionalEnv: [{ name: "HAUBERK_PROXY_FIPS" }, { name: "LINKERD2_PROXY_LOG" }] },
  });
  assert.deepEqual(
    found.map(({ path, why }) => [path, why.split(" ")[0]]),
    [
      ["proxy.additionalEnv", "HAUBERK_PROXY_FIPS"],
      ["identity.additionalEnv", "NODE_OPTIONS"],
      ["proxyInjector.additionalEnv", "LD_PRELOAD"],
    ],
  );
});
