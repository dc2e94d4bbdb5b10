import assert from "node:assert/strict";
import test from "node:test";
import { digest, isDigest } from "./digest.ts";

test('a digest has the written form of OCI (FIPS 180-4 example: "abc")', () => {
  const written = digest(new TextEncoder().encode("abc"));
  assert.equal(written, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.equal(isDigest(written.toUpperCase()), false);
  assert.equal(isDigest(written.slice(1)), false);
});
