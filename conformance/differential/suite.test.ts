import assert from "node:assert/strict";
import { test } from "node:test";
import { nextCase } from "./cases.ts";
import { Chance } from "./chance.ts";
import { Llhttp, type Found } from "./readers.ts";
import { disagreement } from "./suite.ts";

const whole: Found = { requests: [["GET", "/", "a", ""]], error: null };

function some(seed: number): readonly string[] {
  const chance = new Chance(seed);
  return Array.from({ length: 50 }, () => nextCase(chance).bytes.toString("hex"));
}

test("a seed makes the same cases again, and another seed makes others", () => {
  assert.deepEqual(some(7), some(7));
  assert.notDeepEqual(some(7), some(8));
});

test("readers agree on one whole request and on nothing else", () => {
  assert.equal(disagreement(whole, whole), undefined);
  assert.ok(disagreement({ ...whole, error: "bad" }, whole));
  assert.ok(disagreement(whole, { ...whole, error: "HPE_INVALID_HEADER_TOKEN" }));
  assert.ok(disagreement({ ...whole, requests: [...whole.requests, ...whole.requests] }, whole));
  assert.ok(disagreement(whole, { ...whole, requests: [["GET", "/other", "a", ""]] }));
});

test("a method that llhttp does not know is no disagreement", () => {
  const unknown: Found = { requests: [["G!T", "/", "a", ""]], error: null };
  assert.equal(disagreement(unknown, { requests: [], error: "HPE_INVALID_METHOD" }), undefined);
});

test("Node's server reads a message as it would from a connection", async () => {
  const reader = new Llhttp();
  const read = (text: string): Promise<Found> => reader.read(Buffer.from(text, "latin1"));
  assert.deepEqual(await read("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"), {
    requests: [["POST", "/x", "a", "hi"]],
    error: null,
  });
  assert.equal(
    (await read("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nhi")).error,
    "incomplete",
  );
  assert.notEqual((await read("GET / HTTP/1.1\r\nHost : a\r\n\r\n")).error, null);
  const two = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
  assert.notEqual(disagreement(whole, await read(two)), undefined);
});
