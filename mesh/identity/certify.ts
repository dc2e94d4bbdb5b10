/**
 * Whether a certificate request is granted, and the certificate if so.
 *
 * The names in a certificate come from the proven workload, never from the request. A request that asks for anything
 * else is not silently cut down: it is refused, because a client that asks for more is broken or hostile.
 */
import { EVERY_ALGORITHM, type AlgorithmName, type Permitted } from "@hauberk/crypto/algorithms.ts";
import type { Certificate } from "@hauberk/crypto/certificate.ts";
import { readRequest, type ProvenRequest, type RequestRefusal } from "@hauberk/crypto/csr.ts";
import { DerError } from "@hauberk/crypto/der.ts";
import {
  ExtensionOid,
  Purpose,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  Usage,
  type Extension,
} from "@hauberk/crypto/extensions.ts";
import { issueLeaf } from "@hauberk/crypto/issue.ts";
import { commonNames, hasOtherAttributes, readAlternativeNames } from "@hauberk/crypto/names.ts";
import type { WorkloadIdentity } from "../model/identity.ts";
import type { VerifiedWorkload } from "./verified.ts";
import type { Issuer } from "./issuer.ts";

/** How long a leaf lives unless the mesh says otherwise: Linkerd's default. */
export const LEAF_LIFE_MS = 24 * 3_600_000;

/** The shortest life worth issuing: a proxy that renews at 70 % needs time to do so. */
export const LEAF_LIFE_MS_MIN = 10_000;

/** What a proxy sends. */
export interface CertifyRequest {
  /** The name it believes to have. */
  readonly identity: string;
  /** PKCS #10 in DER. */
  readonly csr: Uint8Array;
}

/** What the decision needs from outside: the clock, randomness and the mesh's settings. */
export interface CertifyContext {
  readonly nowMs: number;
  /** A fresh random serial number (`randomSerial`). */
  readonly serial: Uint8Array;
  /** Most that a leaf may live; [`LEAF_LIFE_MS`] if absent. It never outlives its issuer. */
  readonly lifeMs?: number;
  /** How far before now a leaf begins, for peers whose clocks are behind; `CLOCK_SKEW_MS` if absent. */
  readonly skewMs?: number;
  /** The key types that leaves may have; every type of the table if absent. */
  readonly permitted?: Permitted;
}

/** Why no certificate was issued. */
export type Refusal =
  | RequestRefusal
  | { readonly code: "identity_not_proven"; readonly asked: string; readonly proven: string }
  | { readonly code: "key_not_permitted"; readonly algorithm: AlgorithmName }
  | { readonly code: "foreign_common_name"; readonly asked: string }
  | { readonly code: "subject_attributes" }
  | { readonly code: "foreign_name"; readonly asked: string }
  | { readonly code: "authority_asked" }
  | { readonly code: "forbidden_extension"; readonly oid: string }
  | { readonly code: "forbidden_attribute"; readonly oid: string }
  | { readonly code: "issuer_not_valid"; readonly notBeforeMs: number; readonly notAfterMs: number };

/** A leaf with the certificates between it and the anchor, nearest first. */
export interface Issued {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
}

export type Verdict =
  | { readonly ok: true; readonly issued: Issued }
  | { readonly ok: false; readonly refusal: Refusal };

/** Answers one request of a workload whose token was verified. */
export function certify(
  request: CertifyRequest,
  workload: VerifiedWorkload,
  issuer: Issuer,
  context: CertifyContext,
): Verdict {
  const { identity } = workload;
  if (request.identity !== identity.dnsName && request.identity !== identity.spiffeId) {
    return refuse({ code: "identity_not_proven", asked: shown(request.identity), proven: identity.dnsName });
  }
  const read = readRequest(request.csr);
  if (!read.ok) return read;
  const asked = judge(read.request, identity, context.permitted ?? EVERY_ALGORITHM);
  if (asked !== undefined) return refuse(asked);
  const { notBeforeMs, notAfterMs } = issuer.authority.certificate;
  const lifeMs = Math.min(context.lifeMs ?? LEAF_LIFE_MS, notAfterMs - context.nowMs);
  if (context.nowMs < notBeforeMs || lifeMs < LEAF_LIFE_MS_MIN) {
    return refuse({ code: "issuer_not_valid", notBeforeMs, notAfterMs });
  }
  const leaf = issueLeaf(issuer.authority, {
    publicKey: read.request.publicKey,
    names: [
      { kind: "dns", value: identity.dnsName },
      { kind: "uri", value: identity.spiffeId },
    ],
    serial: context.serial,
    nowMs: context.nowMs,
    lifeMs,
    ...(context.skewMs === undefined ? {} : { skewMs: context.skewMs }),
  });
  return { ok: true, issued: { leaf, intermediates: issuer.chain } };
}

/** The sentence that the proxy's log and ours carry. */
export function explain(refusal: Refusal): string {
  switch (refusal.code) {
    case "too_large":
      return `the certificate request has ${refusal.bytes} bytes`;
    case "malformed":
      return `the certificate request is malformed: ${refusal.detail}`;
    case "weak_key":
      return `the key is not acceptable: ${refusal.detail}`;
    case "unproven":
      return "the certificate request is not signed with its own key";
    case "identity_not_proven":
      return `asked for ${refusal.asked}, the token proves ${refusal.proven}`;
    case "key_not_permitted":
      return `keys of type ${refusal.algorithm} are not permitted in this mesh`;
    case "foreign_common_name":
      return `the request's common name is ${refusal.asked}`;
    case "subject_attributes":
      return "the request's subject has attributes besides the common name";
    case "foreign_name":
      return `the request asks for the name ${refusal.asked}`;
    case "authority_asked":
      return "the request asks to be an authority";
    case "forbidden_extension":
      return `the request asks for extension ${refusal.oid}`;
    case "forbidden_attribute":
      return `the request has attribute ${refusal.oid}`;
    case "issuer_not_valid":
      return `the issuer is valid from ${iso(refusal.notBeforeMs)} to ${iso(refusal.notAfterMs)}`;
  }
}

function judge(
  request: ProvenRequest,
  identity: WorkloadIdentity,
  permitted: Permitted,
): Refusal | undefined {
  const { name } = request.publicKey.algorithm;
  if (!permitted.has(name)) return { code: "key_not_permitted", algorithm: name };
  if (hasOtherAttributes(request.subject)) return { code: "subject_attributes" };
  const common = commonNames(request.subject);
  const foreign = common.find((value) => value !== identity.dnsName);
  if (foreign !== undefined) return { code: "foreign_common_name", asked: shown(foreign) };
  if (common.length > 1) return { code: "subject_attributes" };
  const [attribute] = request.otherAttributes;
  if (attribute !== undefined) return { code: "forbidden_attribute", oid: attribute };
  try {
    return request.extensions
      .map((extension) => judgeExtension(extension, identity))
      .find((refusal) => refusal !== undefined);
  } catch (error) {
    if (error instanceof DerError) return { code: "malformed", detail: error.message };
    throw error;
  }
}

/** Only what the leaf will say anyway may be asked for. */
function judgeExtension(extension: Extension, identity: WorkloadIdentity): Refusal | undefined {
  const { oid, value } = extension;
  switch (oid) {
    case ExtensionOid.subjectAltName:
      for (const name of readAlternativeNames(value)) {
        if (name.kind === "other") return { code: "foreign_name", asked: `of type ${name.tag & 0x1f}` };
        const expected = name.kind === "dns" ? identity.dnsName : identity.spiffeId;
        if (name.value !== expected) return { code: "foreign_name", asked: shown(name.value) };
      }
      return undefined;
    case ExtensionOid.basicConstraints:
      return readBasicConstraints(value).ca ? { code: "authority_asked" } : undefined;
    case ExtensionOid.keyUsage:
      return readKeyUsage(value).every((usage) => usage === Usage.digitalSignature)
        ? undefined
        : { code: "forbidden_extension", oid };
    case ExtensionOid.extendedKeyUsage:
      return readExtendedKeyUsage(value).every(isGranted) ? undefined : { code: "forbidden_extension", oid };
    default:
      return { code: "forbidden_extension", oid };
  }
}

function isGranted(purpose: string): boolean {
  return purpose === Purpose.serverAuth || purpose === Purpose.clientAuth;
}

function refuse(refusal: Refusal): Verdict {
  return { ok: false, refusal };
}

/** A foreign text as it may stand in a log line: printable and short. */
function shown(value: string): string {
  return value.replaceAll(/[^\x21-\x7e]/g, "?").slice(0, 128);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
