import assert from "node:assert/strict";
import test from "node:test";
import { CHECK_IDS } from "../checks/all.ts";
import { FRAMEWORKS, isFramework } from "../catalogue/control.ts";
import type { Evidence, Learnt } from "../evidence/evidence.ts";
import { Evidence as EvidenceForm } from "../evidence/evidence.ts";
import { healthy } from "../evidence/healthy.ts";
import { diff } from "./diff.ts";
import { CATALOGUE, Report, reportOf, statusOf } from "./report.ts";

const ALL = Object.keys(FRAMEWORKS).filter(isFramework);
const reported = (evidence: Evidence): Report =>
  reportOf(EvidenceForm.parse(evidence), { digest: `sha256:${"0".repeat(64)}`, frameworks: ALL });

function valueOf<T>(fact: Learnt<T>): T {
  assert.ok(fact.known);
  return fact.value;
}

/** Statements that rest on one of the checks, by their names in a diff. */
const resting = (...checks: readonly string[]) =>
  CATALOGUE.filter((control) => control.checks.some((name) => checks.includes(name))).map(
    ({ framework, id }) => `${FRAMEWORKS[framework]} ${id}`,
  );

interface Fault {
  readonly name: string;
  readonly spoil: (evidence: Evidence) => void;
  /** The checks that turn, and no others. */
  readonly checks: readonly string[];
}

const FAULTS: readonly Fault[] = [
  {
    name: "one plaintext edge",
    spoil: ({ crypto }) =>
      valueOf(crypto).plain.push({
        observer: "shop/pay-1",
        direction: "inbound",
        peer: "port 80",
        scope: "mesh",
        connections: 1,
      }),
    checks: ["traffic-encrypted", "traffic-authenticated"],
  },
  {
    name: "one classical peer",
    spoil: ({ crypto }) => {
      const [, , edge] = valueOf(crypto).edges;
      assert.ok(edge !== undefined);
      valueOf(crypto).edges.push({ ...edge, group: "secp256r1", connections: 1 });
    },
    checks: ["post-quantum"],
  },
  {
    name: "an expired issuer",
    spoil: ({ issuer }) => {
      const [one] = valueOf(issuer);
      assert.ok(one !== undefined);
      one.facts.notAfter = "2026-11-21T11:59:00.000Z";
    },
    checks: ["authorities-current"],
  },
  {
    name: "a tampered audit entry",
    spoil: (evidence) => {
      const value = { entries: 4, ok: false, fault: "entry 2: link-broken" };
      if (evidence.record.known) evidence.record = { ...evidence.record, value };
    },
    checks: ["record-intact"],
  },
  {
    name: "an unsigned image",
    spoil: ({ release }) => {
      const check = valueOf(release).checks.find(({ demand }) => demand === "signature");
      assert.ok(check !== undefined);
      check.ok = false;
      check.detail = "statement-missing";
    },
    checks: ["images-signed", "running-verified"],
  },
  {
    name: "a component out of approved mode",
    spoil: ({ crypto }) => {
      const [one] = valueOf(crypto).proxies;
      assert.ok(one !== undefined);
      one.module.mode = "not-approved";
    },
    checks: ["approved-mode"],
  },
];

void test("a healthy mesh satisfies everything but the strength of CNSA 2.0, which no build offers", () => {
  const { checks, statements } = reported(healthy());
  assert.deepEqual(
    checks.filter(({ status }) => status !== "satisfied").map(({ id }) => id),
    ["cnsa-strength"],
  );
  assert.deepEqual(
    statements.filter(({ status }) => status !== "satisfied").map(({ control }) => control),
    ["Key establishment"],
  );
});

for (const { name, spoil, checks } of FAULTS)
  void test(`${name} turns exactly the statements that rest on it`, () => {
    const evidence = healthy();
    spoil(evidence);
    const changes = diff(reported(healthy()), reported(evidence));
    const turned = (of: "check" | "statement") =>
      changes.filter((change) => change.of === of).map((change) => change.name);
    assert.deepEqual(turned("check").toSorted(), [...checks].toSorted());
    assert.deepEqual(turned("statement"), resting(...checks));
    assert.ok(changes.every(({ after }) => after === "not-satisfied"));
    const after = reported(evidence);
    for (const id of checks) {
      const found = after.checks.find((check) => check.id === id);
      assert.ok(found !== undefined && found.findings.length > 0, `${id} names what is wrong`);
      assert.ok(
        found.remedy !== "" && found.evidence.length > 0,
        `${id} says what would change it, and why it is so`,
      );
    }
  });

void test("all faults together turn what each turns alone", () => {
  const evidence = healthy();
  for (const { spoil } of FAULTS) spoil(evidence);
  const turned = diff(reported(healthy()), reported(evidence)).filter(({ of }) => of === "check");
  assert.deepEqual(
    turned.map(({ name }) => name).toSorted(),
    FAULTS.flatMap(({ checks }) => checks).toSorted(),
  );
});

void test("without a fact nothing that rests on it is satisfied, and nothing is not satisfied", () => {
  const facts = [
    "crypto",
    "workloads",
    "guards",
    "anchors",
    "issuer",
    "rotation",
    "record",
    "release",
  ] as const;
  for (const name of facts) {
    const evidence = { ...healthy(), [name]: { known: false, query: `ask for ${name}`, why: "no answer" } };
    const before = reported(healthy());
    const changes = diff(before, reported(EvidenceForm.parse(evidence)));
    assert.ok(changes.length > 0, `nothing rests on ${name}`);
    assert.ok(
      changes.every(({ after }) => after === "not-assessable"),
      name,
    );
  }
});

void test("without any evidence everything is not assessable", () => {
  const none = { known: false, query: "ask", why: "no answer" } as const;
  const { at, collector, system, format } = healthy();
  const nothing: Evidence = {
    format,
    at,
    collector,
    system,
    crypto: none,
    workloads: none,
    guards: none,
    anchors: none,
    issuer: none,
    rotation: none,
    record: none,
    release: none,
  };
  const { statements, checks } = reported(nothing);
  assert.ok(statements.length > 40);
  assert.ok(statements.every(({ status }) => status === "not-assessable"));
  assert.ok(checks.every(({ remedy }) => remedy.includes("no answer")));
});

void test("a silent proxy makes what proxies say not assessable, never satisfied", () => {
  const evidence = healthy();
  valueOf(evidence.crypto).silent.push("shop/lost-1: no answer");
  const { checks } = reported(evidence);
  const rests = checks.filter(({ id }) =>
    ["traffic-encrypted", "post-quantum", "approved-mode"].includes(id),
  );
  assert.equal(rests.length, 3);
  assert.ok(rests.every(({ status }) => status === "not-assessable"));
});

void test("every control rests on checks that there are, and every check bears on a control", () => {
  const used = new Set(CATALOGUE.flatMap(({ checks }) => checks));
  assert.deepEqual(
    [...used].filter((name) => !CHECK_IDS.has(name)),
    [],
  );
  assert.deepEqual(
    [...CHECK_IDS].filter((name) => !used.has(name)),
    [],
  );
  assert.ok(
    CATALOGUE.every(({ checks, beyond, topic }) => checks.length > 0 && beyond !== "" && topic !== ""),
  );
});

void test("the controls that were asked for are in the catalogue", () => {
  const asked =
    "SC-8 SC-12 SC-13 SC-17 SC-23 AC-3 AC-4 AU-2 AU-10 AU-12 CM-14 SI-7 SR-3 SR-4 SR-11 RA-5".split(" ");
  const nist = CATALOGUE.filter(({ framework }) => framework === "nist-800-53").map(({ id }) => id);
  assert.deepEqual(nist, asked);
});

void test("one check that is not satisfied decides, and then one that nothing is known of", () => {
  assert.equal(statusOf(["satisfied", "not-assessable", "not-satisfied"]), "not-satisfied");
  assert.equal(statusOf(["satisfied", "not-assessable"]), "not-assessable");
  assert.equal(statusOf(["satisfied"]), "satisfied");
  assert.equal(statusOf([]), "not-assessable");
});

void test("a report survives being written and read", () => {
  const report = reported(healthy());
  assert.deepEqual(Report.parse(JSON.parse(JSON.stringify(report))), report);
});
