import assert from "node:assert/strict";
import { test } from "node:test";
import { ReviewError, WARNING_CHARS_MAX, readReview, writeReview } from "./review.ts";

const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "web" } };
const review = (change: object = {}) =>
  JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "705ab4f5",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      namespace: "shop",
      operation: "CREATE",
      object: pod,
      oldObject: null,
      ...change,
    },
  });

test("a review of another version, of another kind or with a part missing is refused by name", () => {
  for (const [body, expected] of [
    ["{", /not JSON/],
    ["[]", /not an AdmissionReview/],
    [review().replace("k8s.io/v1", "k8s.io/v1beta1"), /apiVersion/],
    [review({ uid: "" }), /request\.uid/],
    [review({ operation: "PATCH" }), /request\.operation/],
  ] as const) {
    assert.throws(
      () => readReview(body),
      (error) => error instanceof ReviewError && expected.test(error.message),
    );
  }
});

test("what a review leaves out has a value, and its object is passed on as it is", () => {
  const request = readReview(review());
  assert.deepEqual(request.object, pod);
  assert.deepEqual([request.name, request.subResource, request.dryRun], ["", "", false]);
});

test("an answer carries the request's uid, a patch as base64, a refusal as a status", () => {
  const patch = [{ op: "add", path: "/metadata/labels", value: {} }] as const;
  assert.deepEqual(JSON.parse(writeReview("u", { type: "allow", patch })).response, {
    uid: "u",
    allowed: true,
    patchType: "JSONPatch",
    patch: Buffer.from(JSON.stringify(patch)).toString("base64"),
  });
  assert.deepEqual(JSON.parse(writeReview("u", { type: "allow", patch: [] })).response, {
    uid: "u",
    allowed: true,
  });
  assert.deepEqual(JSON.parse(writeReview("u", { type: "deny", reason: "no" })).response, {
    uid: "u",
    allowed: false,
    status: { code: 403, reason: "Forbidden", message: "no" },
  });
});

test("a warning fits a header: no control characters, no endless text", () => {
  const text = JSON.parse(writeReview("u", { type: "allow", warnings: [`a\nb${"c".repeat(999)}`] })).response;
  assert.match(text.warnings[0], /^a bc+$/);
  assert.equal(text.warnings[0].length, WARNING_CHARS_MAX);
});
