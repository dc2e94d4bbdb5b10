import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { independentMlKem768, MlKem768Bytes, nativeMlKem768 } from "./kem.ts";

const IMPLEMENTATIONS = [nativeMlKem768, independentMlKem768];

test("each implementation finds the secret that any other made", () => {
  for (let round = 0; round < 8; round += 1) {
    const seed = new Uint8Array(randomBytes(MlKem768Bytes.seed));
    for (const sender of IMPLEMENTATIONS) {
      for (const holder of IMPLEMENTATIONS) {
        const { ciphertext, sharedSecret } = sender.encapsulate(holder.encapsulationKey(seed));
        assert.deepEqual(Buffer.from(holder.decapsulate(seed, ciphertext)), Buffer.from(sharedSecret));
        ciphertext[5] = (ciphertext[5] ?? 0) ^ 1;
        assert.notDeepEqual(Buffer.from(holder.decapsulate(seed, ciphertext)), Buffer.from(sharedSecret));
      }
    }
  }
});

test("a wrong ciphertext gives the same implicit rejection everywhere (FIPS 203 §6.3)", () => {
  const seed = new Uint8Array(randomBytes(MlKem768Bytes.seed));
  const wrong = new Uint8Array(randomBytes(MlKem768Bytes.ciphertext));
  const [native, independent] = IMPLEMENTATIONS.map((one) => Buffer.from(one.decapsulate(seed, wrong)));
  assert.deepEqual(native, independent);
});

test("keys with a coefficient of q or more, and wrong lengths, are refused everywhere", () => {
  const seed = new Uint8Array(randomBytes(MlKem768Bytes.seed));
  for (const one of IMPLEMENTATIONS) {
    const key = one.encapsulationKey(seed);
    key.set([0xff, (key[1] ?? 0) | 0x0f]);
    assert.throws(() => one.encapsulate(key), one.name);
    assert.throws(() => one.encapsulate(key.subarray(1)), one.name);
    assert.throws(
      () => one.decapsulate(seed.subarray(1), new Uint8Array(MlKem768Bytes.ciphertext)),
      one.name,
    );
    assert.throws(() => one.decapsulate(seed, new Uint8Array(MlKem768Bytes.ciphertext - 1)), one.name);
  }
});
