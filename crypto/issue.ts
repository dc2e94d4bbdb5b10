/**
 * The certificate authority: trust anchors, issuers below them, and leaves. What a certificate says is decided here and
 * by the caller, never by a request.
 */

import { createPrivateKey, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { KeyError, publicKeyOf, signatureIdentifier, signWith } from "./algorithms.ts";
import type { KeyPair, PublicKey } from "./algorithms.ts";
import { readCertificate } from "./certificate.ts";
import type { Certificate } from "./certificate.ts";
import { bits, DerError, sequence, time, tlv, unsigned } from "./der.ts";
import { sha256 } from "./digest.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  extension,
  ExtensionOid,
} from "./extensions.ts";
import { keyUsage, Purpose, subjectKeyIdentifier, Usage } from "./extensions.ts";
import type { Extension } from "./extensions.ts";
import { alternativeNames, distinguishedName } from "./names.ts";
import type { AlternativeName } from "./names.ts";

/** How far before `now` a certificate begins, for peers whose clocks are behind (Linkerd's default). */
export const CLOCK_SKEW_MS = 20_000;

/** Bytes of randomness in a serial number. */
export const SERIAL_BYTES = 16;

/** The signing half of an authority with the certificate that says so. */
export type Authority = {
  readonly certificate: Certificate;
  readonly keys: KeyPair;
};

/** When a certificate begins and ends. The beginning is set back by `skewMs`, {@link CLOCK_SKEW_MS} if absent. */
export type Life = { readonly nowMs: number; readonly lifeMs: number; readonly skewMs?: number };

/** What an authority's certificate says. */
export type AuthorityContent = Life & {
  readonly commonName: string;
  readonly keys: KeyPair;
  readonly serial: Uint8Array;
};

/** A random serial number: 128 bits, so that it cannot be guessed and does not repeat. */
export function randomSerial(): Uint8Array {
  return new Uint8Array(randomBytes(SERIAL_BYTES));
}

/** Makes a self-signed trust anchor. */
export function createTrustAnchor(content: AuthorityContent): Authority {
  const subject = distinguishedName(content.commonName);
  return authority(content, { subject, issuer: subject, signer: content.keys, pathLength: undefined });
}

/**
 * Makes an issuer below `anchor`: it may sign leaves and no other authority (path length 0). There are no name
 * constraints, because the proxies' verifier refuses those on URIs.
 */
export function createIssuer(anchor: Authority, content: AuthorityContent): Authority {
  return authority(within(content, anchor.certificate), {
    subject: distinguishedName(content.commonName),
    issuer: anchor.certificate.subject.der,
    signer: anchor.keys,
    pathLength: 0,
  });
}

/** What a leaf says. `names` go into the certificate exactly as they are. */
export type LeafContent = Life & {
  readonly publicKey: PublicKey;
  readonly names: readonly AlternativeName[];
  readonly serial: Uint8Array;
};

/** Issues a leaf for both ends of a connection. It never outlives its issuer. */
export function issueLeaf(issuer: Authority, content: LeafContent): Certificate {
  if (content.names.length === 0) throw new DerError("a leaf without a name identifies nobody");
  const { publicKey, serial, names } = content;
  return write({
    ...within(content, issuer.certificate),
    serial,
    publicKey,
    issuer: issuer.certificate.subject.der,
    subject: distinguishedName(undefined),
    signer: issuer.keys,
    extensions: [
      {
        oid: ExtensionOid.basicConstraints,
        critical: true,
        value: basicConstraints({ ca: false, pathLength: undefined }),
      },
      { oid: ExtensionOid.keyUsage, critical: true, value: keyUsage([Usage.digitalSignature]) },
      {
        oid: ExtensionOid.extendedKeyUsage,
        critical: false,
        value: extendedKeyUsage([Purpose.serverAuth, Purpose.clientAuth]),
      },
      // Critical, because the subject is empty (RFC 5280 §4.2.1.6).
      { oid: ExtensionOid.subjectAltName, critical: true, value: alternativeNames(names) },
      ...keyIdentifiers(publicKey, issuer.keys.publicKey),
    ],
  });
}

/** Joins a private key in PEM (PKCS #8 or SEC 1) with its certificate; they must belong together. */
export function openAuthority(certificate: Certificate, privateKeyPem: string): Authority {
  const keys = openKeyPair(privateKeyPem);
  if (Buffer.compare(keys.publicKey.spki, certificate.publicKey.spki) !== 0) {
    throw new KeyError("the private key is not the certificate's");
  }
  if (certificate.basicConstraints?.ca !== true) throw new KeyError("the certificate is not an authority's");
  return { certificate, keys };
}

/** Reads a private key in PEM. */
export function openKeyPair(privateKeyPem: string): KeyPair {
  const privateKey = openPrivateKey(privateKeyPem);
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}

/** A private key as PKCS #8 in PEM. The caller owns where it goes. */
export function writePrivateKeyPem(keys: KeyPair): string {
  return keys.privateKey.export({ format: "pem", type: "pkcs8" });
}

/** The identifier of a key: the first 160 bits of the SHA-256 of its bits (RFC 7093 §2, method 1). */
export function keyIdentifier(key: PublicKey): Uint8Array {
  return sha256(key.bits).slice(0, 20);
}

type Placing = {
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  readonly signer: KeyPair;
  readonly pathLength: number | undefined;
};

function authority(content: AuthorityContent, { subject, issuer, signer, pathLength }: Placing): Authority {
  const { keys, serial, nowMs, lifeMs } = content;
  const certificate = write({
    nowMs,
    lifeMs,
    serial,
    publicKey: keys.publicKey,
    subject,
    issuer,
    signer,
    extensions: [
      {
        oid: ExtensionOid.basicConstraints,
        critical: true,
        value: basicConstraints({ ca: true, pathLength }),
      },
      { oid: ExtensionOid.keyUsage, critical: true, value: keyUsage([Usage.keyCertSign, Usage.cRLSign]) },
      ...keyIdentifiers(keys.publicKey, signer.publicKey),
    ],
  });
  return { certificate, keys };
}

/** Cuts a life so that it ends no later than the authority's. */
function within<T extends Life>(life: T, { notAfterMs }: Certificate): T {
  const lifeMs = Math.min(life.lifeMs, notAfterMs - life.nowMs);
  if (lifeMs <= 0) throw new DerError("the authority's certificate has ended");
  return { ...life, lifeMs };
}

function keyIdentifiers(subject: PublicKey, issuer: PublicKey): readonly Extension[] {
  const own = subjectKeyIdentifier(keyIdentifier(subject));
  const above = authorityKeyIdentifier(keyIdentifier(issuer));
  return [
    { oid: ExtensionOid.subjectKeyIdentifier, critical: false, value: own },
    { oid: ExtensionOid.authorityKeyIdentifier, critical: false, value: above },
  ];
}

type Writing = Life & {
  readonly serial: Uint8Array;
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  readonly publicKey: PublicKey;
  readonly signer: KeyPair;
  readonly extensions: readonly Extension[];
};

function write(content: Writing): Certificate {
  const { serial, nowMs, lifeMs, skewMs = CLOCK_SKEW_MS } = content;
  if (serial.length !== SERIAL_BYTES || serial.every((byte) => byte === 0)) {
    throw new DerError(`a serial number has ${SERIAL_BYTES} random bytes`);
  }
  const algorithm = signatureIdentifier(content.signer.publicKey.algorithm);
  const tbs = sequence(
    tlv(0xa0, unsigned(Uint8Array.of(2))),
    unsigned(serial),
    algorithm,
    content.issuer,
    sequence(time(nowMs - skewMs), time(nowMs + lifeMs)),
    content.subject,
    content.publicKey.spki,
    tlv(0xa3, sequence(...content.extensions.map((one) => extension(one)))),
  );
  return readCertificate(sequence(tbs, algorithm, bits(signWith(content.signer, tbs))));
}

function openPrivateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new KeyError("not a private key in PEM", { cause });
  }
}
