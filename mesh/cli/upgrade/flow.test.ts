import assert from "node:assert/strict";
import test from "node:test";
import type { Act } from "@hauberk/release/audit/record.ts";
import { ChannelError } from "@hauberk/release/channel/follow.ts";
import type { Installed } from "@hauberk/release/channel/plan.ts";
import type { Release } from "@hauberk/release/channel/release.ts";
import { PartlyApplied, upgrade, type Wanted, type World } from "./flow.ts";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;

const release = (version: string, changes: Partial<Release> = {}): Release => ({
  version,
  commit: "c".repeat(40),
  at: "2026-11-01T00:00:00.000Z",
  repository: "images.test/hauberk",
  images: { proxy: digest(version.charAt(2)) },
  artifacts: {},
  absent: [],
  upgradeFrom: "1.0.0",
  crds: [],
  fixes: [{ id: `CVE-${version}`, component: "openssl" }],
  conformance: { h2spec: { asRequired: 292, cases: 292 } },
  ...changes,
});

const INSTALLED: Installed = { version: "1.0.0", images: { proxy: digest("0") }, crds: [], conformance: {} };
const RELEASES = [release("1.0.0"), release("1.1.0"), release("1.2.0")];
const WANTED: Wanted = { channel: "stable", to: undefined, isRollback: false, isDryRun: false };

/** A world in which all goes well, what it was told to do, and what it recorded. */
function world(changes: Partial<World<string>> = {}) {
  const done: string[] = [];
  const acts: Act[] = [];
  const said: string[] = [];
  const made: World<string> = {
    cliVersion: "1.2.0",
    installed: () => Promise.resolve(INSTALLED),
    follow: (wanted) => {
      const list = {
        channel: "stable" as const,
        releases: RELEASES.map(({ version }) => ({ version, digest: digest("f") })),
      };
      const named = new Set(wanted(list));
      const releases = new Map(
        RELEASES.filter(({ version }) => named.has(version)).map((one) => [one.version, one]),
      );
      return Promise.resolve({ list, trust: "{}", releases });
    },
    verify: () => Promise.resolve([]),
    handOver: () => Promise.resolve(undefined),
    agree: () => Promise.resolve(true),
    apply: ({ version }) => {
      done.push(`apply ${version}`);
      return Promise.resolve("applied");
    },
    check: () => Promise.resolve([]),
    takeBack: (applied) => {
      done.push(`take back ${applied}`);
      return Promise.resolve([]);
    },
    record: (act) => {
      acts.push(act);
      return Promise.resolve();
    },
    say: (line) => void said.push(line),
    ...changes,
  };
  return { made, done, acts, said };
}

void test("D-03: the newest release is verified, planned, applied, checked and recorded", async () => {
  const { made, done, acts, said } = world();
  assert.deepEqual(await upgrade(made, WANTED), { kind: "upgraded" });
  assert.deepEqual(done, ["apply 1.2.0"]);
  const [act] = acts;
  assert.ok(act?.kind === "upgrade" && act.from === "1.0.0" && act.to === "1.2.0");
  assert.deepEqual(act.images, RELEASES[2]?.images);
  assert.match(said.join("\n"), /CVE-1\.1\.0[\s\S]*CVE-1\.2\.0/);
  assert.doesNotMatch(said.join("\n"), /CVE-1\.0\.0|not run/);
});

void test("whatever is refused changes nothing, is named and is recorded", async () => {
  const refusals: readonly (readonly [string, Partial<World<string>>, Partial<Wanted>])[] = [
    ["evidence-refused", { verify: () => Promise.resolve(["proxy index bom: statement-missing"]) }, {}],
    [
      "metadata-expired",
      { follow: () => Promise.reject(new ChannelError("metadata-expired", "frozen")) },
      {},
    ],
    ["no-release", {}, { to: "9.9.9" }],
    ["cli-version", { cliVersion: "1.1.0" }, {}],
    ["downgrade", { installed: () => Promise.resolve({ ...INSTALLED, version: "1.1.0" }) }, { to: "1.0.0" }],
    ["skew-proxy", { installed: () => Promise.resolve({ ...INSTALLED, oldestProxy: "0.9.0" }) }, {}],
  ];
  for (const [name, changes, wanted] of refusals) {
    const { made, done, acts } = world(changes);
    const ended = await upgrade(made, { ...WANTED, ...wanted });
    assert.ok(ended.kind === "refused" && ended.refusal === name, `${name}: ${JSON.stringify(ended)}`);
    assert.deepEqual(done, [], name);
    const [act] = acts;
    assert.ok(act?.kind === "refused" && act.refusal === name, name);
  }
});

void test("a program of another version proves the release's own command line, and lets it go on", async () => {
  const order: string[] = [];
  const artifacts = { "hauberk-cli": digest("e"), "hauberk-crds": digest("d") };
  const { made, done, acts } = world({
    cliVersion: "1.1.0",
    follow: async (wanted) => {
      const offer = await world().made.follow(wanted);
      return { ...offer, releases: new Map([["1.2.0", release("1.2.0", { artifacts })]]) };
    },
    verify: (_release, _trust, names) => {
      order.push(`verify ${names.join(" ")}`);
      return Promise.resolve([]);
    },
    handOver: ({ version }) => {
      order.push(`hand over to ${version}`);
      return Promise.resolve(3);
    },
  });
  assert.deepEqual(await upgrade(made, WANTED), { kind: "handed-over", code: 3 });
  assert.deepEqual(order, ["verify proxy hauberk-cli", "hand over to 1.2.0"]);
  assert.deepEqual([done, acts], [[], []], "the other program does and records everything");
});

void test("a dry run and an operator who does not agree change and record nothing", async () => {
  const dry = world();
  assert.deepEqual(await upgrade(dry.made, { ...WANTED, isDryRun: true }), { kind: "dry-run" });
  const declined = world({ agree: () => Promise.resolve(false) });
  assert.deepEqual(await upgrade(declined.made, WANTED), { kind: "declined" });
  for (const { done, acts } of [dry, declined]) assert.deepEqual([done, acts], [[], []]);
});

void test("what fails halfway, or is not well afterwards, is taken back and recorded with its reason", async () => {
  const halfway = world({ apply: () => Promise.reject(new PartlyApplied("webhook refused", "half")) });
  assert.deepEqual(await upgrade(halfway.made, WANTED), { kind: "rolled-back", reason: "webhook refused" });
  assert.deepEqual(halfway.done, ["take back half"]);
  const unwell = world({ check: () => Promise.resolve(["linkerd-destination is not ready"]) });
  assert.equal((await upgrade(unwell.made, WANTED)).kind, "rolled-back");
  assert.deepEqual(unwell.done, ["apply 1.2.0", "take back applied"]);
  for (const { acts } of [halfway, unwell]) {
    const [act] = acts;
    assert.ok(act?.kind === "rollback" && act.to === "1.0.0");
  }
});

void test("a cluster that runs the newest release is left alone", async () => {
  const { made, done, acts } = world({
    installed: () => Promise.resolve({ ...INSTALLED, version: "1.2.0", images: RELEASES[2]?.images ?? {} }),
  });
  assert.deepEqual(await upgrade(made, WANTED), { kind: "current" });
  assert.deepEqual([done, acts], [[], []]);
});
