import assert from "node:assert/strict";
import test from "node:test";
import { parseAllDocuments } from "yaml";
import {
  clusterImagePolicy,
  kyvernoPolicy,
  validatingAdmissionPolicy,
  type ImageTrust,
} from "./admission.ts";
import { defaultDeny, requireMutualTls } from "./baseline.ts";
import { printPolicies } from "./print.ts";

const TRUST: ImageTrust = { repository: "images.test/hauberk", builder: "BUILDER KEY", gate: "GATE KEY" };

void test("each statement is demanded of the party that must have made it", () => {
  const text = JSON.stringify(kyvernoPolicy(TRUST));
  const by = (type: string) =>
    new RegExp(`"type":"${type}","attestors":\\[\\{"entries":\\[\\{"keys":\\{"publicKeys":"(\\w+)`).exec(
      text,
    )?.[1];
  assert.equal(by("https://slsa.dev/provenance/v1"), "BUILDER");
  assert.equal(by("https://cyclonedx.org/bom"), "BUILDER");
  assert.equal(by("https://slsa.dev/verification_summary/v1"), "GATE");
});

void test("both parties are demanded, not one of them", () => {
  const text = JSON.stringify(clusterImagePolicy(TRUST));
  assert.match(text, /authorityMatches: \{\\n {2}builder: .*gate: /);
});

void test("Kubernetes' own policy fails closed: without a list nothing of the mesh is let in", () => {
  const text = JSON.stringify(validatingAdmissionPolicy("linkerd"));
  assert.match(text, /"failurePolicy":"Fail"/);
  assert.match(text, /"parameterNotFoundAction":"Deny"/);
  for (const field of ["containers", "initContainers", "ephemeralContainers"])
    assert.ok(text.includes(`object.spec.${field}.all(`), field);
});

void test("everything prints as YAML that reads back the same", () => {
  for (const objects of [
    validatingAdmissionPolicy("linkerd"),
    clusterImagePolicy(TRUST),
    kyvernoPolicy(TRUST),
    defaultDeny("shop"),
    requireMutualTls("shop"),
  ]) {
    const read = parseAllDocuments(printPolicies(objects)).map((document): unknown => document.toJS());
    assert.deepEqual(read, objects);
  }
});
