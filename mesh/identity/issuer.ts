/** The mesh's issuer and trust anchors: opened from PEM, made for standalone mode, judged before they are used. */
import { DerError } from "@hauberk/crypto/der.ts";
import {
  explainChain,
  readCertificatesPem,
  verifyChain,
  writeCertificatesPem,
  type Certificate,
  type ChainRefusal,
} from "@hauberk/crypto/certificate.ts";
import { generateKeyPair, KeyError, type AlgorithmName } from "@hauberk/crypto/algorithms.ts";
import {
  createIssuer,
  createTrustAnchor,
  openAuthority,
  randomSerial,
  writePrivateKeyPem,
  type Authority,
} from "@hauberk/crypto/issue.ts";
import { PemError } from "@hauberk/crypto/pem.ts";
import type { IdentityDomain } from "../model/identity.ts";

/** An issuer that leads to an anchor. */
export interface Issuer {
  readonly authority: Authority;
  /** What a leaf is sent with: the issuer, then what lies between it and the anchor. */
  readonly chain: readonly Certificate[];
  /** Everything the mesh trusts, not only what this issuer leads to. */
  readonly anchors: readonly Certificate[];
}

/** The files of Linkerd's `linkerd-identity-issuer` secret and trust root config map, as text. */
export interface IssuerPem {
  /** `crt.pem`: the issuer, then further intermediates if any. */
  readonly certificates: string;
  /** `key.pem`. */
  readonly privateKey: string;
  /** `ca-bundle.crt`. */
  readonly anchors: string;
}

/** Why an issuer cannot be used. */
export type IssuerRefusal =
  | { readonly code: "unreadable"; readonly detail: string }
  | { readonly code: "not_trusted"; readonly chain: ChainRefusal };

export type IssuerVerdict =
  | { readonly ok: true; readonly issuer: Issuer }
  | { readonly ok: false; readonly refusal: IssuerRefusal };

/** Opens an issuer and follows it to one of the anchors at `nowMs`. */
export function openIssuer(pem: IssuerPem, nowMs: number): IssuerVerdict {
  try {
    const [first, ...others] = readCertificatesPem(pem.certificates);
    const anchors = readCertificatesPem(pem.anchors);
    if (first === undefined) return unreadable("no certificate");
    const authority = openAuthority(first, pem.privateKey);
    const verdict = verifyChain({ leaf: first, intermediates: others, anchors }, nowMs);
    if (!verdict.ok) return { ok: false, refusal: { code: "not_trusted", chain: verdict.refusal } };
    // A proxy that holds the anchor does not need to be sent it.
    const chain = [first, ...others].filter((one) => one.fingerprint !== verdict.anchor.fingerprint);
    return { ok: true, issuer: { authority, chain, anchors } };
  } catch (error) {
    const isExpected = error instanceof DerError || error instanceof KeyError || error instanceof PemError;
    if (isExpected) return unreadable(error.message);
    throw error;
  }
}

/** What an operator reads. */
export function explainIssuer(refusal: IssuerRefusal): string {
  switch (refusal.code) {
    case "unreadable":
      return `the issuer cannot be read: ${refusal.detail}`;
    case "not_trusted":
      return `the issuer does not lead to a trust anchor: ${explainChain(refusal.chain)}`;
  }
}

/** How long the certificates of a new mesh live. */
export interface AuthorityLife {
  readonly nowMs: number;
  readonly anchorLifeMs: number;
  readonly issuerLifeMs: number;
}

/** Ten years for the anchor and one for the issuer: the values of Linkerd's own guide. */
export const ANCHOR_LIFE_MS = 3650 * 24 * 3_600_000;
export const ISSUER_LIFE_MS = 365 * 24 * 3_600_000;

/** A new anchor with an issuer below it, as files. The anchor's key is apart: the mesh does not need it to run. */
export interface NewAuthority {
  readonly issuer: IssuerPem;
  readonly anchorPrivateKey: string;
}

/** Makes the authority of a new mesh, with Linkerd's names. */
export function createAuthority(
  { trustDomain, controlPlaneNamespace }: IdentityDomain,
  { nowMs, anchorLifeMs, issuerLifeMs }: AuthorityLife,
  algorithm: AlgorithmName = "ecdsa-p256-sha256",
): NewAuthority {
  const anchor = createTrustAnchor({
    commonName: `root.${controlPlaneNamespace}.${trustDomain}`,
    keys: generateKeyPair(algorithm),
    serial: randomSerial(),
    nowMs,
    lifeMs: anchorLifeMs,
  });
  const issuer = createIssuer(anchor, {
    commonName: `identity.${controlPlaneNamespace}.${trustDomain}`,
    keys: generateKeyPair(algorithm),
    serial: randomSerial(),
    nowMs,
    lifeMs: issuerLifeMs,
  });
  return {
    issuer: {
      certificates: writeCertificatesPem([issuer.certificate]),
      privateKey: writePrivateKeyPem(issuer.keys),
      anchors: writeCertificatesPem([anchor.certificate]),
    },
    anchorPrivateKey: writePrivateKeyPem(anchor.keys),
  };
}

function unreadable(detail: string): IssuerVerdict {
  return { ok: false, refusal: { code: "unreadable", detail } };
}
