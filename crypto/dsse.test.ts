import assert from "node:assert/strict";
import test from "node:test";
import { generateKeyPair } from "./algorithms.ts";
import { isSealedBy, preAuthentication, seal } from "./dsse.ts";

const TYPE = "application/vnd.in-toto+json";

void test("what is signed is the type, the lengths and the payload, as the specification writes them", () => {
  const bytes = preAuthentication("http://example.com/HelloWorld", Buffer.from("hello world"));
  assert.equal(Buffer.from(bytes).toString(), "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
});

for (const algorithm of ["ecdsa-p256-sha256", "ml-dsa-87"] as const) {
  void test(`${algorithm}: an envelope is its signer's, and nobody else's`, () => {
    const [key, other] = [generateKeyPair(algorithm), generateKeyPair(algorithm)];
    const envelope = seal(TYPE, Buffer.from("{}"), key);
    assert.ok(isSealedBy(envelope, key.publicKey));
    assert.ok(!isSealedBy(envelope, other.publicKey));
    assert.ok(!isSealedBy({ ...envelope, payload: Buffer.from("{ }") }, key.publicKey));
    assert.ok(!isSealedBy({ ...envelope, payloadType: "text/plain" }, key.publicKey));
    assert.ok(!isSealedBy({ ...envelope, signatures: [] }, key.publicKey));
  });
}
