/** Certificate requests (PKCS #10, RFC 2986): read strictly, and only with proof of possession. */

import {
  KeyError,
  readPublicKey,
  readSignatureIdentifier,
  signatureIdentifier,
  signWith,
  verifyWith,
} from "./algorithms.ts";
import type { KeyPair, PublicKey } from "./algorithms.ts";
import {
  bits,
  DerError,
  DerReader,
  oid,
  readBits,
  readOid,
  readOnly,
  readSmall,
  sequence,
  Tag,
  tlv,
  unsigned,
} from "./der.ts";
import { alternativeNames, distinguishedName, readDistinguishedName } from "./names.ts";
import type { AlternativeName, DistinguishedName } from "./names.ts";
import { extension, ExtensionOid, readExtensions } from "./extensions.ts";
import type { Extension } from "./extensions.ts";

/** Most bytes of a request. One with an ML-DSA-87 key and signature has about 7.4 kB. */
export const CSR_BYTES_MAX = 16 * 1024;

const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
const ATTRIBUTES = 0xa0;

declare const proven: unique symbol;

/**
 * A request whose signature was made with the private half of the key it carries. Only {@link readRequest} makes one.
 *
 * What it asks for is shown as it stood: the authority decides what it grants, and refuses what it would not grant.
 */
export type ProvenRequest = {
  readonly [proven]: true;
  readonly publicKey: PublicKey;
  readonly subject: DistinguishedName;
  readonly extensions: readonly Extension[];
  /** Object identifiers of attributes other than the extension request. */
  readonly otherAttributes: readonly string[];
};

/** Why bytes are not a request we may answer. */
export type RequestRefusal =
  | { readonly code: "too_large"; readonly bytes: number }
  | { readonly code: "malformed"; readonly detail: string }
  | { readonly code: "weak_key"; readonly detail: string }
  | { readonly code: "unproven" };

/** A request, or why there is none. */
export type RequestVerdict =
  | { readonly ok: true; readonly request: ProvenRequest }
  | { readonly ok: false; readonly refusal: RequestRefusal };

/** Reads a request in DER and checks its proof of possession. Never throws for any bytes. */
export function readRequest(der: Uint8Array): RequestVerdict {
  if (der.length > CSR_BYTES_MAX) return { ok: false, refusal: { code: "too_large", bytes: der.length } };
  try {
    return parse(der);
  } catch (error) {
    if (error instanceof DerError)
      return { ok: false, refusal: { code: "malformed", detail: error.message } };
    if (error instanceof KeyError) return { ok: false, refusal: { code: "weak_key", detail: error.message } };
    throw error;
  }
}

/** What to ask for. */
export type RequestContent = {
  readonly commonName?: string;
  readonly names?: readonly AlternativeName[];
  readonly extensions?: readonly Extension[];
};

/** Writes a request for the key pair, signed with it. */
export function writeRequest(pair: KeyPair, content: RequestContent): Uint8Array {
  const names = content.names ?? [];
  const asked: readonly Extension[] = [
    ...(names.length === 0
      ? []
      : [{ oid: ExtensionOid.subjectAltName, critical: false, value: alternativeNames(names) }]),
    ...(content.extensions ?? []),
  ];
  const attribute =
    asked.length === 0
      ? []
      : [sequence(oid(EXTENSION_REQUEST), tlv(Tag.set, sequence(...asked.map((one) => extension(one)))))];
  const info = sequence(
    unsigned(Uint8Array.of(0)),
    distinguishedName(content.commonName),
    pair.publicKey.spki,
    tlv(ATTRIBUTES, ...attribute),
  );
  return sequence(info, signatureIdentifier(pair.publicKey.algorithm), bits(signWith(pair, info)));
}

function parse(der: Uint8Array): RequestVerdict {
  const outer = new DerReader(readOnly(der, Tag.sequence).body);
  const info = outer.next(Tag.sequence);
  const algorithm = readSignatureIdentifier(outer);
  const signature = readBits(outer.next(Tag.bitString));
  outer.end();

  const reader = new DerReader(info.body);
  if (readSmall(reader.next(Tag.integer)) !== 0) throw new DerError("a request of another version than 1");
  const subject = readDistinguishedName(reader.next(Tag.sequence).raw);
  const publicKey = readPublicKey(reader.next(Tag.sequence).raw);
  const attributes = reader.optional(ATTRIBUTES);
  reader.end();
  const { extensions, otherAttributes } = readAttributes(attributes?.body ?? new Uint8Array());

  // One key type has one signature algorithm here: a request signed in another way is refused with the key.
  if (algorithm !== publicKey.algorithm)
    throw new KeyError("the signature's algorithm does not go with the key");
  if (!verifyWith(publicKey, info.raw, signature)) return { ok: false, refusal: { code: "unproven" } };
  return { ok: true, request: prove({ publicKey, subject, extensions, otherAttributes }) };
}

function readAttributes(body: Uint8Array): Pick<ProvenRequest, "extensions" | "otherAttributes"> {
  const reader = new DerReader(body);
  let extensions: readonly Extension[] | undefined;
  const otherAttributes: string[] = [];
  while (!reader.done) {
    const attribute = reader.inside(Tag.sequence);
    const name = readOid(attribute.next(Tag.oid));
    const values = attribute.inside(Tag.set);
    attribute.end();
    if (name !== EXTENSION_REQUEST) {
      otherAttributes.push(name);
      continue;
    }
    if (extensions !== undefined) throw new DerError("two extension requests");
    extensions = readExtensions(values.next(Tag.sequence).raw);
    values.end();
  }
  return { extensions: extensions ?? [], otherAttributes };
}

function prove(request: Omit<ProvenRequest, typeof proven>): ProvenRequest {
  const checked = { ...request };
  stamp(checked);
  return checked;
}

/** The type-level stamp: `parse` calls it after the signature was verified, and nobody else can. */
function stamp(request: Omit<ProvenRequest, typeof proven>): asserts request is ProvenRequest {
  if (!Object.isFrozen(Object.freeze(request))) throw new Error("a proven request does not change");
}
