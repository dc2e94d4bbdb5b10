/**
 * What the FIPS profile permits, and why. It can only narrow what the standard build has: `narrowed` is the test's
 * question, and the proxy's own tables (`proxy/tls/src/provider/profile.rs`) are held against these lists.
 */
import { EVERY_ALGORITHM, FIPS_ALGORITHMS, type AlgorithmName } from "@hauberk/crypto/algorithms.ts";

/** One algorithm, with the document that approves it. */
export interface Approved<Name extends string = string> {
  readonly name: Name;
  /** The standard that approves it, and what to know about its use. */
  readonly because: string;
}

/** Key exchange groups of the data plane by the names that TLS gives them, preferred ones first. */
export const GROUPS = [
  {
    name: "X25519MLKEM768",
    because:
      "FIPS 203 for ML-KEM-768; SP 800-56C rev. 2 section 2 admits the further X25519 part behind the approved one",
  },
  {
    name: "SecP256r1MLKEM768",
    because: "SP 800-56A rev. 3 for ECDH on P-256, FIPS 203 for ML-KEM-768; both parts are approved",
  },
  { name: "secp256r1", because: "SP 800-56A rev. 3, ECDH on P-256" },
  { name: "secp384r1", because: "SP 800-56A rev. 3, ECDH on P-384" },
] as const satisfies readonly Approved[];
export type GroupName = (typeof GROUPS)[number]["name"];

/** Groups with a part that withstands quantum computers. */
export const POST_QUANTUM_GROUPS: readonly GroupName[] = ["X25519MLKEM768", "SecP256r1MLKEM768"];

/** Cipher suites of the data plane, preferred ones first. */
export const SUITES = [
  {
    name: "TLS_AES_128_GCM_SHA256",
    because: "SP 800-38D for AES-GCM, RFC 8446 nonces; FIPS 180-4 for SHA-256",
  },
  {
    name: "TLS_AES_256_GCM_SHA384",
    because: "SP 800-38D for AES-GCM, RFC 8446 nonces; FIPS 180-4 for SHA-384",
  },
] as const satisfies readonly Approved[];

/** Signatures that the mesh's own certificates may have. */
export const SIGNATURES: readonly Approved<AlgorithmName>[] = [...FIPS_ALGORITHMS].map((name) => ({
  name,
  because: "FIPS 186-5, ECDSA on the curves of SP 800-186",
}));

/** What the standard build has and this profile has not. */
export const LEFT_OUT = [
  { name: "X25519 by itself", because: "not among the curves of SP 800-186 for key agreement" },
  { name: "TLS_CHACHA20_POLY1305_SHA256", because: "no NIST standard approves ChaCha20 or Poly1305" },
  { name: "Ed25519", because: "left out: mesh certificates are ECDSA, so that one rule serves every module" },
  {
    name: "ML-DSA",
    because: "FIPS 204 approves it, but none of the certified modules that are pinned contains it",
  },
] as const satisfies readonly Approved[];

/** Whether the profile takes away and adds nothing: for signatures of the mesh's certificates. */
export function isNarrowed(): boolean {
  return SIGNATURES.every(({ name }) => EVERY_ALGORITHM.has(name));
}
