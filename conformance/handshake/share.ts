/** Key shares, from libraries that no other part of the mesh uses on the wire. */
import { p256, p384 } from "@noble/curves/nist.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { concat, Malformed } from "./bytes.ts";

/** Groups by their registered numbers. */
export const Group = { p256: 0x0017, p384: 0x0018, x25519: 0x001d, x25519MlKem768: 0x11ec } as const;
export type Group = (typeof Group)[keyof typeof Group];

export function isGroup(value: number): value is Group {
  return Object.values(Group).some((group) => group === value);
}

/** The two halves of a shared secret; a classical group has an empty first half. */
export interface Halves {
  readonly kem: Buffer;
  readonly curve: Buffer;
}

/** One side's share and what it is for. */
export interface KeyShare {
  readonly group: Group;
  readonly public: Buffer;
  agree(peer: Buffer): Halves;
}

const NONE = Buffer.alloc(0);
const CIPHERTEXT_BYTES = 1088;

/** draft-ietf-tls-ecdhe-mlkem §4.3: for X25519MLKEM768 the ML-KEM part comes first, in shares and in the secret. */
export const sharedSecret = ({ kem, curve }: Halves): Buffer => concat(kem, curve);

export function generateShare(group: Group): KeyShare {
  switch (group) {
    case Group.x25519:
      return curveShare(group, montgomery());
    case Group.p256:
      return curveShare(group, weierstrass(p256));
    case Group.p384:
      return curveShare(group, weierstrass(p384));
    case Group.x25519MlKem768: {
      const kem = ml_kem768.keygen();
      const curve = montgomery();
      return {
        group,
        public: concat(kem.publicKey, curve.public),
        agree(peer) {
          if (peer.length !== CIPHERTEXT_BYTES + 32)
            throw new Malformed(`a hybrid share of ${peer.length} bytes`);
          const secret = ml_kem768.decapsulate(peer.subarray(0, CIPHERTEXT_BYTES), kem.secretKey);
          return { kem: Buffer.from(secret), curve: curve.agree(peer.subarray(CIPHERTEXT_BYTES)) };
        },
      };
    }
  }
}

interface Curve {
  readonly public: Buffer;
  agree(peer: Buffer): Buffer;
}

function curveShare(group: Group, curve: Curve): KeyShare {
  return { group, public: curve.public, agree: (peer) => ({ kem: NONE, curve: curve.agree(peer) }) };
}

function montgomery(): Curve {
  const secret = x25519.utils.randomSecretKey();
  return {
    public: Buffer.from(x25519.getPublicKey(secret)),
    agree: (peer) => Buffer.from(x25519.getSharedSecret(secret, peer)),
  };
}

function weierstrass(curve: typeof p256): Curve {
  const secret = curve.utils.randomSecretKey();
  return {
    public: Buffer.from(curve.getPublicKey(secret, false)),
    // The secret is the x coordinate alone (RFC 8446 §7.4.2).
    agree: (peer) => Buffer.from(curve.getSharedSecret(secret, peer, true).subarray(1)),
  };
}
