/** An issuer from somebody else's authority: which certificate is it, does its chain hold, may the mesh use it. */
import { createPublicKey, type KeyObject } from "node:crypto";
import type { AlgorithmName } from "@hauberk/crypto/algorithms.ts";
import { INTERMEDIATES_MAX, writeCertificatesPem, type Certificate } from "@hauberk/crypto/certificate.ts";
import type { Contents } from "@hauberk/crypto/container.ts";
import {
  explainUnfit,
  fitnessOf,
  LIFE_MS_WARN,
  readForeign,
  type Foreign,
  type Unfit,
} from "./certificate-fitness.ts";
import { explainIssuer, openIssuer, type Issuer, type IssuerPem, type IssuerRefusal } from "./issuer.ts";

/** What was found in the issuer's file, and in the file of roots if there is one. */
export interface Offer {
  readonly contents: Contents;
  /** Certificates to be trusted; those of the container that sign themselves if absent. */
  readonly roots: readonly Uint8Array[] | undefined;
}

/** Why nothing was imported. */
export type ImportRefusal =
  | Unfit
  | { readonly code: "not_a_certificate" }
  | { readonly code: "no_certificate" }
  | { readonly code: "no_key" }
  | { readonly code: "several_keys"; readonly count: number }
  | { readonly code: "key_mismatch"; readonly subjects: readonly string[] }
  | { readonly code: "several_issuers"; readonly subjects: readonly string[] }
  | { readonly code: "no_root"; readonly subject: string; readonly issuedBy: string }
  | {
      readonly code: "hash_not_paired";
      readonly subject: string;
      readonly signed: string;
      readonly by: string;
    }
  | { readonly code: "chain_too_long" }
  | {
      readonly code: "path_length";
      readonly subject: string;
      readonly allowed: number;
      readonly below: number;
    }
  | { readonly code: "not_usable"; readonly refusal: IssuerRefusal };

/** What an operator should know of an issuer that was imported. */
export type ImportWarning =
  | { readonly code: "ends_soon"; readonly subject: string; readonly notAfterMs: number }
  | { readonly code: "duplicate"; readonly subject: string }
  | { readonly code: "left_out"; readonly subject: string }
  | { readonly code: "root_key"; readonly subject: string };

/** An issuer that the control plane will take, leaf-most certificate first and the root apart. */
export interface Imported {
  readonly pem: IssuerPem;
  readonly issuer: Issuer;
  readonly warnings: readonly ImportWarning[];
}

export type ImportVerdict =
  | { readonly ok: true; readonly imported: Imported }
  | { readonly ok: false; readonly refusal: ImportRefusal };

/** Judges an offer at `nowMs`. */
export function importIssuer({ contents, roots }: Offer, nowMs: number): ImportVerdict {
  const read = readAll(contents.certificates);
  const given = roots === undefined ? undefined : readAll(roots);
  if (read === undefined || (roots !== undefined && given === undefined))
    return refuse({ code: "not_a_certificate" });
  const key = onlyKey(contents.keys);
  if ("code" in key) return refuse(key);
  const first = issuerAmong(read.certificates, key.spki);
  if ("code" in first) return refuse(first);
  const anchors = given?.certificates ?? read.certificates.filter(signsItself);
  const path = pathFrom(first, { others: read.certificates, anchors }, nowMs);
  if ("code" in path) return refuse(path);
  const { chain, root } = path;
  const trusted = given === undefined ? [root] : trustedOf(given.certificates, nowMs);
  if ("code" in trusted) return refuse(trusted);
  const pem = {
    certificates: writeCertificatesPem(chain),
    privateKey: key.key.export({ format: "pem", type: "pkcs8" }),
    anchors: writeCertificatesPem(trusted),
  };
  // What is printed is held against what will be asked of it.
  const verdict = openIssuer(pem, nowMs);
  if (!verdict.ok) return refuse({ code: "not_usable", refusal: verdict.refusal });
  const used = new Map([...chain, ...trusted].map((one) => [one.fingerprint, one]));
  const duplicates = [...read.duplicates, ...(given?.duplicates ?? [])];
  const warnings: readonly ImportWarning[] = [
    ...[...used.values()].flatMap((one): readonly ImportWarning[] =>
      one.notAfterMs - nowMs < LIFE_MS_WARN
        ? [{ code: "ends_soon", subject: nameOf(one.der), notAfterMs: one.notAfterMs }]
        : [],
    ),
    ...duplicates.map((subject): ImportWarning => ({ code: "duplicate", subject })),
    ...read.certificates
      .filter(({ x509 }) => !used.has(fingerprintOf(x509.fingerprint256)))
      .map(({ subject }): ImportWarning => ({ code: "left_out", subject })),
    ...(signsItself(first) ? [{ code: "root_key", subject: first.subject } as const] : []),
  ];
  return { ok: true, imported: { pem, issuer: verdict.issuer, warnings } };
}

/** What an operator reads: what is wrong, and what to do. */
export function explainImport(refusal: ImportRefusal): string {
  if ("place" in refusal) return explainUnfit(refusal);
  switch (refusal.code) {
    case "not_a_certificate":
      return "a certificate in it cannot be read at all: export it again";
    case "no_certificate":
      return "there is no certificate in it: put the issuer's certificate and chain into the same file";
    case "no_key":
      return "there is no private key in it: export the issuer with its key";
    case "several_keys":
      return `there are ${refusal.count} private keys in it: leave only the issuer's`;
    case "key_mismatch":
      return `the private key is of none of its certificates (${refusal.subjects.join("; ")}): give the certificate that belongs to the key`;
    case "several_issuers":
      return `several certificates are of the same key (${refusal.subjects.join("; ")}): leave the one that is to issue`;
    case "no_root":
      return `the chain ends at ${refusal.subject}, issued by ${refusal.issuedBy}, which is not there: add what lies between, or name the root's file`;
    case "hash_not_paired":
      return `${refusal.subject} is signed in the way of ${refusal.signed} by a key of ${refusal.by}: have it signed with the hash of that curve (SHA-256 for P-256, SHA-384 for P-384)`;
    case "chain_too_long":
      return `more than ${INTERMEDIATES_MAX} certificates lie between the issuer and its root: have the issuer signed nearer to the root`;
    case "path_length":
      return `${refusal.subject} allows ${refusal.allowed} authorities below it (path length), and there are ${refusal.below}: have the issuer signed higher, or that one issued with a longer path`;
    case "not_usable":
      return `${explainIssuer(refusal.refusal)}: have it issued without that`;
  }
}

/** What an operator reads of a warning. */
export function explainWarning(warning: ImportWarning): string {
  switch (warning.code) {
    case "ends_soon":
      return `${warning.subject} ends at ${new Date(warning.notAfterMs).toISOString()}: have its successor ready`;
    case "duplicate":
      return `${warning.subject} stands there twice; it is used once`;
    case "left_out":
      return `${warning.subject} is not on the way to the root; it is left out`;
    case "root_key":
      return `${warning.subject} is a root itself: its key would lie in the cluster. An issuer below it is safer`;
  }
}

interface Read {
  readonly certificates: readonly Foreign[];
  readonly duplicates: readonly string[];
}

/** Every certificate once, in the order of the file; `undefined` if one is none. */
function readAll(ders: readonly Uint8Array[]): Read | undefined {
  const certificates = new Map<string, Foreign>();
  const duplicates: string[] = [];
  for (const der of ders) {
    const foreign = readForeign(der);
    if (foreign === undefined) return undefined;
    const { fingerprint256 } = foreign.x509;
    if (certificates.has(fingerprint256)) duplicates.push(foreign.subject);
    certificates.set(fingerprint256, foreign);
  }
  return { certificates: [...certificates.values()], duplicates };
}

function onlyKey(
  keys: readonly KeyObject[],
): { readonly key: KeyObject; readonly spki: Buffer } | ImportRefusal {
  const distinct = new Map(keys.map((key) => [spkiOf(createPublicKey(key)).toString("hex"), key]));
  const [key] = distinct.values();
  if (key === undefined) return { code: "no_key" };
  if (distinct.size > 1) return { code: "several_keys", count: distinct.size };
  return { key, spki: spkiOf(createPublicKey(key)) };
}

/** The certificate of the key. */
function issuerAmong(certificates: readonly Foreign[], spki: Buffer): Foreign | ImportRefusal {
  if (certificates.length === 0) return { code: "no_certificate" };
  const own = certificates.filter(({ x509 }) => isKeyOf(x509, spki));
  const [first, ...more] = own;
  if (first === undefined) return { code: "key_mismatch", subjects: certificates.map(subjectOf) };
  return more.length === 0 ? first : { code: "several_issuers", subjects: own.map(subjectOf) };
}

interface Around {
  readonly others: readonly Foreign[];
  readonly anchors: readonly Foreign[];
}

interface Path {
  readonly chain: readonly Certificate[];
  readonly root: Certificate;
}

/** Goes up from the issuer to the first root, and judges each certificate in its place. */
function pathFrom(first: Foreign, { others, anchors }: Around, nowMs: number): Path | ImportRefusal {
  const chain: Certificate[] = [];
  let current = first;
  for (let below = 0; below <= INTERMEDIATES_MAX; below += 1) {
    const isAnchor = anchors.some(({ x509 }) => x509.fingerprint256 === current.x509.fingerprint256);
    const place = below === 0 ? "issuer" : isAnchor ? "root" : "intermediate";
    const judged = judgeAt(current, { place, below }, nowMs);
    if ("code" in judged) return judged;
    chain.push(judged);
    if (isAnchor) return { chain: below === 0 ? chain : chain.slice(0, -1), root: judged };
    const above = aboveOf(current, anchors) ?? aboveOf(current, others);
    if (above === undefined) {
      const issuedBy = current.x509.issuer.replaceAll("\n", ", ");
      return { code: "no_root", subject: current.subject, issuedBy };
    }
    const unpaired = judgePair(judged, current, above);
    if (unpaired !== undefined) return unpaired;
    current = above;
  }
  const end = judgeAt(current, { place: "root", below: INTERMEDIATES_MAX + 1 }, nowMs);
  if ("code" in end) return end;
  const isRoot = anchors.some(({ x509 }) => x509.fingerprint256 === current.x509.fingerprint256);
  return isRoot ? { chain, root: end } : { code: "chain_too_long" };
}

/** The mesh verifies each curve with one hash, whatever else would fit. */
function judgePair(judged: Certificate, current: Foreign, above: Foreign): ImportRefusal | undefined {
  const signed = judged.signatureAlgorithm.name;
  const { asymmetricKeyDetails } = above.x509.publicKey;
  const by = PAIRS.get(asymmetricKeyDetails?.namedCurve ?? "");
  if (by === undefined || by === signed) return undefined;
  return { code: "hash_not_paired", subject: current.subject, signed, by };
}

const PAIRS: ReadonlyMap<string, AlgorithmName> = new Map([
  ["prime256v1", "ecdsa-p256-sha256"],
  ["secp384r1", "ecdsa-p384-sha384"],
]);

function judgeAt(
  foreign: Foreign,
  { place, below }: { readonly place: Unfit["place"]; readonly below: number },
  nowMs: number,
): Certificate | ImportRefusal {
  const fitness = fitnessOf(foreign, place, nowMs);
  if (!fitness.ok) return fitness.unfit;
  const allowed = fitness.certificate.basicConstraints?.pathLength;
  return allowed !== undefined && below > allowed
    ? { code: "path_length", subject: foreign.subject, allowed, below }
    : fitness.certificate;
}

/** Another certificate that names itself as the issuer and whose key made the signature. */
function aboveOf(current: Foreign, among: readonly Foreign[]): Foreign | undefined {
  return among.find(
    (one) => one.x509.fingerprint256 !== current.x509.fingerprint256 && isSignedBy(current, one),
  );
}

function isSignedBy({ x509 }: Foreign, above: Foreign): boolean {
  try {
    return x509.issuer === above.x509.subject && x509.verify(above.x509.publicKey);
  } catch {
    return false;
  }
}

/** Everything of the roots' file has to be fit to be trusted, not only what this issuer leads to. */
function trustedOf(roots: readonly Foreign[], nowMs: number): readonly Certificate[] | ImportRefusal {
  const trusted: Certificate[] = [];
  for (const root of roots) {
    const fitness = fitnessOf(root, "root", nowMs);
    if (!fitness.ok) return fitness.unfit;
    trusted.push(fitness.certificate);
  }
  return trusted;
}

function signsItself(one: Foreign): boolean {
  return isSignedBy(one, one);
}

function isKeyOf(x509: Foreign["x509"], spki: Buffer): boolean {
  try {
    return spkiOf(x509.publicKey).equals(spki);
  } catch {
    return false;
  }
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ format: "der", type: "spki" });
}

function subjectOf({ subject }: Foreign): string {
  return subject;
}

function nameOf(der: Uint8Array): string {
  return readForeign(der)?.subject ?? "";
}

function fingerprintOf(fingerprint256: string): string {
  return fingerprint256.replaceAll(":", "").toLowerCase();
}

function refuse(refusal: ImportRefusal): ImportVerdict {
  return { ok: false, refusal };
}
