import assert from "node:assert/strict";
import { test } from "node:test";
import { readReview, type AdmissionRequest } from "../admission/review.ts";
import { CLUSTER, contextOf } from "./fixture.ts";
import { judge, validatorHandlers } from "./webhook.ts";

const context = contextOf([CLUSTER]);

const overlapping = {
  apiVersion: "policy.linkerd.io/v1beta3",
  kind: "Server",
  metadata: { name: "second", namespace: "shop" },
  spec: { podSelector: { matchLabels: { app: "web" } }, port: "http" },
};

function review(change: object): AdmissionRequest {
  return readReview(
    JSON.stringify({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      request: {
        uid: "1",
        kind: { group: "policy.linkerd.io", version: "v1beta3", kind: "Server" },
        resource: { group: "policy.linkerd.io", version: "v1beta3", resource: "servers" },
        namespace: "shop",
        operation: "CREATE",
        object: overlapping,
        ...change,
      },
    }),
  );
}

test("an object that breaks a rule is refused with its field, and one that breaks none is not", () => {
  const verdict = judge(review({}), context);
  assert.ok(verdict.type === "deny");
  assert.match(verdict.reason, /^spec\.podSelector: Server shop\/web already selects/);
  const other = { ...overlapping, spec: { ...overlapping.spec, port: "admin" } };
  assert.deepEqual(judge(review({ object: other }), context), { type: "allow", warnings: [] });
});

test("what replaces an object is judged without it", () => {
  const same = { ...overlapping, metadata: { ...overlapping.metadata, name: "web" } };
  assert.equal(judge(review({ operation: "UPDATE", object: same }), context).type, "allow");
});

test("an object that was admitted once may be labelled, annotated by others and deleted", () => {
  const labelled = {
    ...overlapping,
    metadata: {
      ...overlapping.metadata,
      labels: { a: "b" },
      annotations: { "argocd.argoproj.io/tracking-id": "x" },
      finalizers: [],
    },
  };
  const update = review({ operation: "UPDATE", object: labelled, oldObject: overlapping });
  const verdict = judge(update, context);
  assert.equal(verdict.type, "allow");
  assert.equal(verdict.warnings?.length, 1);
  const changed = { ...overlapping, spec: { ...overlapping.spec, accessPolicy: "audit" } };
  assert.equal(
    judge(review({ operation: "UPDATE", object: changed, oldObject: overlapping }), context).type,
    "deny",
  );
  const going = {
    ...changed,
    metadata: { ...overlapping.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
  };
  assert.equal(
    judge(review({ operation: "UPDATE", object: going, oldObject: overlapping }), context).type,
    "allow",
  );
  assert.equal(judge(review({ operation: "DELETE", object: null }), context).type, "allow");
});

test("the status of an object is not judged, and an object with a generated name is", () => {
  assert.equal(judge(review({ subResource: "status" }), context).type, "allow");
  const generated = { ...overlapping, metadata: { generateName: "web-" } };
  const verdict = judge(review({ object: generated }), context);
  assert.ok(verdict.type === "deny");
  assert.match(verdict.reason, /already selects/);
});

test("what is no object is refused", () => {
  for (const object of [null, 7, {}, { metadata: { name: "a" } }]) {
    assert.equal(judge(review({ object }), context).type, "deny");
  }
});

test("the handlers see the cluster as it is at each review", async () => {
  let now = contextOf([]);
  const handler = validatorHandlers(() => now).get("/");
  assert.ok(handler);
  const { signal } = new AbortController();
  assert.equal((await handler(review({}), signal)).type, "allow");
  now = context;
  assert.equal((await handler(review({}), signal)).type, "deny");
});
