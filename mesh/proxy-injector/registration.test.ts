import assert from "node:assert/strict";
import { test } from "node:test";
import { injectorConfiguration, meshedPodsPolicy, type Registration } from "./registration.ts";

const registration: Registration = { namespace: "linkerd", labels: {}, unsupportedPods: "refuse" };
const text = (value: unknown) => JSON.stringify(value);

test("the webhook lets strangers go on when the injector is away, and carries no certificate", () => {
  const made = text(injectorConfiguration(registration));
  assert.match(made, /"failurePolicy":"Ignore"/);
  assert.match(made, /"resources":\["pods","services"\]/);
  assert.ok(!made.includes("caBundle"));
});

test("the admission policy is what closes, and both look at the same namespaces and objects", () => {
  const [policy, binding] = meshedPodsPolicy(registration);
  assert.match(text(policy), /"failurePolicy":"Fail"/);
  assert.match(text(binding), /"validationActions":\["Deny"\]/);
  const selectors = (made: unknown) =>
    /"namespaceSelector":.*?"objectSelector":[^\]]*\]/.exec(text(made))?.[0];
  assert.ok(selectors(policy));
  assert.equal(selectors(policy), selectors(injectorConfiguration(registration)));
});

test("pods on the node's network are excused only where the values say so", () => {
  const excuse = /\|\| variables\.onHostNetwork/;
  assert.doesNotMatch(text(meshedPodsPolicy(registration)), excuse);
  assert.match(text(meshedPodsPolicy({ ...registration, unsupportedPods: "skip" })), excuse);
});
