/** The certificates of a cluster's own programs: two authorities, and who each program is. */
import { isIPv4 } from "node:net";
import { generateKeyPair, signatureIdentifier, signWith, type KeyPair } from "@hauberk/crypto/algorithms.ts";
import { bits, oid, sequence, Tag, text, time, tlv, unsigned } from "@hauberk/crypto/der.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  extension,
  ExtensionOid,
  keyUsage,
  Purpose,
  subjectKeyIdentifier,
  Usage,
} from "@hauberk/crypto/extensions.ts";
import { keyIdentifier, randomSerial, writePrivateKeyPem } from "@hauberk/crypto/issue.ts";
import { writePem } from "@hauberk/crypto/pem.ts";

const ORGANIZATION = "2.5.4.10";
const COMMON_NAME = "2.5.4.3";
const DNS_TAG = 0x82;
const ADDRESS_TAG = 0x87;
/** Clusters live for hours; one that is kept must not die of this. */
const LIFE_MS = 3650 * 86_400_000;
const SKEW_MS = 60_000;

/** A certificate and its key in PEM. */
export interface Credential {
  readonly certificate: string;
  readonly key: string;
}

/** An authority that signs in memory, and its credential. */
export interface ClusterAuthority {
  readonly credential: Credential;
  readonly keys: KeyPair;
  readonly subject: Uint8Array;
}

/** Who a program is to the API server: a user, and the group that it is in. */
export interface Subject {
  readonly user: string;
  readonly group?: string;
}

/** Makes an authority that nothing outside the cluster trusts. */
export function makeAuthority(user: string, nowMs: number): ClusterAuthority {
  const keys = generateKeyPair("ecdsa-p256-sha256");
  const subject = nameOf({ user });
  const extensions = [
    extension({
      oid: ExtensionOid.basicConstraints,
      critical: true,
      value: basicConstraints({ ca: true, pathLength: undefined }),
    }),
    extension({
      oid: ExtensionOid.keyUsage,
      critical: true,
      value: keyUsage([Usage.keyCertSign, Usage.cRLSign]),
    }),
    extension({
      oid: ExtensionOid.subjectKeyIdentifier,
      critical: false,
      value: subjectKeyIdentifier(keyIdentifier(keys.publicKey)),
    }),
  ];
  return {
    credential: sign({ keys, subject }, { keys, subject, extensions, nowMs }),
    keys,
    subject,
  };
}

/** Certifies a client of the API server. */
export function makeClient(authority: ClusterAuthority, subject: Subject, nowMs: number): Credential {
  return makeLeaf(authority, { subject: nameOf(subject), purpose: Purpose.clientAuth, more: [], nowMs });
}

/** Certifies a server under host names and IPv4 addresses. */
export function makeServer(
  authority: ClusterAuthority,
  {
    user,
    names,
    nowMs,
  }: { readonly user: string; readonly names: readonly string[]; readonly nowMs: number },
): Credential {
  const value = sequence(...names.map((name) => alternativeName(name)));
  const more = [extension({ oid: ExtensionOid.subjectAltName, critical: false, value })];
  return makeLeaf(authority, { subject: nameOf({ user }), purpose: Purpose.serverAuth, more, nowMs });
}

function alternativeName(name: string): Uint8Array {
  if (!isIPv4(name)) return tlv(DNS_TAG, text(name));
  return tlv(ADDRESS_TAG, Uint8Array.from(name.split("."), Number));
}

function nameOf({ user, group }: Subject): Uint8Array {
  const groups = group === undefined ? [] : [attribute(ORGANIZATION, group)];
  return sequence(...groups, attribute(COMMON_NAME, user));
}

function attribute(type: string, value: string): Uint8Array {
  return tlv(Tag.set, sequence(oid(type), tlv(Tag.utf8String, text(value))));
}

function makeLeaf(
  authority: ClusterAuthority,
  wanted: {
    readonly subject: Uint8Array;
    readonly purpose: string;
    readonly more: readonly Uint8Array[];
    readonly nowMs: number;
  },
): Credential {
  const { subject, purpose, more, nowMs } = wanted;
  const extensions = [
    extension({
      oid: ExtensionOid.basicConstraints,
      critical: true,
      value: basicConstraints({ ca: false, pathLength: undefined }),
    }),
    extension({ oid: ExtensionOid.keyUsage, critical: true, value: keyUsage([Usage.digitalSignature]) }),
    extension({ oid: ExtensionOid.extendedKeyUsage, critical: false, value: extendedKeyUsage([purpose]) }),
    ...more,
    extension({
      oid: ExtensionOid.authorityKeyIdentifier,
      critical: false,
      value: authorityKeyIdentifier(keyIdentifier(authority.keys.publicKey)),
    }),
  ];
  return sign(authority, { keys: generateKeyPair("ecdsa-p256-sha256"), subject, extensions, nowMs });
}

function sign(
  issuer: Pick<ClusterAuthority, "keys" | "subject">,
  content: {
    readonly keys: KeyPair;
    readonly subject: Uint8Array;
    readonly extensions: readonly Uint8Array[];
    readonly nowMs: number;
  },
): Credential {
  const { keys, subject, extensions, nowMs } = content;
  const algorithm = signatureIdentifier(issuer.keys.publicKey.algorithm);
  const signed = sequence(
    tlv(0xa0, unsigned(Uint8Array.of(2))),
    unsigned(randomSerial()),
    algorithm,
    issuer.subject,
    sequence(time(nowMs - SKEW_MS), time(nowMs + LIFE_MS)),
    subject,
    keys.publicKey.spki,
    tlv(0xa3, sequence(...extensions)),
  );
  const whole = sequence(signed, algorithm, bits(signWith(issuer.keys, signed)));
  return { certificate: writePem("CERTIFICATE", whole), key: writePrivateKeyPem(keys) };
}
