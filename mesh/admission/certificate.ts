/**
 * The certificate of a webhook as a Secret: what to do with it, decided from the Secret and the time alone, so that any
 * number of replicas come to the same answer. Pure.
 *
 * A rotation has three steps, each one write: the successor is **staged** beside what is served, with its authority in
 * the bundle; once the webhook configuration has carried that bundle for {@link STAGE_MS}, it is **promoted**; and after
 * {@link OVERLAP_MS} more the old authority is **dropped**. At every moment what is served is vouched for by what API
 * servers hold. An authority signs one leaf; its key is never stored.
 */
import { X509Certificate } from "node:crypto";
import {
  CLOCK_SKEW_MS,
  createTrustAnchor,
  issueLeaf,
  openKeyPair,
  randomSerial,
  writePrivateKeyPem,
} from "@hauberk/crypto/issue.ts";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import {
  isIssuedBy,
  readCertificatesPem,
  verifyChain,
  writeCertificatesPem,
  type Certificate,
} from "@hauberk/crypto/certificate.ts";

/** How long a webhook's certificate lives. */
export const LIFE_MS = 365 * 86_400_000;
/** How long before its end a successor is staged: `hauberk check` warns at 60 days. */
export const RENEW_BEFORE_MS = 120 * 86_400_000;
/** How long API servers get to learn of a new authority. They watch webhook configurations, so seconds would do. */
export const STAGE_MS = 10 * 60_000;
/** How long an old authority stays in the bundle after its successor's promotion. */
export const OVERLAP_MS = 86_400_000;

/** Keys of the Secret. The first two are those of a Secret of type kubernetes.io/tls. */
export const KEY = {
  certificates: "tls.crt",
  privateKey: "tls.key",
  bundle: "ca.crt",
  nextCertificates: "next.crt",
  nextPrivateKey: "next.key",
} as const;

/** A Secret's content as text. */
export type SecretText = Readonly<Record<string, string>>;

/** What is served, and by what it is verified. */
export interface Material {
  readonly certificates: string;
  readonly privateKey: string;
  /** In PEM; for a Secret that somebody else keeps it may be unknown. */
  readonly bundle: string | undefined;
}

/** A Secret as it was found. */
export type Found =
  | { readonly type: "absent" }
  /** Made by a control plane. */
  | { readonly type: "ours"; readonly text: SecretText }
  /** Made by somebody else, such as cert-manager: never written. */
  | { readonly type: "foreign"; readonly text: SecretText };

/** A leaf with the authority that signed it. */
export interface Minted {
  readonly certificates: string;
  readonly privateKey: string;
  readonly authority: string;
}

/** Why a Secret is written. */
export type WriteReason = "missing" | "unusable" | "staged" | "promoted" | "dropped";

/** What is to be done. */
export type Decision =
  | { readonly type: "serve"; readonly material: Material }
  /** Write, and look again: another replica may have been faster. */
  | { readonly type: "write"; readonly reason: WriteReason; readonly text: SecretText }
  | { readonly type: "wait"; readonly why: string };

export interface Circumstances {
  readonly nowMs: number;
  /** DNS names under which API servers call the webhook. */
  readonly names: readonly string[];
  /** Whether every webhook configuration carries the whole bundle of the Secret. */
  readonly bundleStands: boolean;
  readonly mint: () => Minted;
}

/** Decides about one Secret. */
export function decide(found: Found, at: Circumstances): Decision {
  switch (found.type) {
    case "absent":
      return begin("missing", at);
    case "foreign":
      return foreign(found.text);
    case "ours": {
      const state = read(found.text, at);
      return state === undefined ? begin("unusable", at) : turn(state, found.text, at);
    }
  }
}

/** Makes an authority of its own and one leaf for `names`; only the leaf's key leaves this function. */
export function mint(names: readonly string[], nowMs: number): Minted {
  const life = { nowMs, lifeMs: LIFE_MS };
  const authority = createTrustAnchor({
    ...life,
    commonName: names[0] ?? "webhook",
    keys: generateKeyPair("ecdsa-p256-sha256"),
    serial: randomSerial(),
  });
  const keys = generateKeyPair("ecdsa-p256-sha256");
  const leaf = issueLeaf(authority, {
    ...life,
    publicKey: keys.publicKey,
    names: names.map((value) => ({ kind: "dns", value }) as const),
    serial: randomSerial(),
  });
  return {
    certificates: writeCertificatesPem([leaf]),
    privateKey: writePrivateKeyPem(keys),
    authority: writeCertificatesPem([authority.certificate]),
  };
}

/** Every certificate of `bundle` in `inside`: compared as certificates, not as text. */
export function carries(inside: string, bundle: string): boolean {
  const present = new Set(fingerprints(inside));
  const wanted = fingerprints(bundle);
  return wanted.length > 0 && wanted.every((one) => present.has(one));
}

interface State {
  readonly leaf: Certificate;
  readonly bundle: readonly Certificate[];
  readonly next: Certificate | undefined;
}

function begin(reason: WriteReason, at: Circumstances): Decision {
  const { certificates, privateKey, authority } = at.mint();
  const text = {
    [KEY.certificates]: certificates,
    [KEY.privateKey]: privateKey,
    [KEY.bundle]: authority,
  };
  return { type: "write", reason, text };
}

function foreign(text: SecretText): Decision {
  const certificates = text[KEY.certificates] ?? "";
  const privateKey = text[KEY.privateKey] ?? "";
  if (certificates === "" || privateKey === "") {
    return { type: "wait", why: `the Secret has no ${KEY.certificates} and ${KEY.privateKey}` };
  }
  const bundle = text[KEY.bundle] ?? "";
  const trusted = bundle === "" ? selfSigned(certificates) : bundle;
  return { type: "serve", material: { certificates, privateKey, bundle: trusted } };
}

/** A certificate that vouches for itself, as Linkerd's charts make them, of whatever algorithm. */
function selfSigned(pem: string): string | undefined {
  try {
    const certificate = new X509Certificate(pem);
    return certificate.checkIssued(certificate) ? certificate.toString() : undefined;
  } catch {
    return undefined;
  }
}

/** The state that a Secret of ours holds; `undefined` where nothing can be served with it. */
function read(text: SecretText, at: Circumstances): State | undefined {
  const bundle = certificates(text[KEY.bundle]).filter(({ notAfterMs }) => at.nowMs <= notAfterMs);
  const leaf = usable(text[KEY.certificates], text[KEY.privateKey], { bundle, at });
  const next = usable(text[KEY.nextCertificates], text[KEY.nextPrivateKey], { bundle, at });
  return leaf === undefined ? undefined : { leaf, bundle, next };
}

function turn(state: State, text: SecretText, at: Circumstances): Decision {
  const { leaf, bundle, next } = state;
  if (next !== undefined) {
    const isKnown = at.bundleStands && at.nowMs >= next.notBeforeMs + CLOCK_SKEW_MS + STAGE_MS;
    return isKnown ? promote(bundle, text) : serve(text);
  }
  if (at.nowMs >= leaf.notAfterMs - RENEW_BEFORE_MS) return stage(leaf, { text, at });
  const needed = bundle.filter((authority) => isIssuedBy(leaf, authority));
  const isOver = at.nowMs >= leaf.notBeforeMs + CLOCK_SKEW_MS + STAGE_MS + OVERLAP_MS;
  if (isOver && needed.length < certificates(text[KEY.bundle]).length) return drop(needed, text);
  return serve(text);
}

function serve(text: SecretText): Decision {
  const certificate = text[KEY.certificates] ?? "";
  const privateKey = text[KEY.privateKey] ?? "";
  return { type: "serve", material: { certificates: certificate, privateKey, bundle: text[KEY.bundle] } };
}

function stage(
  leaf: Certificate,
  { text, at }: { readonly text: SecretText; readonly at: Circumstances },
): Decision {
  const minted = at.mint();
  const kept = certificates(text[KEY.bundle]).filter((authority) => isIssuedBy(leaf, authority));
  return {
    type: "write",
    reason: "staged",
    text: {
      [KEY.certificates]: text[KEY.certificates] ?? "",
      [KEY.privateKey]: text[KEY.privateKey] ?? "",
      [KEY.bundle]: minted.authority + writeCertificatesPem(kept),
      [KEY.nextCertificates]: minted.certificates,
      [KEY.nextPrivateKey]: minted.privateKey,
    },
  };
}

function promote(bundle: readonly Certificate[], text: SecretText): Decision {
  return {
    type: "write",
    reason: "promoted",
    text: {
      [KEY.certificates]: text[KEY.nextCertificates] ?? "",
      [KEY.privateKey]: text[KEY.nextPrivateKey] ?? "",
      [KEY.bundle]: writeCertificatesPem(bundle),
    },
  };
}

function drop(needed: readonly Certificate[], text: SecretText): Decision {
  return {
    type: "write",
    reason: "dropped",
    text: {
      [KEY.certificates]: text[KEY.certificates] ?? "",
      [KEY.privateKey]: text[KEY.privateKey] ?? "",
      [KEY.bundle]: writeCertificatesPem(needed),
    },
  };
}

/** The leaf of `pem`, if it can be served now: in force, for our names, of that key, vouched for by the bundle. */
function usable(
  pem: string | undefined,
  privateKey: string | undefined,
  { bundle, at }: { readonly bundle: readonly Certificate[]; readonly at: Circumstances },
): Certificate | undefined {
  const [leaf] = certificates(pem);
  if (leaf === undefined || privateKey === undefined) return undefined;
  const names = new Set(leaf.names.flatMap((name) => (name.kind === "dns" ? [name.value] : [])));
  const isOurs = at.names.every((name) => names.has(name));
  const verdict = verifyChain({ leaf, intermediates: [], anchors: bundle }, at.nowMs);
  return isOurs && verdict.ok && isKeyOf(privateKey, leaf) ? leaf : undefined;
}

function isKeyOf(privateKey: string, leaf: Certificate): boolean {
  try {
    return Buffer.compare(openKeyPair(privateKey).publicKey.spki, leaf.publicKey.spki) === 0;
  } catch {
    return false;
  }
}

/** The certificates of a PEM text; none if it is anything else. */
function certificates(pem: string | undefined): readonly Certificate[] {
  if (pem === undefined || pem === "") return [];
  try {
    return readCertificatesPem(pem);
  } catch {
    return [];
  }
}

/** Certificates by their bytes, also those of algorithms that we do not use. */
function fingerprints(pem: string): readonly string[] {
  return Array.from(
    pem.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END/g),
    ([, body = ""]) => body.replace(/\s/g, ""),
  );
}
