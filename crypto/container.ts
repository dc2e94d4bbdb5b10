/**
 * What an authority's file holds, whatever its form: PEM of every common kind in any order, PKCS #7, PKCS #12, or one
 * certificate or key in DER. Only what is inside is told here; whether it makes an issuer is judged elsewhere.
 */
import { createPrivateKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { DerError, DerReader, readOid, readOnly, Tag } from "./der.ts";
import { PEM_BYTES_MAX, PemError, readPem } from "./pem.ts";
import { openPkcs12 } from "./pkcs12.ts";
import { readPkcs7Certificates } from "./pkcs7.ts";

/** Certificates in DER and private keys, in the order of the file. */
export type Contents = {
  readonly certificates: readonly Uint8Array[];
  readonly keys: readonly KeyObject[];
};

/** Why a file could not be opened. */
export type ContainerRefusal =
  | { readonly code: "too_large"; readonly bytes: number }
  | { readonly code: "not_a_container" }
  | { readonly code: "password_needed" }
  | { readonly code: "wrong_password" }
  | { readonly code: "damaged"; readonly detail: string }
  | { readonly code: "unsupported"; readonly detail: string }
  | { readonly code: "fips_profile" };

export type ContainerVerdict =
  | { readonly ok: true; readonly contents: Contents }
  | { readonly ok: false; readonly refusal: ContainerRefusal };

/** What an operator reads: what is wrong, and what to do. */
export function explainContainer(refusal: ContainerRefusal): string {
  switch (refusal.code) {
    case "too_large":
      return `it has ${refusal.bytes} bytes, and an issuer at most ${PEM_BYTES_MAX}: give the file of the issuer alone`;
    case "not_a_container":
      return "it is neither PEM, PKCS #12, PKCS #7 nor a certificate or key in DER: export the issuer as one of these";
    case "password_needed":
      return "it is protected by a password: give the file that holds it with the password flag";
    case "wrong_password":
      return "the password does not open it: look for a space or line too many in the password's file";
    case "damaged":
      return `it is damaged, ${refusal.detail}: export or copy it again`;
    case "unsupported":
      return `it is of a kind that is not read here, ${refusal.detail}: export it as PEM or as PKCS #12 with AES`;
    case "fips_profile":
      return "PKCS #12 is opened by software outside of the certified module: convert it to PEM with a tool that your policy approves of";
  }
}

class Refused extends Error {
  readonly refusal: ContainerRefusal;
  constructor(refusal: ContainerRefusal) {
    super(refusal.code);
    this.refusal = refusal;
  }
}

/** Opens a file. `password` is used for whatever in it is encrypted; an empty one is a password, too. */
export async function readContainer(
  bytes: Uint8Array,
  { password, isApproved }: { readonly password: string | undefined; readonly isApproved?: boolean },
): Promise<ContainerVerdict> {
  try {
    if (bytes.length > PEM_BYTES_MAX) refuse({ code: "too_large", bytes: bytes.length });
    const text = Buffer.from(bytes).toString("latin1");
    const contents = text.includes("-----BEGIN ")
      ? readPemContents(text, password)
      : await readDerContents(bytes, password, isApproved);
    return { ok: true, contents };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, refusal: error.refusal };
    if (error instanceof DerError || error instanceof PemError)
      return { ok: false, refusal: { code: "damaged", detail: error.message } };
    throw error;
  }
}

const BLOCK =
  /-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,60})-----[ \t]*\r?\n([^-]*(?:-(?!----)[^-]*)*)-----END \1-----/g;
const BOUNDARY = /-----(?:BEGIN|END) /g;

/** What RFC 1421 §4.6.1.1 puts before an encrypted key of the traditional kind. */
const ENCRYPTED_HEADER = "Proc-Type: 4,ENCRYPTED";

function readPemContents(text: string, password: string | undefined): Contents {
  const blocks = [...text.matchAll(BLOCK)];
  if ([...text.matchAll(BOUNDARY)].length !== 2 * blocks.length)
    throw new PemError("a PEM block is not well-formed");
  const parts = blocks.map(([block, label = "", body = ""]): Contents => {
    switch (label) {
      case "CERTIFICATE":
      case "X509 CERTIFICATE":
        return certificates([derOf(block)]);
      case "TRUSTED CERTIFICATE":
        // OpenSSL's own: the certificate, then what it is trusted for.
        return certificates([new DerReader(derOf(block)).next(Tag.sequence).raw.slice()]);
      case "PKCS7":
      case "CMS":
        return pkcs7(derOf(block));
      case "ENCRYPTED PRIVATE KEY":
        return keys(openEncrypted(derOf(block), password));
      case "PRIVATE KEY":
      case "RSA PRIVATE KEY":
      case "EC PRIVATE KEY":
      case "DSA PRIVATE KEY":
        return keys(
          body.includes(ENCRYPTED_HEADER) ? openTraditional(block, password) : openPlain(derOf(block)),
        );
      case "EC PARAMETERS":
      case "X509 CRL":
        return certificates([]);
      default:
        return refuse({ code: "unsupported", detail: `PEM of ${label}` });
    }
  });
  return {
    certificates: parts.flatMap((part) => part.certificates),
    keys: parts.flatMap((part) => part.keys),
  };
}

function derOf(block: string): Uint8Array {
  const [only] = readPem(block.replaceAll(/[ \t]+(?=\r?\n)/g, ""));
  if (only === undefined) throw new PemError("a PEM block is not well-formed");
  return only.der;
}

const SIGNED_DATA = "1.2.840.113549.1.7.2";

async function readDerContents(
  bytes: Uint8Array,
  password: string | undefined,
  isApproved: boolean | undefined,
): Promise<Contents> {
  if (bytes[0] !== Tag.sequence || bytes[1] === undefined) return refuse({ code: "not_a_container" });
  const content = bytes.subarray(headerBytes(bytes));
  // The version of a PFX is 3, that of every kind of key 0 or 1.
  if (content[0] === Tag.integer && content[1] === 1)
    return content[2] === 3 ? pkcs12(bytes, password, isApproved) : keys(openPlain(bytes));
  if (content[0] === Tag.oid) {
    if (readOid(new DerReader(content).next(Tag.oid)) !== SIGNED_DATA)
      return refuse({ code: "not_a_container" });
    return pkcs7(bytes);
  }
  if (content[0] !== Tag.sequence) return refuse({ code: "not_a_container" });
  const inner = content.subarray(headerBytes(content));
  return inner[0] === Tag.oid
    ? keys(openEncrypted(bytes, password))
    : certificates([readOnly(bytes, Tag.sequence).raw.slice()]);
}

/** Bytes of tag and length. BER's indefinite length has one. */
function headerBytes(bytes: Uint8Array): number {
  const length = bytes[1] ?? 0;
  return length < 0x80 ? 2 : 2 + (length & 0x7f);
}

async function pkcs12(
  bytes: Uint8Array,
  password: string | undefined,
  isApproved: boolean | undefined,
): Promise<Contents> {
  // The mode is told first: nobody is asked for a password that will not be used.
  const opened = await openPkcs12(bytes, password ?? "", isApproved);
  switch (opened.type) {
    case "fips_profile":
      return refuse({ code: "fips_profile" });
    case "wrong_password":
      return refuse({ code: password === undefined ? "password_needed" : "wrong_password" });
    case "damaged":
    case "unsupported":
      return refuse({ code: opened.type, detail: opened.detail });
    case "opened":
      return {
        certificates: opened.certificates.map((one) => new Uint8Array(Buffer.from(one, "base64"))),
        keys: opened.keys.map((one) => openPlain(new Uint8Array(Buffer.from(one, "base64")))),
      };
  }
}

function pkcs7(der: Uint8Array): Contents {
  if (der[1] === 0x80) return refuse({ code: "unsupported", detail: "PKCS #7 in BER" });
  return certificates(readPkcs7Certificates(der));
}

/** A key that is not encrypted: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017) or SEC 1 (RFC 5915). */
function openPlain(der: Uint8Array): KeyObject {
  for (const type of ["pkcs8", "pkcs1", "sec1"] as const) {
    try {
      return createPrivateKey({ key: Buffer.from(der), format: "der", type });
    } catch {
      // Another kind, or none.
    }
  }
  return refuse({ code: "damaged", detail: "a private key in it cannot be read" });
}

/** How an encrypted PKCS #8 key may be encrypted: PBES2, or PKCS #12's way with 3DES, by their identifiers. */
const KEY_ENCRYPTION: ReadonlySet<string> = new Set([
  "1.2.840.113549.1.5.13",
  "1.2.840.113549.1.12.1.3",
  "1.2.840.113549.1.12.1.4",
]);

function openEncrypted(der: Uint8Array, password: string | undefined): KeyObject {
  const outer = new DerReader(readOnly(der, Tag.sequence).body);
  const scheme = readOid(outer.inside(Tag.sequence).next(Tag.oid));
  outer.next(Tag.octetString);
  outer.end();
  if (!KEY_ENCRYPTION.has(scheme)) refuse({ code: "unsupported", detail: `a key encrypted with ${scheme}` });
  if (password === undefined) return refuse({ code: "password_needed" });
  return withPassword(() =>
    createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8", passphrase: password }),
  );
}

function openTraditional(block: string, password: string | undefined): KeyObject {
  if (password === undefined) return refuse({ code: "password_needed" });
  return withPassword(() => createPrivateKey({ key: block, format: "pem", passphrase: password }));
}

/** What surrounds the secret was read: what fails now is the password. */
function withPassword(open: () => KeyObject): KeyObject {
  try {
    return open();
  } catch {
    return refuse({ code: "wrong_password" });
  }
}

function certificates(found: readonly Uint8Array[]): Contents {
  return { certificates: found, keys: [] };
}

function keys(...found: readonly KeyObject[]): Contents {
  return { certificates: [], keys: found };
}

function refuse(refusal: ContainerRefusal): never {
  throw new Refused(refusal);
}
