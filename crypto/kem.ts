/**
 * ML-KEM-768 (FIPS 203): the platform's implementation first, an independent one to hold it against. Neither is on the
 * request path; the proxies have their own.
 */

import { createPrivateKey, createPublicKey, decapsulate, encapsulate } from "node:crypto";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { wrapPublicKey } from "./algorithms.ts";
import { oid, sequence, Tag, tlv, unsigned } from "./der.ts";

const ML_KEM_768 = "2.16.840.1.101.3.4.4.2";

/** Sizes of FIPS 203 table 3, in bytes. */
export const MlKem768Bytes = {
  seed: 64,
  encapsulationKey: 1184,
  ciphertext: 1088,
  sharedSecret: 32,
} as const;

/** A fresh secret, and what the holder of the key needs to find it. */
export type Encapsulated = { readonly sharedSecret: Uint8Array; readonly ciphertext: Uint8Array };

/** The operations of ML-KEM-768. Keys are the 64-byte seed `d ‖ z` and the encoded encapsulation key. */
export type MlKem768 = {
  readonly name: string;
  /** The encapsulation key that belongs to a seed. */
  encapsulationKey(seed: Uint8Array): Uint8Array;
  /** Throws if the key fails the checks of FIPS 203 §7.2. */
  encapsulate(encapsulationKey: Uint8Array): Encapsulated;
  /** Throws if the ciphertext has a wrong length; any other wrong ciphertext gives a secret that nobody has. */
  decapsulate(seed: Uint8Array, ciphertext: Uint8Array): Uint8Array;
};

/** The implementation in the platform's OpenSSL. */
export const nativeMlKem768: MlKem768 = {
  name: "node:crypto",
  encapsulationKey(seed) {
    const spki = createPublicKey(openSeed(seed)).export({ format: "der", type: "spki" });
    return new Uint8Array(spki.subarray(-MlKem768Bytes.encapsulationKey));
  },
  encapsulate(encapsulationKey) {
    sized(encapsulationKey, MlKem768Bytes.encapsulationKey);
    const spki = Buffer.from(wrapPublicKey(ML_KEM_768, encapsulationKey));
    const { sharedKey, ciphertext } = encapsulate(
      createPublicKey({ key: spki, format: "der", type: "spki" }),
    );
    return { sharedSecret: new Uint8Array(sharedKey), ciphertext: new Uint8Array(ciphertext) };
  },
  decapsulate(seed, ciphertext) {
    sized(ciphertext, MlKem768Bytes.ciphertext);
    return new Uint8Array(decapsulate(openSeed(seed), ciphertext));
  },
};

/** The implementation in TypeScript, which shares no code with any other. */
export const independentMlKem768: MlKem768 = {
  name: "noble",
  encapsulationKey(seed) {
    sized(seed, MlKem768Bytes.seed);
    return ml_kem768.keygen(seed).publicKey;
  },
  encapsulate(encapsulationKey) {
    const { sharedSecret, cipherText } = ml_kem768.encapsulate(encapsulationKey);
    return { sharedSecret, ciphertext: cipherText };
  },
  decapsulate(seed, ciphertext) {
    sized(seed, MlKem768Bytes.seed);
    return ml_kem768.decapsulate(ciphertext, ml_kem768.keygen(seed).secretKey);
  },
};

function openSeed(seed: Uint8Array): ReturnType<typeof createPrivateKey> {
  sized(seed, MlKem768Bytes.seed);
  // RFC 9935 §6: the seed form of the private key, `[0] IMPLICIT OCTET STRING`.
  const pkcs8 = sequence(
    unsigned(Uint8Array.of(0)),
    sequence(oid(ML_KEM_768)),
    tlv(Tag.octetString, tlv(0x80, seed)),
  );
  return createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
}

function sized(bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes where ${length} belong`);
}
