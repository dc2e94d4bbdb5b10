import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import type { Component } from "./component.ts";
import { compareDebVersions } from "./deb-version.ts";
import { Advisory, ageOf, matches, SNAPSHOT_DAYS_MAX } from "./osv.ts";
import { openVex, type Triage } from "./vex.ts";

const part = (purl: string): Component => ({ kind: "library", name: "x", version: "1", purl, dependsOn: [] });

function advisory(ecosystem: string, name: string, events: readonly object[], more: object = {}): Advisory {
  return Advisory.parse({
    id: `OSV-${name}`,
    modified: "2026-11-01T00:00:00Z",
    aliases: ["CVE-2026-1"],
    affected: [{ package: { ecosystem, name }, ranges: [{ type: "SEMVER", events }], ...more }],
  });
}

const ids = (purl: string, one: Advisory) => matches([part(purl)], [one]).map(({ id }) => id);

void test("an advisory speaks of the versions from where it was introduced to before it was fixed", () => {
  const one = advisory("npm", "yaml", [{ introduced: "2.0.0" }, { fixed: "2.2.2" }]);
  for (const [version, isAffected] of [
    ["1.9.9", false],
    ["2.0.0", true],
    ["2.2.1", true],
    ["2.2.2", false],
    ["3.0.0", false],
  ] as const)
    assert.equal(ids(`pkg:npm/yaml@${version}`, one).length === 1, isAffected, version);
});

void test("events are taken in the order of versions, `last_affected` includes its version, and 0 is before all", () => {
  const again = advisory("crates.io", "h2", [
    { fixed: "0.3.0" },
    { introduced: "0" },
    { introduced: "0.4.0" },
    { last_affected: "0.4.2" },
  ]);
  const found = ["0.1.0", "0.3.0", "0.4.0", "0.4.2", "0.4.3"].filter(
    (v) => ids(`pkg:cargo/h2@${v}`, again).length > 0,
  );
  assert.deepEqual(found, ["0.1.0", "0.4.0", "0.4.2"]);
});

const libc = (version: string, distro = "debian-12") =>
  `pkg:deb/debian/libc6@${version}?arch=amd64&distro=${distro}&upstream=glibc`;

void test("scopes, source packages and distributions are told apart", () => {
  const scoped = advisory("npm", "@oclif/core", [{ introduced: "0" }]);
  assert.equal(ids("pkg:npm/%40oclif/core@5.0.0", scoped).length, 1);
  assert.equal(ids("pkg:npm/core@5.0.0", scoped).length, 0);
  const deb = advisory("Debian:12", "glibc", [{ introduced: "0" }, { fixed: "2.36-9+deb12u8" }]);
  assert.equal(ids(libc("2.36-9+deb12u7"), deb).length, 1);
  assert.equal(ids(libc("2.36-9+deb12u14"), deb).length, 0);
  assert.equal(ids(libc("2.36-9+deb12u7", "debian-13"), deb).length, 0);
});

void test("a version that is listed by name is affected, a withdrawn advisory is not there", () => {
  const listed = advisory("npm", "yaml", [], { versions: ["2.9.1"] });
  assert.equal(ids("pkg:npm/yaml@2.9.1", listed).length, 1);
  assert.equal(ids("pkg:npm/yaml@2.9.1", { ...listed, withdrawn: "2026-11-02T00:00:00Z" }).length, 0);
});

void test("a snapshot is too old after two weeks", () => {
  const now = new Date("2026-11-21T00:00:00Z");
  const at = (days: number) => ({ at: new Date(now.getTime() - days * 86_400_000) });
  assert.deepEqual(ageOf(at(SNAPSHOT_DAYS_MAX), now), { days: 14, isStale: false });
  assert.equal(ageOf(at(SNAPSHOT_DAYS_MAX + 1), now).isStale, true);
});

void test("Debian's versions are ordered as dpkg orders them", () => {
  const sorted = ["1.0~rc1-1", "1.0-1", "1.0-1+deb12u2", "1.0-1+deb12u10", "1.0.1-1", "1.0a-1", "1:0.1-1"];
  // dpkg sorts a letter before other characters: 1.0a is before 1.0.1.
  const expected = ["1.0~rc1-1", "1.0-1", "1.0-1+deb12u2", "1.0-1+deb12u10", "1.0a-1", "1.0.1-1", "1:0.1-1"];
  assert.deepEqual(sorted.toSorted(compareDebVersions), expected);
  const version = fc.stringMatching(/^[0-9][0-9a-z.~+]{0,6}(-[0-9a-z]{1,3})?$/);
  fc.assert(
    fc.property(version, version, (a, b) => {
      assert.equal(Math.sign(compareDebVersions(a, b)) + Math.sign(compareDebVersions(b, a)), 0);
      assert.equal(compareDebVersions(a, a), 0);
    }),
  );
});

const ABOUT = {
  product: "pkg:oci/proxy@sha256:1",
  id: "urn:vex:1",
  author: "Hauberk",
  at: "2026-11-21T00:00:00Z",
  source: undefined,
};

void test("what nobody judged is under investigation; a judgement is taken by id or alias", () => {
  const found = matches([part("pkg:npm/yaml@2.0.0")], [advisory("npm", "yaml", [{ introduced: "0" }])]);
  const statusOf = (triage: Triage) => JSON.stringify(openVex(found, triage, ABOUT)["statements"]);
  assert.match(statusOf({}), /"under_investigation"/);
  const judged: Triage = {
    "CVE-2026-1": {
      status: "not_affected",
      justification: "vulnerable_code_not_in_execute_path",
      statement: "only manifests of the operator are parsed",
    },
  };
  assert.match(statusOf(judged), /"not_affected".*"vulnerable_code_not_in_execute_path"/);
});

void test("what is said to be fixed and still matches is not fixed", () => {
  const found = matches([part("pkg:npm/yaml@2.0.0")], [advisory("npm", "yaml", [{ introduced: "0" }])]);
  const triage: Triage = { "CVE-2026-1": { status: "fixed", component: "yaml", in: "1.0.0" } };
  const text = JSON.stringify(openVex(found, triage, ABOUT));
  assert.ok(!text.includes('"fixed"'));
  assert.match(JSON.stringify(openVex([], triage, ABOUT)), /"status":"fixed"/);
});

void test("a document without a snapshot says so", () => {
  assert.match(JSON.stringify(openVex([], {}, ABOUT)), /no snapshot of advisories was given/);
});
