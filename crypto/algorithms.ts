/**
 * The algorithms Hauberk signs and verifies with, and nothing else. A profile (such as the FIPS one) can only narrow
 * this table; there is no way to widen it at run time.
 */

import { createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { bits, DerReader, oid, readBits, readOid, readOnly, sequence, Tag } from "./der.ts";

/** A signature algorithm together with the one key type and one hash it goes with. */
export type Algorithm = {
  readonly name: AlgorithmName;
  /** Object identifier of the signature (RFC 5758, RFC 8410, RFC 9881). */
  readonly signatureOid: string;
  /** Object identifiers in the key's AlgorithmIdentifier: the algorithm and, for a curve, its parameter. */
  readonly keyOid: string;
  readonly curveOid?: string;
  /** Hash handed to the signature, or `null` where the algorithm has its own. */
  readonly hash: "sha256" | "sha384" | null;
  /** Bytes of the public key inside the BIT STRING. */
  readonly publicKeyBytes: number;
  /** Whether a key that a quantum computer cannot break. */
  readonly postQuantum: boolean;
};

/** The names, as reports print them. */
export type AlgorithmName =
  | "ecdsa-p256-sha256"
  | "ecdsa-p384-sha384"
  | "ed25519"
  | "ml-dsa-44"
  | "ml-dsa-65"
  | "ml-dsa-87";

const EC_PUBLIC_KEY = "1.2.840.10045.2.1";

/** Every permitted signature algorithm. */
export const ALGORITHMS: Readonly<Record<AlgorithmName, Algorithm>> = {
  "ecdsa-p256-sha256": {
    name: "ecdsa-p256-sha256",
    signatureOid: "1.2.840.10045.4.3.2",
    keyOid: EC_PUBLIC_KEY,
    curveOid: "1.2.840.10045.3.1.7",
    hash: "sha256",
    publicKeyBytes: 65,
    postQuantum: false,
  },
  "ecdsa-p384-sha384": {
    name: "ecdsa-p384-sha384",
    signatureOid: "1.2.840.10045.4.3.3",
    keyOid: EC_PUBLIC_KEY,
    curveOid: "1.3.132.0.34",
    hash: "sha384",
    publicKeyBytes: 97,
    postQuantum: false,
  },
  ed25519: plain("ed25519", "1.3.101.112", 32, false),
  "ml-dsa-44": plain("ml-dsa-44", "2.16.840.1.101.3.4.3.17", 1312, true),
  "ml-dsa-65": plain("ml-dsa-65", "2.16.840.1.101.3.4.3.18", 1952, true),
  "ml-dsa-87": plain("ml-dsa-87", "2.16.840.1.101.3.4.3.19", 2592, true),
};

/** What a profile lets a mesh sign and verify with. */
export type Permitted = ReadonlySet<AlgorithmName>;

/** Everything in the table. */
export const EVERY_ALGORITHM: Permitted = new Set(
  Object.values(ALGORITHMS).map((algorithm) => algorithm.name),
);

/** What the certified module approves of: ECDSA on the NIST curves (FIPS 186-5). */
export const FIPS_ALGORITHMS: Permitted = narrow(EVERY_ALGORITHM, ["ecdsa-p256-sha256", "ecdsa-p384-sha384"]);

/** Keeps those of `names` that `permitted` has. A profile cannot add what was not there. */
export function narrow(permitted: Permitted, names: readonly AlgorithmName[]): Permitted {
  return new Set(names.filter((name) => permitted.has(name)));
}

/** A public key of a permitted kind, checked to be written in the one form its kind has. */
export type PublicKey = {
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
  /** SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** The content of its BIT STRING: what key identifiers are made of. */
  readonly bits: Uint8Array;
};

/** A private key with its public half. */
export type KeyPair = { readonly privateKey: KeyObject; readonly publicKey: PublicKey };

/** The key is of a kind that is not permitted, or not well-formed. */
export class KeyError extends Error {
  override readonly name = "KeyError";
}

/**
 * Reads a SubjectPublicKeyInfo. Throws {@link DerError} for bad bytes and {@link KeyError} for another kind of key (RSA,
 * other curves), for compressed points and for points that are not on their curve.
 */
export function readPublicKey(spki: Uint8Array): PublicKey {
  const outer = new DerReader(readOnly(spki, Tag.sequence).body);
  const identifier = outer.inside(Tag.sequence);
  const keyOid = readOid(identifier.next(Tag.oid));
  const curveOid = identifier.peek === Tag.oid ? readOid(identifier.any()) : undefined;
  if (!identifier.done) throw new KeyError(`a key of kind ${keyOid} with parameters is not permitted`);
  const content = readBits(outer.next(Tag.bitString));
  outer.end();
  const algorithm = Object.values(ALGORITHMS).find(
    (one) => one.keyOid === keyOid && one.curveOid === curveOid,
  );
  if (algorithm === undefined)
    throw new KeyError(`a key of kind ${keyOid} ${curveOid ?? ""} is not permitted`.trim());
  if (content.length !== algorithm.publicKeyBytes) {
    throw new KeyError(
      `a key of ${content.length} bytes for ${algorithm.name}, which has ${algorithm.publicKeyBytes}`,
    );
  }
  if (algorithm.curveOid !== undefined && content[0] !== 0x04)
    throw new KeyError("a curve point in another form");
  return { algorithm, key: openKey(spki), spki: spki.slice(), bits: content.slice() };
}

/** The public half of a key of ours. */
export function publicKeyOf(privateKey: KeyObject): PublicKey {
  return readPublicKey(new Uint8Array(createPublicKey(privateKey).export({ format: "der", type: "spki" })));
}

/** Makes a key pair. */
export function generateKeyPair(name: AlgorithmName): KeyPair {
  const { privateKey } = generate(name);
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}

/** Signs `message`; the private key must be of the algorithm. */
export function signWith(pair: KeyPair, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(pair.publicKey.algorithm.hash, message, pair.privateKey));
}

/** Whether `signature` over `message` was made with the private half of `key`. Never throws. */
export function verifyWith(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(key.algorithm.hash, message, key.key, signature);
  } catch {
    return false;
  }
}

/** The AlgorithmIdentifier of a signature; none of ours has parameters. */
export function signatureIdentifier(algorithm: Algorithm): Uint8Array {
  return sequence(oid(algorithm.signatureOid));
}

/** Which algorithm an AlgorithmIdentifier of a signature names, or `undefined` if it is not permitted. */
export function readSignatureIdentifier(reader: DerReader): Algorithm | undefined {
  const identifier = reader.inside(Tag.sequence);
  const signatureOid = readOid(identifier.next(Tag.oid));
  if (!identifier.done) return undefined;
  return Object.values(ALGORITHMS).find((algorithm) => algorithm.signatureOid === signatureOid);
}

/** SubjectPublicKeyInfo of raw key bytes, for keys that come without one (vectors, KEM). */
export function wrapPublicKey(keyOid: string, content: Uint8Array): Uint8Array {
  return sequence(sequence(oid(keyOid)), bits(content));
}

function plain(name: AlgorithmName, both: string, publicKeyBytes: number, postQuantum: boolean): Algorithm {
  return { name, signatureOid: both, keyOid: both, hash: null, publicKeyBytes, postQuantum };
}

function openKey(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch (cause) {
    throw new KeyError("a public key that its algorithm refuses", { cause });
  }
}

function generate(name: AlgorithmName): { readonly privateKey: KeyObject } {
  switch (name) {
    case "ecdsa-p256-sha256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "ecdsa-p384-sha384":
      return generateKeyPairSync("ec", { namedCurve: "P-384" });
    case "ed25519":
      return generateKeyPairSync("ed25519");
    case "ml-dsa-44":
      return generateKeyPairSync("ml-dsa-44");
    case "ml-dsa-65":
      return generateKeyPairSync("ml-dsa-65");
    case "ml-dsa-87":
      return generateKeyPairSync("ml-dsa-87");
  }
}
