import assert from "node:assert/strict";
import { test } from "node:test";
import { objectsOf, readInstalled } from "./installed.ts";
import { authorityOf, newAuthority } from "./issuer.ts";
import { controlPlaneManifests, upgradeManifests } from "./manifests.ts";
import { printObjects } from "./output.ts";
import { mergeTrees, parseValues, type Tree } from "./values/values.ts";

const NOW_MS = Date.parse("2026-06-01T00:00:00Z");
const PLACE = { namespace: "linkerd", version: "1.2.3" };
const made = newAuthority(parseValues(), "linkerd", NOW_MS);

function manifests(more: Tree, output: "yaml" | "json" = "yaml"): string {
  return printObjects(controlPlaneManifests(PLACE, parseValues(made, more)), output);
}

test("an upgrade begins with the installation's values and issuer, in either form of output", () => {
  const more = { proxy: { logLevel: "debug" }, clusterDomain: "west.test" };
  for (const output of ["yaml", "json"] as const) {
    const { values, dropped } = readInstalled(objectsOf(manifests(more, output)));
    assert.deepEqual(dropped, []);
    const again = parseValues(values);
    assert.equal(again.proxy.logLevel, "debug");
    assert.equal(again.clusterDomain, "west.test");
    assert.equal(again.linkerdVersion, "", "the version is the new program's");
    assert.equal(authorityOf(again, NOW_MS).type, "given");
    assert.equal(printObjects(controlPlaneManifests(PLACE, again), output), manifests(more, output));
  }
});

test("trust that was rotated meanwhile is kept, not the values' own", () => {
  const rotated = parseValues(newAuthority(parseValues(), "linkerd", NOW_MS));
  const objects = objectsOf(manifests({})).map((object) => {
    const text = JSON.stringify(object);
    return text.includes('"linkerd-identity-trust-roots"') &&
      text.includes('"ConfigMap"') &&
      !text.includes('"values"')
      ? {
          kind: "ConfigMap",
          metadata: { name: "linkerd-identity-trust-roots" },
          data: { "ca-bundle.crt": rotated.identityTrustAnchorsPEM },
        }
      : object;
  });
  assert.equal(
    parseValues(readInstalled(objects).values).identityTrustAnchorsPEM,
    rotated.identityTrustAnchorsPEM,
  );
});

test("a value of an older version that nobody reads is left out and named", () => {
  const old = manifests({}).replace("clusterDomain:", "enablePSP: false\n    clusterDomain:");
  const { values, dropped } = readInstalled(objectsOf(old));
  assert.deepEqual(dropped, ["enablePSP"]);
  assert.equal(parseValues(values).clusterDomain, "cluster.local");
});

test("half of an authority, and an issuer that its anchors do not lead to, are refused", () => {
  const { identityTrustAnchorsPEM: _anchors, ...half } = made;
  assert.throws(() => authorityOf(parseValues(half), NOW_MS), /belong together/);
  const other = newAuthority(parseValues(), "linkerd", NOW_MS);
  const mixed = mergeTrees(made, { identityTrustAnchorsPEM: other["identityTrustAnchorsPEM"] });
  assert.throws(() => authorityOf(parseValues(mixed), NOW_MS), /does not lead to a trust anchor/);
  assert.equal(authorityOf(parseValues(), NOW_MS).type, "missing");
  assert.deepEqual(
    authorityOf(parseValues({ identity: { issuer: { scheme: "kubernetes.io/tls" } } }), NOW_MS),
    {
      type: "external",
      anchors: "missing",
    },
  );
});

test("P-02: an upgrade writes no trust, so that what a rotation does meanwhile stands; unless other trust is given", () => {
  const values = parseValues(made);
  const names = (given: Tree): readonly string[] =>
    upgradeManifests(PLACE, values, given)
      .map(({ kind, source }) => `${kind} ${source}`)
      .filter((name) => /trust-roots|issuer/.test(name));
  assert.deepEqual(names({ proxy: { logLevel: "debug" } }), []);
  assert.equal(names(made).length, 2);
  assert.equal(names({ identityTrustAnchorsPEM: "x" }).length, 2);
  assert.equal(controlPlaneManifests(PLACE, values).length - upgradeManifests(PLACE, values, {}).length, 2);
});
