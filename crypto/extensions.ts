/** X.509 v3 extensions (RFC 5280 §4.2): the few we write, and all of them as opaque values when read. */

import { DerError, DerReader, oid, readBoolean, readOid, readOnly, readSmall } from "./der.ts";
import { sequence, Tag, tlv, unsigned } from "./der.ts";

/** Most extensions of one certificate or request. */
export const EXTENSIONS_MAX = 32;

/** Object identifiers of the extensions that are looked into. */
export const ExtensionOid = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Key purposes (RFC 5280 §4.2.1.12). */
export const Purpose = { serverAuth: "1.3.6.1.5.5.7.3.1", clientAuth: "1.3.6.1.5.5.7.3.2" } as const;

/** Bits of the key usage extension by their numbers in RFC 5280 §4.2.1.3. */
export const Usage = { digitalSignature: 0, keyCertSign: 5, cRLSign: 6 } as const;

/** One extension with its value still encoded. */
export type Extension = { readonly oid: string; readonly critical: boolean; readonly value: Uint8Array };

/** Whether a certificate may issue others, and how many levels below it. */
export type BasicConstraints = { readonly ca: boolean; readonly pathLength: number | undefined };

/** One extension in DER; `critical` is left out when false, as DER asks of a default. */
export function extension({ oid: name, critical, value }: Extension): Uint8Array {
  const flag = critical ? [tlv(Tag.boolean, Uint8Array.of(0xff))] : [];
  return sequence(oid(name), ...flag, tlv(Tag.octetString, value));
}

/** Reads Extensions; each object identifier may stand once (RFC 5280 §4.2). */
export function readExtensions(der: Uint8Array): readonly Extension[] {
  const reader = new DerReader(readOnly(der, Tag.sequence).body);
  const extensions: Extension[] = [];
  while (!reader.done) {
    const one = reader.inside(Tag.sequence);
    const name = readOid(one.next(Tag.oid));
    const flag = one.optional(Tag.boolean);
    const critical = flag === undefined ? false : readBoolean(flag);
    if (flag !== undefined && !critical) throw new DerError("a default value is written out");
    const value = one.next(Tag.octetString).body.slice();
    one.end();
    if (extensions.some((other) => other.oid === name)) throw new DerError(`extension ${name} stands twice`);
    extensions.push({ oid: name, critical, value });
    if (extensions.length > EXTENSIONS_MAX) throw new DerError("too many extensions");
  }
  if (extensions.length === 0) throw new DerError("an empty list of extensions");
  return extensions;
}

/** The value of basic constraints. */
export function basicConstraints({ ca, pathLength }: BasicConstraints): Uint8Array {
  if (!ca) return sequence();
  const length = pathLength === undefined ? [] : [unsigned(Uint8Array.of(pathLength))];
  return sequence(tlv(Tag.boolean, Uint8Array.of(0xff)), ...length);
}

/** Reads basic constraints; a path length without the CA flag is refused. */
export function readBasicConstraints(value: Uint8Array): BasicConstraints {
  const reader = new DerReader(readOnly(value, Tag.sequence).body);
  const flag = reader.optional(Tag.boolean);
  const ca = flag === undefined ? false : readBoolean(flag);
  if (flag !== undefined && !ca) throw new DerError("a default value is written out");
  const length = reader.optional(Tag.integer);
  reader.end();
  if (length !== undefined && !ca) throw new DerError("a path length on what is no authority");
  return { ca, pathLength: length === undefined ? undefined : readSmall(length) };
}

/** The value of key usage: a named bit list without trailing zeros (X.690 §11.2.2). */
export function keyUsage(usages: readonly number[]): Uint8Array {
  const highest = Math.max(...usages);
  if (highest > 7) throw new DerError("key usages above bit 7 are not granted");
  const byte = usages.reduce((sum, bit) => sum | (0x80 >> bit), 0);
  return tlv(Tag.bitString, Uint8Array.of(7 - highest, byte));
}

/** Reads key usage as the numbers of its set bits. */
export function readKeyUsage(value: Uint8Array): readonly number[] {
  const [unused, ...bytes] = readOnly(value, Tag.bitString).body;
  const last = bytes.at(-1);
  if (unused === undefined || unused > 7 || bytes.length > 2 || last === undefined || last === 0) {
    throw new DerError("a malformed key usage");
  }
  if ((last & ((1 << unused) - 1)) !== 0 || (last & (1 << unused)) === 0)
    throw new DerError("a key usage with spare bits");
  return bytes.flatMap((byte, index) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte & (0x80 >> bit)) !== 0).map((bit) => index * 8 + bit),
  );
}

/** The value of extended key usage. */
export function extendedKeyUsage(purposes: readonly string[]): Uint8Array {
  return sequence(...purposes.map((purpose) => oid(purpose)));
}

/** Reads extended key usage; there must be at least one purpose. */
export function readExtendedKeyUsage(value: Uint8Array): readonly string[] {
  const reader = new DerReader(readOnly(value, Tag.sequence).body);
  const purposes: string[] = [];
  while (!reader.done && purposes.length <= EXTENSIONS_MAX) purposes.push(readOid(reader.next(Tag.oid)));
  reader.end();
  if (purposes.length === 0) throw new DerError("an empty extended key usage");
  return purposes;
}

/** The value of a subject key identifier. */
export function subjectKeyIdentifier(identifier: Uint8Array): Uint8Array {
  return tlv(Tag.octetString, identifier);
}

/** The value of an authority key identifier that names the key only. */
export function authorityKeyIdentifier(identifier: Uint8Array): Uint8Array {
  return sequence(tlv(0x80, identifier));
}

/** Reads the key identifier of an authority key identifier, if it has one. */
export function readAuthorityKeyIdentifier(value: Uint8Array): Uint8Array | undefined {
  const reader = new DerReader(readOnly(value, Tag.sequence).body);
  return reader.optional(0x80)?.body.slice();
}

/** Reads a subject key identifier. */
export function readSubjectKeyIdentifier(value: Uint8Array): Uint8Array {
  return readOnly(value, Tag.octetString).body.slice();
}
