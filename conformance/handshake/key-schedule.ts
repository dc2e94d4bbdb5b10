/** The TLS 1.3 key schedule (RFC 8446 §7.1) and record protection (§5.2), written out anew so that it can disagree. */
import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";
import { concat, u16, u8, vec8 } from "./bytes.ts";

/** What a cipher suite stands for. */
export interface Suite {
  readonly name: string;
  readonly hash: "sha256" | "sha384";
  readonly hashBytes: number;
  readonly aead: "aes-128-gcm" | "aes-256-gcm" | "chacha20-poly1305";
  readonly keyBytes: number;
}

/** By their registered numbers. */
export const SUITES: ReadonlyMap<number, Suite> = new Map([
  [
    0x1301,
    { name: "TLS_AES_128_GCM_SHA256", hash: "sha256", hashBytes: 32, aead: "aes-128-gcm", keyBytes: 16 },
  ],
  [
    0x1302,
    { name: "TLS_AES_256_GCM_SHA384", hash: "sha384", hashBytes: 48, aead: "aes-256-gcm", keyBytes: 32 },
  ],
  [
    0x1303,
    {
      name: "TLS_CHACHA20_POLY1305_SHA256",
      hash: "sha256",
      hashBytes: 32,
      aead: "chacha20-poly1305",
      keyBytes: 32,
    },
  ],
]);

const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const EMPTY = Buffer.alloc(0);

export const hashOf = (suite: Suite, bytes: Uint8Array): Buffer =>
  createHash(suite.hash).update(bytes).digest();
const hmac = (suite: Suite, key: Uint8Array, bytes: Uint8Array): Buffer =>
  createHmac(suite.hash, key).update(bytes).digest();

/** HKDF-Expand-Label. */
function expandLabel(suite: Suite, secret: Buffer, label: string, context: Buffer, length: number): Buffer {
  const info = concat(u16(length), vec8(Buffer.from(`tls13 ${label}`)), vec8(context));
  let block: Buffer = EMPTY;
  let output: Buffer = EMPTY;
  for (let counter = 1; output.length < length; counter += 1) {
    block = hmac(suite, secret, concat(block, info, u8(counter)));
    output = concat(output, block);
  }
  return output.subarray(0, length);
}

/** Derive-Secret, with the transcript's hash given. */
export function deriveSecret(suite: Suite, secret: Buffer, label: string, transcriptHash: Buffer): Buffer {
  return expandLabel(suite, secret, label, transcriptHash, suite.hashBytes);
}

/** HKDF-Extract of the handshake secret; there is no early secret without a pre-shared key. */
export function handshakeSecret(suite: Suite, shared: Uint8Array): Buffer {
  const zero = Buffer.alloc(suite.hashBytes);
  const early = hmac(suite, zero, zero);
  return hmac(suite, deriveSecret(suite, early, "derived", hashOf(suite, EMPTY)), shared);
}

export function masterSecret(suite: Suite, handshake: Buffer): Buffer {
  const derived = deriveSecret(suite, handshake, "derived", hashOf(suite, EMPTY));
  return hmac(suite, derived, Buffer.alloc(suite.hashBytes));
}

/** The verify data of a Finished message. */
export function finished(suite: Suite, trafficSecret: Buffer, transcriptHash: Buffer): Buffer {
  return hmac(suite, expandLabel(suite, trafficSecret, "finished", EMPTY, suite.hashBytes), transcriptHash);
}

/** Keys of one direction, with the sequence number that makes each nonce a new one. */
export class Protection {
  readonly #suite: Suite;
  readonly #key: Buffer;
  readonly #iv: Buffer;
  #sequence = 0n;

  constructor(suite: Suite, trafficSecret: Buffer) {
    this.#suite = suite;
    this.#key = expandLabel(suite, trafficSecret, "key", EMPTY, suite.keyBytes);
    this.#iv = expandLabel(suite, trafficSecret, "iv", EMPTY, NONCE_BYTES);
  }

  /** A whole record of `type`. */
  seal(type: number, content: Uint8Array): Buffer {
    const header = concat(u8(23), u16(0x0303), u16(content.length + 1 + TAG_BYTES));
    const cipher = createCipheriv(this.#cipher(), this.#key, this.#nonce(), { authTagLength: TAG_BYTES });
    cipher.setAAD(header, { plaintextLength: content.length + 1 });
    const sealed = concat(cipher.update(concat(content, u8(type))), cipher.final());
    return concat(header, sealed, cipher.getAuthTag());
  }

  /** The type and content of a record; throws if it was not made with these keys. */
  open(header: Buffer, record: Buffer): { readonly type: number; readonly content: Buffer } {
    const decipher = createDecipheriv(this.#cipher(), this.#key, this.#nonce(), { authTagLength: TAG_BYTES });
    decipher.setAAD(header, { plaintextLength: record.length - TAG_BYTES });
    decipher.setAuthTag(record.subarray(record.length - TAG_BYTES));
    const plain = concat(decipher.update(record.subarray(0, record.length - TAG_BYTES)), decipher.final());
    let end = plain.length - 1;
    while (end >= 0 && plain[end] === 0) end -= 1;
    return { type: plain[end] ?? 0, content: plain.subarray(0, Math.max(end, 0)) };
  }

  // Node types the AEAD ciphers by name; ChaCha20 has the same interface as GCM.
  #cipher(): "aes-128-gcm" {
    const names: Readonly<Record<Suite["aead"], string>> = {
      "aes-128-gcm": "aes-128-gcm",
      "aes-256-gcm": "aes-256-gcm",
      "chacha20-poly1305": "chacha20-poly1305",
    };
    const name = names[this.#suite.aead];
    assertAead(name);
    return name;
  }

  #nonce(): Buffer {
    const counter = Buffer.alloc(NONCE_BYTES);
    counter.writeBigUInt64BE(this.#sequence, 4);
    this.#sequence += 1n;
    return Buffer.from(this.#iv.map((byte, index) => byte ^ (counter[index] ?? 0)));
  }
}

function assertAead(name: string): asserts name is "aes-128-gcm" {
  if (!/^(?:aes-(?:128|256)-gcm|chacha20-poly1305)$/.test(name)) throw new Error(`${name} is no AEAD`);
}
