/** FIPS 203 against the published vectors, in all three implementations that the mesh relies on. */
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { independentMlKem768, nativeMlKem768 } from "../kem.ts";
import type { MlKem768 } from "../kem.ts";
import { openProxyKem } from "./proxy-kem.ts";
import type { ProxyKem } from "./proxy-kem.ts";
import { acvp, hex, wycheproof } from "./published.ts";
import type { Vector } from "./published.ts";

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const isValid = ({ test: one }: Vector): boolean => one["result"] !== "invalid";

/** Runs every vector and fails with the list of those that came out wrong. */
async function every(
  vectors: readonly Vector[],
  holds: (vector: Vector) => boolean | Promise<boolean>,
): Promise<number> {
  const wrong: string[] = [];
  for (const vector of vectors) {
    if (!(await holds(vector)))
      wrong.push(`${vector.id}: ${String(vector.test["comment"] ?? vector.test["flags"])}`);
  }
  assert.deepEqual(wrong, []);
  assert.ok(vectors.length > 0);
  return vectors.length;
}

/** Whether `answer` is what a valid vector says, or was refused by an exception where the vector is invalid. */
function agrees(vector: Vector, answer: () => boolean): boolean {
  try {
    return answer() === isValid(vector);
  } catch {
    return !isValid(vector);
  }
}

const SEEDED: readonly MlKem768[] = [nativeMlKem768, independentMlKem768];
let proxy: ProxyKem;
before(async () => {
  proxy = await openProxyKem();
});
after(() => proxy.close());

for (const kem of SEEDED) {
  test(`${kem.name} makes the encapsulation keys of Wycheproof's mlkem_768_keygen_seed_test`, async () => {
    await every(await wycheproof("mlkem_768_keygen_seed_test"), ({ test: one }) => {
      return hexOf(kem.encapsulationKey(hex(one, "seed"))) === one["ek"];
    });
  });

  test(`${kem.name} finds the secrets of Wycheproof's mlkem_768_test and refuses what it must`, async () => {
    await every(await wycheproof("mlkem_768_test"), (vector) =>
      agrees(
        vector,
        () => hexOf(kem.decapsulate(hex(vector.test, "seed"), hex(vector.test, "c"))) === vector.test["K"],
      ),
    );
  });

  test(`${kem.name} takes and refuses the encapsulation keys of Wycheproof's mlkem_768_encaps_test`, async () => {
    await every(await wycheproof("mlkem_768_encaps_test"), (vector) =>
      agrees(vector, () => kem.encapsulate(hex(vector.test, "ek")).sharedSecret.length === 32),
    );
  });
}

test("noble encapsulates to the ciphertexts and secrets of mlkem_768_encaps_test, whose randomness is given", async () => {
  await every((await wycheproof("mlkem_768_encaps_test")).filter(isValid), ({ test: one }) => {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(hex(one, "ek"), hex(one, "m"));
    return hexOf(cipherText) === one["c"] && hexOf(sharedSecret) === one["K"];
  });
});

test("the three implementations agree with NIST's ACVP vectors for ML-KEM-768", async () => {
  const vectors = (await acvp("ML-KEM")).filter(({ group }) => group["parameterSet"] === "ML-KEM-768");
  const modes = new Set(vectors.map(({ group }) => String(group["function"] ?? group["mode"])));
  assert.deepEqual(modes, new Set(["keyGen", "encapsulation", "decapsulation"]));
  await every(vectors, async ({ group, test: one }) => {
    const is = (bytes: Uint8Array | undefined, name: string): boolean =>
      bytes !== undefined && hexOf(bytes) === hexOf(hex(one, name));
    switch (group["function"] ?? group["mode"]) {
      case "keyGen": {
        const seed = Uint8Array.of(...hex(one, "d"), ...hex(one, "z"));
        return (
          SEEDED.every((kem) => is(kem.encapsulationKey(seed), "ek")) &&
          is(ml_kem768.keygen(seed).secretKey, "dk") &&
          (await isPair(hex(one, "dk"), hex(one, "ek")))
        );
      }
      case "encapsulation": {
        const { cipherText, sharedSecret } = ml_kem768.encapsulate(hex(one, "ek"), hex(one, "m"));
        const taken = (await proxy.ask("encapsulate", hex(one, "ek"))) !== undefined;
        nativeMlKem768.encapsulate(hex(one, "ek"));
        return is(cipherText, "c") && is(sharedSecret, "k") && taken;
      }
      case "decapsulation": {
        const found = await proxy.ask("decapsulate", hex(one, "dk"), hex(one, "c"));
        return is(ml_kem768.decapsulate(hex(one, "c"), hex(one, "dk")), "k") && is(found?.[0], "k");
      }
      default:
        return false;
    }
  });
});

test("the proxies' module names itself", () => {
  assert.match(proxy.version, /^aws-lc/);
});

/** Whether the proxies' module takes both keys and finds by one what it made by the other. */
async function isPair(decapsulationKey: Uint8Array, encapsulationKey: Uint8Array): Promise<boolean> {
  const [ciphertext, secret] = (await proxy.ask("encapsulate", encapsulationKey)) ?? [];
  if (ciphertext === undefined || secret === undefined) return false;
  const [found] = (await proxy.ask("decapsulate", decapsulationKey, ciphertext)) ?? [];
  return found !== undefined && hexOf(found) === hexOf(secret);
}

test("the proxies' module takes the keys of mlkem_768_keygen_seed_test as pairs; it takes no seeds", async () => {
  await every(await wycheproof("mlkem_768_keygen_seed_test"), ({ test: one }) =>
    isPair(hex(one, "dk"), hex(one, "ek")),
  );
});

test("keys that the proxies' module makes are well-formed to noble: FIPS 203 §7.1 and §7.3", async () => {
  for (let round = 0; round < 20; round += 1) {
    const [secretKey, publicKey] = (await proxy.ask("generate")) ?? [];
    assert.ok(secretKey !== undefined && publicKey !== undefined);
    assert.equal(hexOf(secretKey.subarray(1152, 1152 + 1184)), hexOf(publicKey));
    assert.equal(hexOf(ml_kem768.getPublicKey(secretKey)), hexOf(publicKey));
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey);
    const [found] = (await proxy.ask("decapsulate", secretKey, cipherText)) ?? [];
    assert.equal(hexOf(found ?? new Uint8Array()), hexOf(sharedSecret));
    // Checks the embedded hash of the key too.
    assert.equal(hexOf(ml_kem768.decapsulate(cipherText, secretKey)), hexOf(sharedSecret));
  }
});

test("the proxies' module takes and refuses the encapsulation keys of mlkem_768_encaps_test, and noble finds its secrets", async () => {
  await every(await wycheproof("mlkem_768_encaps_test"), async (vector) => {
    return ((await proxy.ask("encapsulate", hex(vector.test, "ek"))) !== undefined) === isValid(vector);
  });
  await every(await wycheproof("mlkem_768_keygen_seed_test"), async ({ test: one }) => {
    const [ciphertext, secret] = (await proxy.ask("encapsulate", hex(one, "ek"))) ?? [];
    if (ciphertext === undefined || secret === undefined) return false;
    return SEEDED.every((kem) => hexOf(kem.decapsulate(hex(one, "seed"), ciphertext)) === hexOf(secret));
  });
});

test("the proxies' module finds the secrets of mlkem_768_test, implicit rejections included", async () => {
  // The vectors give seeds, the module takes expanded keys. A seed of a wrong length has no expansion to ask about.
  const expandable = (await wycheproof("mlkem_768_test")).filter(
    ({ test: one }) => hex(one, "seed").length === 64,
  );
  await every(expandable, async (vector) => {
    const expanded = ml_kem768.keygen(hex(vector.test, "seed")).secretKey;
    const [secret] = (await proxy.ask("decapsulate", expanded, hex(vector.test, "c"))) ?? [];
    return (secret !== undefined && hexOf(secret) === vector.test["K"]) === isValid(vector);
  });
});

test("the proxies' module and noble agree on the expanded keys of mlkem_768_semi_expanded_decaps_test", async () => {
  await every(await wycheproof("mlkem_768_semi_expanded_decaps_test"), async (vector) => {
    const { test: one } = vector;
    const [secret] = (await proxy.ask("decapsulate", hex(one, "dk"), hex(one, "c"))) ?? [];
    const isRight = (found: Uint8Array | undefined): boolean =>
      found !== undefined && (one["K"] === undefined || hexOf(found) === one["K"]);
    return (
      isRight(secret) === isValid(vector) &&
      agrees(vector, () => isRight(ml_kem768.decapsulate(hex(one, "c"), hex(one, "dk"))))
    );
  });
});
