/** The permitted signature algorithms against Wycheproof's verification vectors. */
import assert from "node:assert/strict";
import test from "node:test";
import { ALGORITHMS, KeyError, readPublicKey, verifyWith, wrapPublicKey } from "../algorithms.ts";
import { DerError } from "../der.ts";
import { hex, wycheproof } from "./published.ts";
import type { Vector } from "./published.ts";

type Suite = { readonly file: string; readonly least: number; readonly spki: (vector: Vector) => Uint8Array };

const curve = ({ group }: Vector): Uint8Array => hex(group, "publicKeyDer");
const raw =
  (name: "ml-dsa-44" | "ml-dsa-65" | "ml-dsa-87") =>
  ({ group }: Vector) =>
    wrapPublicKey(ALGORITHMS[name].keyOid, hex(group, "publicKey"));

const SUITES: readonly Suite[] = [
  { file: "ecdsa_secp256r1_sha256_test", least: 400, spki: curve },
  { file: "ecdsa_secp384r1_sha384_test", least: 400, spki: curve },
  { file: "ed25519_test", least: 100, spki: curve },
  { file: "mldsa_44_verify_test", least: 50, spki: raw("ml-dsa-44") },
  { file: "mldsa_65_verify_test", least: 50, spki: raw("ml-dsa-65") },
  { file: "mldsa_87_verify_test", least: 50, spki: raw("ml-dsa-87") },
];

for (const { file, least, spki } of SUITES) {
  test(`signatures are accepted and refused as Wycheproof's ${file} says`, async () => {
    // Certificates are signed without a context string, so vectors with one have no counterpart here.
    const vectors = (await wycheproof(file)).filter(({ test: one }) => (one["ctx"] ?? "") === "");
    const wrong = vectors.filter((vector) => accepted(vector, spki) !== (vector.test["result"] === "valid"));
    assert.deepEqual(
      wrong.map(({ id, test: one }) => `${id} ${String(one["result"])} ${String(one["comment"])}`),
      [],
    );
    assert.ok(vectors.length >= least, `${vectors.length} vectors`);
  });
}

function accepted(vector: Vector, spki: Suite["spki"]): boolean {
  try {
    return verifyWith(readPublicKey(spki(vector)), hex(vector.test, "msg"), hex(vector.test, "sig"));
  } catch (error) {
    if (error instanceof KeyError || error instanceof DerError) return false;
    throw error;
  }
}
