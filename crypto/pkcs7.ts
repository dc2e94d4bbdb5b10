/** PKCS #7 (RFC 2315 §9, RFC 5652 §5) as far as it carries certificates. */
import { DerError, DerReader, readOid, readOnly, Tag } from "./der.ts";

const SIGNED_DATA = "1.2.840.113549.1.7.2";
const CONTENT = 0xa0;
const CERTIFICATES = 0xa0;

/** The certificates of SignedData in DER, as they stand. Signatures are not looked at: certificates vouch for themselves. */
export function readPkcs7Certificates(der: Uint8Array): readonly Uint8Array[] {
  const outer = new DerReader(readOnly(der, Tag.sequence).body);
  if (readOid(outer.next(Tag.oid)) !== SIGNED_DATA) throw new DerError("PKCS #7 without signed data");
  const signed = outer.inside(CONTENT).inside(Tag.sequence);
  outer.end();
  signed.next(Tag.integer);
  signed.next(Tag.set);
  signed.next(Tag.sequence);
  const list = signed.optional(CERTIFICATES);
  const reader = new DerReader(list === undefined ? new Uint8Array() : list.body);
  const certificates: Uint8Array[] = [];
  while (!reader.done) {
    const { tag, raw } = reader.any();
    // Other choices are attribute certificates and the like.
    if (tag === Tag.sequence) certificates.push(raw.slice());
  }
  return certificates;
}
