import assert from "node:assert/strict";
import { test } from "node:test";
import { complaint, counted } from "./judge.ts";

test("inbound responses are counted by their classification, outbound ones are not", () => {
  const exposition = [
    'response_total{direction="inbound",classification="success",status_code="200"} 7',
    'response_total{direction="inbound",classification="failure",status_code="500"} 3',
    'response_total{direction="outbound",classification="failure",status_code="500"} 9',
    'request_total{direction="inbound"} 10',
  ].join("\n");
  assert.deepEqual(counted(exposition), { succeeded: 7, failed: 3 });
});

test("a canary is judged by what came since it was looked at, and anew when its pods are others", () => {
  const seen = { succeeded: 100, failed: 1 };
  assert.equal(complaint(seen, { succeeded: 300, failed: 2 }), undefined);
  assert.equal(complaint(seen, { succeeded: 110, failed: 11 }), "10 of 20 requests failed");
  assert.equal(complaint(seen, { succeeded: 5, failed: 5 }), "5 of 10 requests failed");
  assert.equal(complaint(seen, seen), undefined);
});
