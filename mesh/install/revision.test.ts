import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { objectsOf } from "./installed.ts";
import { newAuthority } from "./issuer.ts";
import { controlPlaneManifests } from "./manifests.ts";
import { printObjects } from "./output.ts";
import { revisionManifests } from "./revision.ts";
import { parseValues } from "./values/values.ts";

const PLACE = { namespace: "linkerd", version: "1.2.3" };
const made = newAuthority(parseValues(), "linkerd", Date.parse("2026-06-01T00:00:00Z"));
const all = controlPlaneManifests(
  PLACE,
  parseValues(made, { enablePodDisruptionBudget: true, enablePodAntiAffinity: true, controllerReplicas: 2 }),
);
const Head = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), labels: z.record(z.string(), z.string()) }),
});
const objects = objectsOf(printObjects(revisionManifests(all, "canary"), "yaml")).map((object) =>
  Head.parse(object),
);

function selectors(list: readonly unknown[]): string {
  return JSON.stringify(list.filter((one) => JSON.stringify(one).includes('"MutatingWebhookConfiguration"')));
}

test("a revision has its own workloads, services, values and webhook; no trust, accounts, kinds or validators", () => {
  const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  for (const name of [
    "ConfigMap/linkerd-config-canary",
    "Deployment/linkerd-destination-canary",
    "Deployment/linkerd-identity-canary",
    "Deployment/linkerd-proxy-injector-canary",
    "Service/linkerd-dst-headless-canary",
    "Service/linkerd-policy-canary",
    "Service/linkerd-identity-headless-canary",
    "Service/linkerd-proxy-injector-canary",
    "PodDisruptionBudget/linkerd-destination-canary",
    "MutatingWebhookConfiguration/linkerd-proxy-injector-webhook-config-canary",
  ])
    assert.ok(names.includes(name), name);
  for (const { kind, metadata } of objects) {
    assert.equal(metadata.labels["linkerd.io/rev"], "canary");
    assert.ok(metadata.name.endsWith("-canary"), metadata.name);
    assert.ok(
      !["Secret", "ServiceAccount", "Namespace", "ValidatingWebhookConfiguration"].includes(kind),
      kind,
    );
  }
});

test("no service of one control plane selects a pod of the other", () => {
  const text = JSON.stringify(objects);
  assert.ok(!text.includes('"linkerd.io/proxy-deployment":"linkerd-destination"'));
  assert.ok(text.includes('"linkerd.io/proxy-deployment":"linkerd-destination-canary"'));
});

function rules(text: string): readonly (string | undefined)[] {
  return [...text.matchAll(/"labelSelector":(\{[^}]*\}\})?/g)].map(([, rule]) => rule);
}

test("a revision's pods are kept apart from each other, and find room beside the first control plane's", () => {
  const own = rules(JSON.stringify(objects));
  const first = rules(JSON.stringify(objectsOf(printObjects(all, "yaml"))));
  assert.equal(own.length, 6);
  assert.equal(first.length, 6);
  for (const rule of own) {
    assert.match(rule ?? "", /-canary"/);
    assert.ok(!first.includes(rule));
  }
});

test("identities are those of the first control plane, addresses are the revision's", () => {
  const text = JSON.stringify(objects);
  assert.ok(text.includes("linkerd-dst-headless-canary.linkerd.svc.cluster.local.:8086"));
  assert.ok(!text.includes("linkerd-dst-headless.linkerd.svc"));
  assert.ok(text.includes("linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local"));
  assert.ok(text.includes('"serviceAccountName":"linkerd-destination"'));
});

test("a namespace is one injector's: the first looks at those without a revision, the second at its own", () => {
  assert.match(
    selectors(objectsOf(printObjects(all, "yaml"))),
    /\{"key":"linkerd\.io\/rev","operator":"DoesNotExist"\}/,
  );
  assert.match(selectors(objects), /\{"key":"linkerd\.io\/rev","operator":"In","values":\["canary"\]\}/);
  assert.doesNotMatch(selectors(objects), /DoesNotExist"\}\]\},"clientConfig/);
});

test("the revision's injector may read its own values and certificate, by their names", () => {
  const roles = JSON.stringify(objects.filter(({ kind }) => kind.endsWith("Role")));
  for (const name of [
    "linkerd-config-canary",
    "linkerd-proxy-injector-canary-k8s-tls",
    "linkerd-proxy-injector-webhook-config-canary",
    "linkerd-identity-trust-roots",
  ])
    assert.ok(roles.includes(`"${name}"`), name);
});
