/** What a proxy says it trusts, proven by the key of its certificate. Pure. */
import { KeyError, verifyWith } from "@hauberk/crypto/algorithms.ts";
import {
  INTERMEDIATES_MAX,
  isIssuedBy,
  readCertificate,
  verifyChain,
  type Certificate,
} from "@hauberk/crypto/certificate.ts";
import { DerError } from "@hauberk/crypto/der.ts";

/** What a report's signature begins with, so that it can stand for nothing else. */
const CONTEXT = Buffer.from("hauberk trust report v1\n", "latin1");

/** Bytes of a SHA-256 digest. */
const DIGEST_BYTES = 32;

/** Most bytes of one certificate of a report. Ours have 700. */
const CERTIFICATE_BYTES_MAX = 16 * 1024;

/** A report as it came. */
export interface TrustReport {
  readonly workload: string;
  readonly bundle: Uint8Array;
  readonly chain: readonly Uint8Array[];
  readonly signature: Uint8Array;
}

/** What a proxy was shown to trust and to be certified by. */
export interface ProvenTrust {
  /** Digest of its bundle, in hexadecimal: `TrustBundle.digest`. */
  readonly bundle: string;
  /** Fingerprint of the certificate that issued its own. */
  readonly issuer: string;
  readonly notAfterMs: number;
}

/** Why a report proves nothing. */
export type ReportRefusal =
  | { readonly code: "malformed"; readonly detail: string }
  | { readonly code: "not_trusted" }
  | { readonly code: "foreign_identity"; readonly expected: string }
  | { readonly code: "signature" };

export type ReportVerdict =
  | { readonly ok: true; readonly proven: ProvenTrust }
  | { readonly ok: false; readonly refusal: ReportRefusal };

/** Holds a report against the anchors of the mesh, and against the name that the workload has. */
export function judgeReport(
  report: TrustReport,
  expected: {
    readonly anchors: readonly Certificate[];
    /** A DNS-like name or a SPIFFE ID. */
    readonly identity: string;
    readonly nowMs: number;
  },
): ReportVerdict {
  const { bundle, chain, signature, workload } = report;
  if (bundle.length !== DIGEST_BYTES) return malformed("the bundle's digest has another length");
  if (chain.length === 0 || chain.length > INTERMEDIATES_MAX + 1) return malformed("the chain's length");
  const read = readChain(chain);
  if (typeof read === "string") return malformed(read);
  const { leaf, intermediates } = read;
  if (!leaf.names.some((name) => name.kind !== "other" && name.value === expected.identity)) {
    return { ok: false, refusal: { code: "foreign_identity", expected: expected.identity } };
  }
  const signed = Buffer.concat([CONTEXT, bundle, Buffer.from(workload, "utf8")]);
  if (!verifyWith(leaf.publicKey, signed, signature)) return { ok: false, refusal: { code: "signature" } };
  const verdict = verifyChain({ leaf, intermediates, anchors: expected.anchors }, expected.nowMs);
  const issuer = [...intermediates, ...expected.anchors].find((one) => isIssuedBy(leaf, one));
  if (!verdict.ok || issuer === undefined) return { ok: false, refusal: { code: "not_trusted" } };
  const proven = {
    bundle: Buffer.from(bundle).toString("hex"),
    issuer: issuer.fingerprint,
    notAfterMs: leaf.notAfterMs,
  };
  return { ok: true, proven };
}

/** The sentence that the proxy's log and ours carry. */
export function explainReport(refusal: ReportRefusal): string {
  switch (refusal.code) {
    case "malformed":
      return `the report is malformed: ${refusal.detail}`;
    case "not_trusted":
      return "the certificate does not lead to an anchor of the mesh";
    case "foreign_identity":
      return `the certificate is not that of ${refusal.expected}`;
    case "signature":
      return "the report is not signed with the certificate's key";
  }
}

function readChain(
  chain: readonly Uint8Array[],
): { readonly leaf: Certificate; readonly intermediates: readonly Certificate[] } | string {
  if (chain.some((der) => der.length > CERTIFICATE_BYTES_MAX)) return "a certificate is too large";
  try {
    const [leaf, ...intermediates] = chain.map((der) => readCertificate(der));
    return leaf === undefined ? "there is no certificate" : { leaf, intermediates };
  } catch (error) {
    if (error instanceof DerError || error instanceof KeyError) return error.message;
    throw error;
  }
}

function malformed(detail: string): ReportVerdict {
  return { ok: false, refusal: { code: "malformed", detail } };
}
