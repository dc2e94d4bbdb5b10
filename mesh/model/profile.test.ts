import assert from "node:assert/strict";
import { test } from "node:test";
import { failureRanges, type ResponseClass } from "./profile.ts";

const status = (min: number, max: number) => ({ type: "status", min, max }) as const;

test("without classes, statuses from 500 fail", () => {
  assert.deepEqual(failureRanges([]), [{ min: 500, max: 599 }]);
});

test("the first class that holds decides, and what no class speaks of is as ever", () => {
  const classes: readonly ResponseClass[] = [
    { condition: status(429, 429), isFailure: true },
    {
      condition: { type: "all", of: [status(500, 599), { type: "not", of: status(503, 503) }] },
      isFailure: false,
    },
  ];
  assert.deepEqual(failureRanges(classes), [
    { min: 429, max: 429 },
    { min: 503, max: 503 },
  ]);
  const any: ResponseClass = {
    condition: { type: "any", of: [status(400, 403), status(404, 410)] },
    isFailure: true,
  };
  assert.deepEqual(failureRanges([any]), [
    { min: 400, max: 410 },
    { min: 500, max: 599 },
  ]);
});
