/**
 * A program of its own: opens a PKCS #12 container (RFC 7292) with node-forge, which knows the ciphers that Node's
 * OpenSSL has put away (RC2, the key derivation of PKCS #12) and BER. It reads one {@link Ask} from its input and writes
 * one `Opened` to its output. No other program imports node-forge; this one does not start in approved mode.
 */
import { getFips } from "node:crypto";
import { buffer } from "node:stream/consumers";
import forge from "node-forge";
import type { Ask, Opened } from "./pkcs12.ts";

/** How node-forge says that the integrity value is another. */
const MAC_DIFFERS = "MAC could not be verified";

/** How it says that an algorithm or a bag is none of its own. */
const NOT_KNOWN = /unsupported/i;

/** What a password and a tree of ASN.1 give: bags, or an error of node-forge. */
type Attempt = { readonly bags: readonly forge.pkcs12.Bag[] } | { readonly error: string };

function open({ container, password }: Ask): Opened {
  const pfx = parse(container);
  if (pfx === undefined) return { type: "damaged", detail: "it is not whole ASN.1" };
  const whole = attempt(pfx, password);
  if ("bags" in whole) return contentsOf(whole.bags);
  if (NOT_KNOWN.test(whole.error)) return { type: "unsupported", detail: whole.error };
  // Without its integrity value, a container that the password decrypts was altered; one that it does not is another's.
  const [version, safe] = typeof pfx.value === "string" ? [] : pfx.value;
  if (version === undefined || safe === undefined) return { type: "damaged", detail: whole.error };
  const bare = { ...pfx, value: [version, safe] };
  // PBES2 takes the password as UTF-8, the older derivation as UTF-16: node-forge gives both the same characters.
  const encoded = attempt(bare, forge.util.encodeUtf8(password));
  const isMacWrong = whole.error.includes(MAC_DIFFERS);
  const hasMac = typeof pfx.value !== "string" && pfx.value.length > 2;
  if (!isMacWrong && "bags" in encoded) return contentsOf(encoded.bags);
  if (isMacWrong && ("bags" in encoded || "bags" in attempt(bare, password)))
    return { type: "damaged", detail: "its integrity value is not of what it holds" };
  if (isMacWrong || !hasMac) return { type: "wrong_password" };
  return { type: "damaged", detail: whole.error };
}

function parse(container: string): forge.asn1.Asn1 | undefined {
  try {
    return forge.asn1.fromDer(Buffer.from(container, "base64").toString("binary"));
  } catch {
    return undefined;
  }
}

function attempt(pfx: forge.asn1.Asn1, password: string): Attempt {
  try {
    const { safeContents } = forge.pkcs12.pkcs12FromAsn1(pfx, false, password);
    return { bags: safeContents.flatMap(({ safeBags }) => safeBags) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** The bags in DER. What node-forge has read (RSA) is written again; what it cannot read is handed on as it stood. */
function contentsOf(bags: readonly forge.pkcs12.Bag[]): Opened {
  const { oids } = forge.pki;
  const certificates = bags
    .filter(({ type }) => type === oids["certBag"])
    .map(({ cert, asn1 }) => encode(cert ? forge.pki.certificateToAsn1(cert) : asn1));
  const keys = bags
    .filter(({ type }) => type === oids["keyBag"] || type === oids["pkcs8ShroudedKeyBag"])
    .map(({ key, asn1 }) =>
      encode(key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(key)) : asn1),
    );
  return { type: "opened", certificates, keys };
}

function encode(asn1: forge.asn1.Asn1): string {
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), "binary").toString("base64");
}

function isAsk(value: unknown): value is Ask {
  return (
    typeof value === "object" &&
    value !== null &&
    "container" in value &&
    typeof value.container === "string" &&
    "password" in value &&
    typeof value.password === "string"
  );
}

if (import.meta.main) {
  const ask: unknown = JSON.parse((await buffer(process.stdin)).toString("utf8"));
  if (getFips() === 1 || !isAsk(ask)) process.exitCode = 2;
  else process.stdout.write(JSON.stringify(open(ask)));
}
