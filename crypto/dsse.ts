/** Dead Simple Signing Envelopes, DSSE v1.0: a payload with its type, and signatures over both. */
import { signWith, verifyWith, type KeyPair, type PublicKey } from "./algorithms.ts";

export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signatures: readonly { readonly keyId: string; readonly signature: Uint8Array }[];
}

/** The bytes that are signed ("pre-authentication encoding"): no payload can be taken for one of another type. */
export function preAuthentication(payloadType: string, payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return new Uint8Array(Buffer.concat([Buffer.from(head), payload]));
}

/** An envelope with one signature. */
export function seal(payloadType: string, payload: Uint8Array, key: KeyPair, keyId = ""): Envelope {
  const signature = signWith(key, preAuthentication(payloadType, payload));
  return { payloadType, payload, signatures: [{ keyId, signature }] };
}

/** Whether one of the signatures is `key`'s. Identifiers of keys are hints and decide nothing. */
export function isSealedBy(envelope: Envelope, key: PublicKey): boolean {
  const message = preAuthentication(envelope.payloadType, envelope.payload);
  return envelope.signatures.some(({ signature }) => verifyWith(key, message, signature));
}
