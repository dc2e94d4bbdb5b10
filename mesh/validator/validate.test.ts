import assert from "node:assert/strict";
import { test } from "node:test";
import { POLICY_VALIDATOR, PROFILE_VALIDATOR } from "../policy/registration.ts";
import { fieldPath } from "../source/manifests/document.ts";
import { parseYaml } from "../source/manifests/parse.ts";
import { CASES, VALID } from "./cases.ts";
import { CLUSTER, contextOf } from "./fixture.ts";
import { validate } from "./validate.ts";

const context = contextOf([CLUSTER]);

/** `severity field: message` of each finding of the one object. */
function said(text: string): readonly string[] {
  const { documents, problems } = parseYaml("object.yaml", text);
  assert.deepEqual(problems, []);
  const [document, ...others] = documents;
  assert.ok(document !== undefined && others.length === 0);
  return validate(document.object, context).map(
    ({ severity, path, message }) => `${severity} ${fieldPath(path)}: ${message}`,
  );
}

const kindOf = (text: string): string => /^kind: (\w+)$/m.exec(text)?.[1] ?? "";

test("a valid object of every kind that is judged has no findings", () => {
  const resources = [...POLICY_VALIDATOR.rules, ...PROFILE_VALIDATOR.rules].flatMap((rule) =>
    rule.resources.map((resource) => resource.replace(/ies$/, "y").replace(/s$/, "")),
  );
  const kinds = new Set(VALID.map((text) => kindOf(text).toLowerCase()));
  assert.deepEqual([...kinds].toSorted(), [...new Set(resources)].toSorted());
  for (const text of VALID) assert.deepEqual(said(text), [], text);
});

for (const { rule, object, says } of CASES) {
  test(`admission: ${rule}`, () => {
    assert.notEqual(kindOf(object), "");
    const findings = said(object);
    assert.equal(findings.length, 1, findings.join("\n"));
    assert.match(findings[0] ?? "", says);
  });
}

test("every kind that has rules of its own is broken by at least one case", () => {
  const broken = new Set(CASES.map(({ object }) => kindOf(object)));
  const judged = new Set(VALID.map(kindOf));
  assert.deepEqual(
    [...judged].filter((kind) => !broken.has(kind)),
    [],
  );
});

test("an object of a kind that is not ours, or a route of a Gateway only, has no findings", () => {
  const map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: shop}\ndata: {a: b}";
  assert.deepEqual(said(map), []);
  const ofGateway = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: g, namespace: shop}
spec:
  parentRefs: [{name: gateway}]
  rules: [{filters: [{type: ExtensionRef}], backendRefs: [{name: gone, port: 1}]}]`;
  assert.deepEqual(said(ofGateway), []);
});
