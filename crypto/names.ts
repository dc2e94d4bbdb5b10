/** Distinguished names and subject alternative names, read strictly and written in one form. */

import { ascii, DerError, DerReader, oid, readOid, readOnly, sequence, Tag, text, tlv } from "./der.ts";

/** Most alternative names we read from one certificate or request. */
export const NAMES_MAX = 64;

const COMMON_NAME = "2.5.4.3";

/** One attribute of a distinguished name. */
export type Attribute = { readonly oid: string; readonly value: string };

/** A distinguished name: its encoding, which is what issuer and subject are compared by, and its attributes. */
export type DistinguishedName = { readonly der: Uint8Array; readonly attributes: readonly Attribute[] };

/** A subject alternative name (RFC 5280 §4.2.1.6). Kinds we never grant keep their tag, so that they can be refused. */
export type AlternativeName =
  | { readonly kind: "dns"; readonly value: string }
  | { readonly kind: "uri"; readonly value: string }
  | { readonly kind: "other"; readonly tag: number };

const DNS_TAG = 0x82;
const URI_TAG = 0x86;

/** A name of one common name, or the empty name. */
export function distinguishedName(commonName: string | undefined): Uint8Array {
  if (commonName === undefined) return sequence();
  return sequence(tlv(Tag.set, sequence(oid(COMMON_NAME), tlv(Tag.utf8String, text(commonName)))));
}

/** Reads a Name. Attribute values that are not UTF-8, printable or IA5 strings are refused. */
export function readDistinguishedName(der: Uint8Array): DistinguishedName {
  const reader = new DerReader(readOnly(der, Tag.sequence).body);
  const attributes: Attribute[] = [];
  while (!reader.done) {
    const set = reader.inside(Tag.set);
    do {
      const pair = set.inside(Tag.sequence);
      const attribute = readOid(pair.next(Tag.oid));
      attributes.push({ oid: attribute, value: readString(pair) });
      pair.end();
      if (attributes.length > NAMES_MAX) throw new DerError("a name of too many attributes");
    } while (!set.done);
  }
  return { der: der.slice(), attributes };
}

/** The common names among the attributes, in order. */
export function commonNames(name: DistinguishedName): readonly string[] {
  return name.attributes
    .filter((attribute) => attribute.oid === COMMON_NAME)
    .map((attribute) => attribute.value);
}

/** Whether a name has attributes besides the common name. */
export function hasOtherAttributes(name: DistinguishedName): boolean {
  return name.attributes.some((attribute) => attribute.oid !== COMMON_NAME);
}

/** GeneralNames of a SubjectAltName extension. */
export function alternativeNames(names: readonly AlternativeName[]): Uint8Array {
  return sequence(
    ...names.map((name) => {
      switch (name.kind) {
        case "dns":
          return tlv(DNS_TAG, ia5(name.value));
        case "uri":
          return tlv(URI_TAG, ia5(name.value));
        case "other":
          throw new DerError(`an alternative name of tag ${name.tag} is never granted`);
      }
    }),
  );
}

/** Reads GeneralNames; there must be at least one (RFC 5280 §4.2.1.6). */
export function readAlternativeNames(der: Uint8Array): readonly AlternativeName[] {
  const reader = new DerReader(readOnly(der, Tag.sequence).body);
  const names: AlternativeName[] = [];
  while (!reader.done) {
    const { tag, body } = reader.any();
    if (tag === DNS_TAG) names.push({ kind: "dns", value: ascii(body) });
    else if (tag === URI_TAG) names.push({ kind: "uri", value: ascii(body) });
    else names.push({ kind: "other", tag });
    if (names.length > NAMES_MAX) throw new DerError("too many alternative names");
  }
  if (names.length === 0) throw new DerError("an empty list of alternative names");
  return names;
}

function readString(reader: DerReader): string {
  const value = reader.any();
  switch (value.tag) {
    case Tag.utf8String:
      try {
        return new TextDecoder("utf-8", { fatal: true }).decode(value.body);
      } catch (cause) {
        throw new DerError("a string that is not UTF-8", { cause });
      }
    case Tag.printableString:
    case Tag.ia5String:
      return ascii(value.body);
    default:
      throw new DerError("a name attribute of an unused string type");
  }
}

function ia5(value: string): Uint8Array {
  const bytes = text(value);
  if (bytes.length === 0 || bytes.some((byte) => byte <= 0x20 || byte > 0x7e)) {
    throw new DerError("an alternative name must be printable ASCII without spaces");
  }
  return bytes;
}
