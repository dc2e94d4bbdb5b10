/** Content digests: named by their algorithm, compared whole. */

import { createHash } from "node:crypto";

declare const digestBrand: unique symbol;

/** A content digest as OCI and in-toto write it: `sha256:` and 64 lower-case hexadecimal digits. */
export type Digest = string & { readonly [digestBrand]: true };

/** The SHA-256 of some bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

/** The digest of some bytes in its written form. */
export function digest(bytes: Uint8Array): Digest {
  const written = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (!isDigest(written)) throw new Error("a SHA-256 has 64 digits");
  return written;
}

/** Whether a text is a digest. The only way to make one of a text that came from outside. */
export function isDigest(value: string): value is Digest {
  return /^sha256:[0-9a-f]{64}$/.test(value);
}
