import assert from "node:assert/strict";
import test from "node:test";
import { readOutput } from "./output.ts";

test("cases are told apart by section and number, and a reset from a failure", () => {
  const text = `Generic tests for HTTP/2 client
  1. Starting HTTP/2
    ✔ 1: Sends a client connection preface

  4.2. Frame Size
    × 1: Sends a large frame
      -> The endpoint MUST close.
         Expected: GOAWAY Frame
         Actual: read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer
    × 2: Sends another
         Actual: Timeout

Failures:

  4.2. Frame Size
    × 1: Sends a large frame
`;
  assert.deepEqual(
    readOutput(text).map(({ name, outcome }) => [name, outcome]),
    [
      ["1. Starting HTTP/2 (1) Sends a client connection preface", "passed"],
      ["4.2. Frame Size (1) Sends a large frame", "reset"],
      ["4.2. Frame Size (2) Sends another", "failed"],
    ],
  );
});
