/** Whether a certificate of somebody else's authority can stand in the mesh's chain: each rule by its name. */
import { X509Certificate, type KeyObject } from "node:crypto";
import { ALGORITHMS, KeyError } from "@hauberk/crypto/algorithms.ts";
import { readCertificate, type Certificate } from "@hauberk/crypto/certificate.ts";
import { DerError, DerReader, readOnly, Tag } from "@hauberk/crypto/der.ts";
import { ExtensionOid, Purpose, Usage } from "@hauberk/crypto/extensions.ts";
import { LEAF_LIFE_MS } from "./certify.ts";

/** Less than this is left: it is told, so that a successor is on its way in time. */
export const LIFE_MS_WARN = 60 * 24 * 3_600_000;

/** Less than this is refused: a leaf begun today and one more would outlive its issuer. */
export const LIFE_MS_MIN = 2 * LEAF_LIFE_MS;

/** Fewest bits of an RSA key that anybody should still meet. */
const RSA_BITS_MIN = 2048;

/** Where a certificate stands. */
export type Place = "issuer" | "intermediate" | "root";

/** Why a certificate cannot stand where it does. `subject` names it as the authority's own tools do. */
export type Unfit = { readonly subject: string; readonly place: Place } & (
  | { readonly code: "unreadable_certificate"; readonly detail: string }
  | { readonly code: "weak_key"; readonly key: string }
  | { readonly code: "rsa_key"; readonly key: string }
  | { readonly code: "key_not_used"; readonly key: string }
  | { readonly code: "weak_signature"; readonly algorithm: string }
  | { readonly code: "signature_not_used"; readonly algorithm: string }
  | { readonly code: "not_an_authority" }
  | { readonly code: "may_not_sign" }
  | { readonly code: "purposes_too_narrow" }
  | { readonly code: "uri_name_constraint" }
  | { readonly code: "name_constraint" }
  | { readonly code: "not_yet_valid"; readonly notBeforeMs: number }
  | { readonly code: "expired"; readonly notAfterMs: number }
  | { readonly code: "life_too_short"; readonly notAfterMs: number }
);

/** What can be told of any certificate, whether or not it is of a kind of ours. */
export interface Foreign {
  readonly der: Uint8Array;
  readonly subject: string;
  readonly x509: X509Certificate;
}

/** Reads a certificate of whatever kind; `undefined` where it is none. */
export function readForeign(der: Uint8Array): Foreign | undefined {
  try {
    const x509 = new X509Certificate(der);
    return { der, subject: x509.subject.replaceAll("\n", ", ") || "(no subject)", x509 };
  } catch {
    return undefined;
  }
}

export type Fitness =
  | { readonly ok: true; readonly certificate: Certificate }
  | { readonly ok: false; readonly unfit: Unfit };

/** Judges one certificate for its place; what its chain allows is not looked at. */
export function fitnessOf(foreign: Foreign, place: Place, nowMs: number): Fitness {
  const where = { subject: foreign.subject, place };
  const unused = judgeKey(publicKeyOf(foreign)) ?? judgeSignature(foreign.x509);
  if (unused !== undefined) return { ok: false, unfit: { ...where, ...unused } };
  try {
    const certificate = readCertificate(foreign.der);
    const unfit = judgeContent(certificate) ?? judgeLife(certificate, nowMs);
    return unfit === undefined ? { ok: true, certificate } : { ok: false, unfit: { ...where, ...unfit } };
  } catch (error) {
    if (!(error instanceof DerError || error instanceof KeyError)) throw error;
    return { ok: false, unfit: { ...where, code: "unreadable_certificate", detail: error.message } };
  }
}

/** What an operator reads: which certificate, what is wrong, and what to do. */
export function explainUnfit(unfit: Unfit): string {
  return `the ${unfit.place}'s certificate (${unfit.subject}) ${said(unfit)}`;
}

function said(unfit: Unfit): string {
  switch (unfit.code) {
    case "unreadable_certificate":
      return `is not written as RFC 5280 asks, ${unfit.detail}: have it issued again`;
    case "weak_key":
      return `has the weak key ${unfit.key}: have it issued for ECDSA P-256`;
    case "rsa_key":
      return `has the key ${unfit.key}: the mesh signs and verifies its chain with ECDSA; have an ECDSA P-256 authority made for it`;
    case "key_not_used":
      return `has the key ${unfit.key}, which proxies do not verify with: have it issued for ECDSA P-256 or P-384`;
    case "weak_signature":
      return `is signed with ${unfit.algorithm}, which can be forged: have it issued again with SHA-256`;
    case "signature_not_used":
      return `is signed with ${unfit.algorithm}, which the mesh does not verify: have it signed by an ECDSA P-256 or P-384 authority`;
    case "not_an_authority":
      return "is no authority's (basic constraints without CA): have it issued from the template of a subordinate authority";
    case "may_not_sign":
      return "may not sign certificates (key usage without keyCertSign): have it issued from the template of a subordinate authority";
    case "purposes_too_narrow":
      return "is limited to purposes (extended key usage) other than server and client together: have it issued without them";
    case "uri_name_constraint":
      return "has name constraints on URIs, under which proxies refuse every SPIFFE identity: have it issued without them";
    case "name_constraint":
      return "has name constraints, which the mesh does not evaluate: have it issued without them";
    case "not_yet_valid":
      return `is valid only from ${iso(unfit.notBeforeMs)}: wait, or set this machine's clock`;
    case "expired":
      return `ended at ${iso(unfit.notAfterMs)}: have it renewed`;
    case "life_too_short":
      return `ends at ${iso(unfit.notAfterMs)}, less than ${LIFE_MS_MIN / 3_600_000} hours from now: have it renewed`;
  }
}

/** A part of {@link Unfit} without its place. */
type Fault = Unfit extends infer One ? (One extends Unfit ? Omit<One, "subject" | "place"> : never) : never;

function publicKeyOf({ x509 }: Foreign): KeyObject | undefined {
  try {
    return x509.publicKey;
  } catch {
    return undefined;
  }
}

/** P-256 and P-384. */
const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1"]);

/** Curves that are sound, but not used: everything else is smaller, or not in FIPS 186-5. */
const SOUND_CURVES: ReadonlySet<string> = new Set(["secp521r1"]);

/** Judges a key of an authority. Pure. */
function judgeKey(key: KeyObject | undefined): Fault | undefined {
  const details = key?.asymmetricKeyDetails ?? {};
  const kind = key?.asymmetricKeyType ?? "of an unknown kind";
  if (kind === "ed25519") return undefined;
  if (kind === "dsa") return { code: "weak_key", key: "DSA" };
  if (kind === "rsa" || kind === "rsa-pss") {
    const bits = details.modulusLength ?? 0;
    return { code: bits < RSA_BITS_MIN ? "weak_key" : "rsa_key", key: `RSA of ${bits} bits` };
  }
  if (kind !== "ec") return { code: "key_not_used", key: kind };
  const curve = details.namedCurve ?? "of an unnamed curve";
  if (CURVES.has(curve)) return undefined;
  return { code: SOUND_CURVES.has(curve) ? "key_not_used" : "weak_key", key: `EC ${curve}` };
}

/** Signatures over hashes for which collisions are made (RFC 8017, RFC 3279, RFC 5758). */
const BROKEN_SIGNATURES: ReadonlyMap<string, string> = new Map([
  ["1.2.840.113549.1.1.2", "RSA with MD2"],
  ["1.2.840.113549.1.1.3", "RSA with MD4"],
  ["1.2.840.113549.1.1.4", "RSA with MD5"],
  ["1.2.840.113549.1.1.5", "RSA with SHA-1"],
  ["1.2.840.10045.4.1", "ECDSA with SHA-1"],
  ["1.2.840.10040.4.3", "DSA with SHA-1"],
]);

const USED_SIGNATURES: ReadonlySet<string> = new Set(
  [ALGORITHMS["ecdsa-p256-sha256"], ALGORITHMS["ecdsa-p384-sha384"], ALGORITHMS.ed25519].map(
    ({ signatureOid }) => signatureOid,
  ),
);

function judgeSignature({
  signatureAlgorithmOid: oid,
  signatureAlgorithm,
}: X509Certificate): Fault | undefined {
  const broken = BROKEN_SIGNATURES.get(oid);
  if (broken !== undefined) return { code: "weak_signature", algorithm: broken };
  return USED_SIGNATURES.has(oid)
    ? undefined
    : { code: "signature_not_used", algorithm: signatureAlgorithm ?? oid };
}

function judgeContent(certificate: Certificate): Fault | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage: purposes } = certificate;
  if (basicConstraints?.ca !== true) return { code: "not_an_authority" };
  if (keyUsage !== undefined && !keyUsage.includes(Usage.keyCertSign)) return { code: "may_not_sign" };
  const isNarrow = purposes !== undefined && !Object.values(Purpose).every((one) => purposes.includes(one));
  if (isNarrow) return { code: "purposes_too_narrow" };
  const constraints = certificate.extensions.find(({ oid }) => oid === ExtensionOid.nameConstraints);
  if (constraints === undefined) return undefined;
  return { code: constrainsUris(constraints.value) ? "uri_name_constraint" : "name_constraint" };
}

function judgeLife({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): Fault | undefined {
  if (nowMs < notBeforeMs) return { code: "not_yet_valid", notBeforeMs };
  if (nowMs > notAfterMs) return { code: "expired", notAfterMs };
  return notAfterMs - nowMs < LIFE_MS_MIN ? { code: "life_too_short", notAfterMs } : undefined;
}

const URI_NAME = 0x86;

/** Whether NameConstraints (RFC 5280 §4.2.1.10), permitting or excluding, say anything of URIs. */
function constrainsUris(value: Uint8Array): boolean {
  const lists = new DerReader(readOnly(value, Tag.sequence).body);
  while (!lists.done) {
    const subtrees = new DerReader(lists.any().body);
    while (!subtrees.done) if (subtrees.inside(Tag.sequence).any().tag === URI_NAME) return true;
  }
  return false;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
