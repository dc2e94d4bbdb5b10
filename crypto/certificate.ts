/** X.509 certificates (RFC 5280): read strictly, compared by bytes, chains checked as the proxies check them. */

import { readPublicKey, readSignatureIdentifier, verifyWith } from "./algorithms.ts";
import type { Algorithm, PublicKey } from "./algorithms.ts";
import { DerError, DerReader, readBits, readOnly, readSmall, readTime, readUnsigned, Tag } from "./der.ts";
import { sha256 } from "./digest.ts";
import {
  ExtensionOid,
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtendedKeyUsage,
} from "./extensions.ts";
import { readExtensions, readKeyUsage, readSubjectKeyIdentifier, Usage } from "./extensions.ts";
import type { BasicConstraints, Extension } from "./extensions.ts";
import { readAlternativeNames, readDistinguishedName } from "./names.ts";
import type { AlternativeName, DistinguishedName } from "./names.ts";
import { readPemOf, writePem } from "./pem.ts";

const EXPLICIT_VERSION = 0xa0;
const EXPLICIT_EXTENSIONS = 0xa3;

/** Most certificates between a leaf and its anchor. */
export const INTERMEDIATES_MAX = 4;

/** A certificate of ours: read, not yet verified against anything. */
export type Certificate = {
  readonly der: Uint8Array;
  /** The signed part. */
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
  readonly signatureAlgorithm: Algorithm;
  /** Magnitude of the serial number. */
  readonly serial: Uint8Array;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly publicKey: PublicKey;
  readonly extensions: readonly Extension[];
  readonly names: readonly AlternativeName[];
  readonly basicConstraints: BasicConstraints | undefined;
  readonly keyUsage: readonly number[] | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  readonly authorityKeyIdentifier: Uint8Array | undefined;
  /** SHA-256 of the encoding: how a certificate is named in logs and metrics. */
  readonly fingerprint: string;
};

/** Reads one certificate in DER. Throws `DerError` or `KeyError` for anything that is not one of ours. */
export function readCertificate(der: Uint8Array): Certificate {
  const outer = new DerReader(readOnly(der, Tag.sequence).body);
  const tbs = outer.next(Tag.sequence);
  const signatureAlgorithm = readSignatureIdentifier(outer);
  const signature = readBits(outer.next(Tag.bitString)).slice();
  outer.end();
  if (signatureAlgorithm === undefined) throw new DerError("signed with an algorithm that is not permitted");

  const reader = new DerReader(tbs.body);
  const version = reader.inside(EXPLICIT_VERSION);
  if (readSmall(version.next(Tag.integer)) !== 2)
    throw new DerError("a certificate of another version than 3");
  version.end();
  const serial = readUnsigned(reader.next(Tag.integer)).slice();
  if (readSignatureIdentifier(reader) !== signatureAlgorithm)
    throw new DerError("two different signature algorithms");
  const issuer = readDistinguishedName(reader.next(Tag.sequence).raw);
  const validity = reader.inside(Tag.sequence);
  const notBeforeMs = readTime(validity.any());
  const notAfterMs = readTime(validity.any());
  validity.end();
  const subject = readDistinguishedName(reader.next(Tag.sequence).raw);
  const publicKey = readPublicKey(reader.next(Tag.sequence).raw);
  const wrapped = reader.optional(EXPLICIT_EXTENSIONS);
  reader.end();
  const extensions = wrapped === undefined ? [] : readExtensions(wrapped.body);
  const value = <T>(oid: string, read: (value: Uint8Array) => T): T | undefined => {
    const found = extensions.find((extension) => extension.oid === oid);
    return found === undefined ? undefined : read(found.value);
  };
  return {
    der: der.slice(),
    tbs: tbs.raw.slice(),
    signature,
    signatureAlgorithm,
    serial,
    issuer,
    subject,
    notBeforeMs,
    notAfterMs,
    publicKey,
    extensions,
    names: value(ExtensionOid.subjectAltName, readAlternativeNames) ?? [],
    basicConstraints: value(ExtensionOid.basicConstraints, readBasicConstraints),
    keyUsage: value(ExtensionOid.keyUsage, readKeyUsage),
    extendedKeyUsage: value(ExtensionOid.extendedKeyUsage, readExtendedKeyUsage),
    subjectKeyIdentifier: value(ExtensionOid.subjectKeyIdentifier, readSubjectKeyIdentifier),
    authorityKeyIdentifier: value(ExtensionOid.authorityKeyIdentifier, readAuthorityKeyIdentifier),
    fingerprint: Buffer.from(sha256(der)).toString("hex"),
  };
}

/** Reads the certificates of a PEM file, at least one. */
export function readCertificatesPem(pem: string): readonly Certificate[] {
  return readPemOf(pem, "CERTIFICATE").map((der) => readCertificate(der));
}

/** Writes certificates as PEM, in the order given. */
export function writeCertificatesPem(certificates: readonly Certificate[]): string {
  return certificates.map((certificate) => writePem("CERTIFICATE", certificate.der)).join("");
}

/** Why a certificate is not accepted under another. */
export type ChainRefusal =
  | { readonly code: "not_yet_valid"; readonly fingerprint: string; readonly notBeforeMs: number }
  | { readonly code: "expired"; readonly fingerprint: string; readonly notAfterMs: number }
  | { readonly code: "not_an_authority"; readonly fingerprint: string }
  | { readonly code: "path_too_long"; readonly fingerprint: string }
  | { readonly code: "unknown_extension"; readonly fingerprint: string; readonly oid: string }
  | { readonly code: "no_anchor"; readonly fingerprint: string };

/** What an operator reads. Certificates are named by the first digits of their fingerprint. */
export function explainChain(refusal: ChainRefusal): string {
  const which = `certificate ${refusal.fingerprint.slice(0, 16)}`;
  switch (refusal.code) {
    case "not_yet_valid":
      return `${which} is valid only from ${new Date(refusal.notBeforeMs).toISOString()}`;
    case "expired":
      return `${which} ended at ${new Date(refusal.notAfterMs).toISOString()}`;
    case "not_an_authority":
      return `${which} may not sign others`;
    case "path_too_long":
      return `${which} has more authorities below it than it allows`;
    case "unknown_extension":
      return `${which} has the critical extension ${refusal.oid}, which is not understood`;
    case "no_anchor":
      return `${which} was not signed by a trust anchor`;
  }
}

/** A verified path, from the certificate to the anchor that vouches for it. */
export type ChainVerdict =
  | { readonly ok: true; readonly anchor: Certificate }
  | { readonly ok: false; readonly refusal: ChainRefusal };

/** A certificate, what was sent with it, and what is trusted. */
export type Chain = {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
  readonly anchors: readonly Certificate[];
};

/** Whether `certificate` was signed by the key of `issuer` and names it. Validity and constraints are not looked at. */
export function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return (
    Buffer.compare(certificate.issuer.der, issuer.subject.der) === 0 &&
    certificate.signatureAlgorithm === issuer.publicKey.algorithm &&
    verifyWith(issuer.publicKey, certificate.tbs, certificate.signature)
  );
}

/** Follows a chain to an anchor at `nowMs`. Intermediates may stand in any order; a wrong one is not used. */
export function verifyChain({ leaf, intermediates, anchors }: Chain, nowMs: number): ChainVerdict {
  let current = leaf;
  let unused = intermediates.slice(0, INTERMEDIATES_MAX);
  for (let below = 0; below <= INTERMEDIATES_MAX; below += 1) {
    const refusal = refuse(current, { nowMs, authoritiesBelow: below === 0 ? undefined : below - 1 });
    if (refusal !== undefined) return { ok: false, refusal };
    const anchor = anchors.find((one) => one.fingerprint === current.fingerprint || isIssuedBy(current, one));
    if (anchor !== undefined) {
      const own = anchor.fingerprint === current.fingerprint;
      const wrong = own ? undefined : refuse(anchor, { nowMs, authoritiesBelow: below });
      return wrong === undefined ? { ok: true, anchor } : { ok: false, refusal: wrong };
    }
    const next = unused.find((one) => isIssuedBy(current, one));
    if (next === undefined)
      return { ok: false, refusal: { code: "no_anchor", fingerprint: current.fingerprint } };
    unused = unused.filter((one) => one !== next);
    current = next;
  }
  return { ok: false, refusal: { code: "path_too_long", fingerprint: current.fingerprint } };
}

const UNDERSTOOD: ReadonlySet<string> = new Set([
  ExtensionOid.basicConstraints,
  ExtensionOid.keyUsage,
  ExtensionOid.extendedKeyUsage,
  ExtensionOid.subjectAltName,
]);

function refuse(
  certificate: Certificate,
  at: { readonly nowMs: number; readonly authoritiesBelow: number | undefined },
): ChainRefusal | undefined {
  const { fingerprint, notBeforeMs, notAfterMs, keyUsage } = certificate;
  if (at.nowMs < notBeforeMs) return { code: "not_yet_valid", fingerprint, notBeforeMs };
  if (at.nowMs > notAfterMs) return { code: "expired", fingerprint, notAfterMs };
  const unknown = certificate.extensions.find(
    (extension) => extension.critical && !UNDERSTOOD.has(extension.oid),
  );
  if (unknown !== undefined) return { code: "unknown_extension", fingerprint, oid: unknown.oid };
  if (at.authoritiesBelow === undefined) return undefined;
  const { ca, pathLength } = certificate.basicConstraints ?? { ca: false, pathLength: undefined };
  if (!ca || (keyUsage !== undefined && !keyUsage.includes(Usage.keyCertSign))) {
    return { code: "not_an_authority", fingerprint };
  }
  if (pathLength !== undefined && at.authoritiesBelow > pathLength)
    return { code: "path_too_long", fingerprint };
  return undefined;
}
