import assert from "node:assert/strict";
import test from "node:test";
import { addHost, decode } from "./corpus.ts";
import { outcomeOf } from "./verdict.ts";

const read = (complete: number, error: string | null = null) => ({ complete, requests: [], error });

test("refused bytes at the backend are a leak, more requests than were sent a split", () => {
  assert.equal(outcomeOf(read(1), [read(0, "bad")]), "leaked");
  assert.equal(outcomeOf(read(1), [read(2)]), "split");
  assert.equal(outcomeOf(read(1), [read(1), read(1)]), "split");
  assert.equal(outcomeOf(read(0, "bad"), [read(2)]), "split");
  assert.equal(outcomeOf(read(2), [read(2)]), "forwarded");
  assert.equal(outcomeOf(read(0, "bad"), [read(1)]), "forwarded");
  assert.equal(outcomeOf(read(1), []), "refused");
  assert.equal(outcomeOf(read(1), [read(0)]), "refused");
});

test("the notation of the corpus stands for bytes", () => {
  assert.deepEqual(
    decode(Buffer.from("GET / HTTP/1.1\\r\\n\nA: \\xff\\000\\r\\n\n")),
    Buffer.from("GET / HTTP/1.1\r\nA: \xff\0\r\n", "latin1"),
  );
});

test("Host is added where it is missing and only there", () => {
  const added = addHost(Buffer.from("GET / HTTP/1.1\r\n\r\n")).toString();
  assert.equal(added, "GET / HTTP/1.1\r\nHost: conformance.test\r\n\r\n");
  for (const raw of ["GET / HTTP/1.1\r\nhOST : a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "junk"]) {
    assert.equal(addHost(Buffer.from(raw)).toString(), raw);
  }
});
