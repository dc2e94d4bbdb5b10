import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { CRDS_CHART } from "./chart.ts";
import { DEFINITIONS } from "./definitions.ts";
import { storageVersionOf, type Definition } from "./definition.ts";
import type { Schema } from "./schema.ts";
import { manifestStream, renderChart } from "../chart.ts";

const GUIDE = join(import.meta.dirname, "../../../docs/guide");

/** What an API server would refuse of a value; as far as a schema says without CEL. */
function wrong(schema: Schema, value: unknown, path: string): readonly string[] {
  if (schema["x-kubernetes-preserve-unknown-fields"] === true) return [];
  if (schema["x-kubernetes-int-or-string"] === true)
    return typeof value === "string" || Number.isInteger(value) ? [] : [`${path}: neither number nor text`];
  if (schema.enum !== undefined && !schema.enum.some((one) => one === value))
    return [`${path}: ${String(value)}`];
  switch (schema.type) {
    case "object": {
      const parsed = z.record(z.string(), z.unknown()).safeParse(value);
      return parsed.success ? wrongObject(schema, parsed.data, path) : [`${path}: not a map`];
    }
    case "array":
      return Array.isArray(value)
        ? value.flatMap((item: unknown, at) => wrong(schema.items ?? {}, item, `${path}[${at}]`))
        : [`${path}: not a list`];
    case "string":
      return typeof value === "string" && new RegExp(schema.pattern ?? "").test(value)
        ? []
        : [`${path}: text`];
    case "integer":
    case "number":
      return typeof value === "number" &&
        value >= (schema.minimum ?? value) &&
        value <= (schema.maximum ?? value)
        ? []
        : [`${path}: number`];
    case "boolean":
      return typeof value === "boolean" ? [] : [`${path}: boolean`];
    case undefined:
      return [];
    default:
      throw new Error(`${path}: a type that no schema has`);
  }
}

function wrongObject(schema: Schema, value: Record<string, unknown>, path: string): readonly string[] {
  const missing = (schema.required ?? []).filter((name) => !(name in value));
  const choice = schema.oneOf?.filter(({ required }) => required.every((name) => name in value)).length ?? 1;
  return [
    ...missing.map((name) => `${path}.${name}: missing`),
    ...(choice === 1 ? [] : [`${path}: not exactly one of its alternatives`]),
    ...Object.entries(value).flatMap(([name, child]) => {
      const known = schema.properties?.[name] ?? schema.additionalProperties;
      return known === undefined ? [`${path}.${name}: unknown`] : wrong(known, child, `${path}.${name}`);
    }),
  ];
}

const Example = z.looseObject({ apiVersion: z.string(), kind: z.string(), spec: z.unknown() });

function* examples(): Generator<{ readonly where: string; readonly object: z.infer<typeof Example> }> {
  for (const file of readdirSync(GUIDE).filter((name) => name.endsWith(".md"))) {
    const text = readFileSync(join(GUIDE, file), "utf8");
    for (const [, yaml = ""] of text.matchAll(/^```yaml\n(.*?)^```/gms)) {
      for (const document of parseAllDocuments(yaml)) {
        const parsed = Example.safeParse(document.toJS());
        if (parsed.success) yield { where: `${file} ${parsed.data.kind}`, object: parsed.data };
      }
    }
  }
}

function definitionOf(apiVersion: string, kind: string): Definition | undefined {
  return DEFINITIONS.find((one) => apiVersion.startsWith(`${one.group}/`) && one.kind === kind);
}

test("every example of the guide fits the schema of its kind", () => {
  let looked = 0;
  for (const { where, object } of examples()) {
    const definition = definitionOf(object.apiVersion, object.kind);
    if (definition === undefined) continue;
    const version = definition.versions.find(({ name }) => object.apiVersion.endsWith(`/${name}`));
    assert.ok(version, `${where}: no version ${object.apiVersion}`);
    assert.deepEqual(wrong(version.spec, object.spec, "spec"), [], where);
    looked += 1;
  }
  assert.ok(looked >= 25, `only ${looked} examples were looked at`);
});

test("every kind of Linkerd 2.20 is there in every served version, stored in Linkerd's", () => {
  const kinds = Object.fromEntries(
    DEFINITIONS.map((one) => [
      `${one.group}/${one.kind}`,
      `${one.versions.map(({ name }) => name).join(" ")} > ${storageVersionOf(one)}`,
    ]),
  );
  assert.deepEqual(kinds, {
    "linkerd.io/ServiceProfile": "v1alpha1 v1alpha2 > v1alpha2",
    "multicluster.linkerd.io/Link": "v1alpha1 v1alpha2 v1alpha3 > v1alpha3",
    "policy.hauberk.io/ExternalAuthorization": "v1alpha1 > v1alpha1",
    "policy.hauberk.io/HTTPFaultInjection": "v1alpha1 > v1alpha1",
    "policy.hauberk.io/HTTPRateLimitPolicy": "v1alpha1 > v1alpha1",
    "policy.hauberk.io/HeaderAuthentication": "v1alpha1 > v1alpha1",
    "policy.hauberk.io/JWTAuthentication": "v1alpha1 > v1alpha1",
    "policy.linkerd.io/AuthorizationPolicy": "v1alpha1 > v1alpha1",
    "policy.linkerd.io/EgressNetwork": "v1alpha1 > v1alpha1",
    "policy.linkerd.io/HTTPLocalRateLimitPolicy": "v1alpha1 > v1alpha1",
    "policy.linkerd.io/HTTPRoute": "v1alpha1 v1beta1 v1beta2 v1beta3 > v1beta3",
    "policy.linkerd.io/MeshTLSAuthentication": "v1alpha1 > v1alpha1",
    "policy.linkerd.io/NetworkAuthentication": "v1alpha1 > v1alpha1",
    "policy.linkerd.io/Server": "v1alpha1 v1beta1 v1beta2 v1beta3 > v1beta3",
    "policy.linkerd.io/ServerAuthorization": "v1alpha1 v1beta1 > v1beta1",
    "workload.linkerd.io/ExternalWorkload": "v1alpha1 v1beta1 > v1beta1",
  });
});

test("a definition fits into the annotation that kubectl apply keeps it in", () => {
  const rendered = renderChart(CRDS_CHART, { namespace: "linkerd", version: "1.0.0", values: {} });
  assert.equal(rendered.length, DEFINITIONS.length);
  for (const { source, yaml } of rendered) {
    const [document] = parseAllDocuments(yaml);
    assert.equal(document?.errors.length, 0, source);
    assert.ok(JSON.stringify(document?.toJS()).length < 250_000, source);
  }
  assert.ok(manifestStream(rendered).startsWith("---\n# Source: hauberk-crds/templates/"));
});
