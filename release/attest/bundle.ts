/** Sigstore bundles v0.3 that hold a signed statement, and their post-quantum companions. */
import { createHash } from "node:crypto";
import { signWith, verifyWith, type KeyPair, type PublicKey } from "@hauberk/crypto/algorithms.ts";
import { preAuthentication, seal, type Envelope } from "@hauberk/crypto/dsse.ts";
import { z } from "zod";
import type { Digest } from "../oci/model.ts";

/** Media type of a bundle, and artifact type of the referrer that holds it. */
export const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
/** The same of the companion, which tools that do not know it leave alone. */
export const COMPANION = "application/vnd.hauberk.pq-signature.v1+json";

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const Base64 = z.string().transform((text) => new Uint8Array(Buffer.from(text, "base64")));

/** How cosign names a key: base64 of the SHA-256 of its SubjectPublicKeyInfo. */
export function hintOf(key: PublicKey): string {
  return createHash("sha256").update(key.spki).digest("base64");
}

/** A bundle of one statement, signed with a long-lived key. Cosign takes ECDSA P-256 here. */
export function writeBundle(payloadType: string, payload: Uint8Array, key: KeyPair): Buffer {
  const envelope = seal(payloadType, payload, key);
  const bundle = {
    mediaType: BUNDLE,
    verificationMaterial: { publicKey: { hint: hintOf(key.publicKey) } },
    dsseEnvelope: {
      payload: base64(payload),
      payloadType,
      signatures: envelope.signatures.map(({ signature }) => ({ sig: base64(signature) })),
    },
  };
  return Buffer.from(JSON.stringify(bundle));
}

/** What a certificate, a log and a clock say of a signature. */
export interface Evidence {
  /** DER. */
  readonly certificate: Uint8Array;
  /** The log's answer, as it is. */
  readonly entry: unknown;
  /** RFC 3161 responses, DER. */
  readonly timestamps: readonly Uint8Array[];
}

/** A bundle of one statement, signed by the key in a certificate. */
export function writeCertificateBundle(
  signed: { readonly payloadType: string; readonly payload: Uint8Array; readonly signature: Uint8Array },
  { certificate, entry, timestamps }: Evidence,
): Buffer {
  const bundle = {
    mediaType: BUNDLE,
    verificationMaterial: {
      certificate: { rawBytes: base64(certificate) },
      tlogEntries: [entry],
      timestampVerificationData: {
        rfc3161Timestamps: timestamps.map((signedTimestamp) => ({
          signedTimestamp: base64(signedTimestamp),
        })),
      },
    },
    dsseEnvelope: {
      payload: base64(signed.payload),
      payloadType: signed.payloadType,
      signatures: [{ sig: base64(signed.signature) }],
    },
  };
  return Buffer.from(JSON.stringify(bundle));
}

/** The bare envelope, as tools take it that know no bundles (slsa-verifier). */
export function sealedJson(payloadType: string, payload: Uint8Array, key: KeyPair): string {
  const { signatures } = seal(payloadType, payload, key);
  const listed = signatures.map(({ signature }) => ({
    keyid: hintOf(key.publicKey),
    sig: base64(signature),
  }));
  return `${JSON.stringify({ payloadType, payload: base64(payload), signatures: listed })}\n`;
}

const Bundle = z.object({
  mediaType: z.literal(BUNDLE),
  verificationMaterial: z.object({
    publicKey: z.object({ hint: z.string() }).optional(),
    certificate: z.object({ rawBytes: z.string() }).optional(),
  }),
  dsseEnvelope: z.object({
    payload: Base64,
    payloadType: z.string(),
    signatures: z.array(z.object({ sig: Base64, keyid: z.string().optional() })).length(1),
  }),
});

/** How a statement is signed: with a long-lived key, or with one that a certificate names. */
export type Way = "key" | "certificate";

/** The envelope in a bundle, and what it asks to be checked by. @throws if the bytes are no bundle, or there is more than one signature. */
export function readBundle(bytes: Uint8Array): { readonly envelope: Envelope; readonly way: Way } {
  const read = Bundle.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  const { payloadType, payload, signatures } = read.dsseEnvelope;
  return {
    envelope: {
      payloadType,
      payload,
      signatures: signatures.map(({ sig, keyid = "" }) => ({ keyId: keyid, signature: sig })),
    },
    way: read.verificationMaterial.certificate === undefined ? "key" : "certificate",
  };
}

const Companion = z.object({
  mediaType: z.literal(COMPANION),
  algorithm: z.literal("ml-dsa-87"),
  keyId: z.string(),
  /** Digest of the bundle that it goes with. */
  bundle: z.string(),
  signature: Base64,
});

/** ML-DSA-87 (FIPS 204, as CNSA 2.0 asks) over the same bytes that the bundle's signature is over. */
export function writeCompanion(bundle: Digest, envelope: Envelope, key: KeyPair): Buffer {
  const message = preAuthentication(envelope.payloadType, envelope.payload);
  const companion = {
    mediaType: COMPANION,
    algorithm: "ml-dsa-87",
    keyId: hintOf(key.publicKey),
    bundle,
    signature: base64(signWith(key, message)),
  };
  return Buffer.from(JSON.stringify(companion));
}

/** Whether `bytes` are `key`'s companion of exactly this bundle. */
export function isCompanionOf(
  bytes: Uint8Array,
  {
    bundle,
    envelope,
    key,
  }: { readonly bundle: Digest; readonly envelope: Envelope; readonly key: PublicKey },
): boolean {
  const parsed = Companion.safeParse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  if (!parsed.success || parsed.data.bundle !== bundle || key.algorithm.name !== "ml-dsa-87") return false;
  return verifyWith(key, preAuthentication(envelope.payloadType, envelope.payload), parsed.data.signature);
}
