/**
 * A statement that goes with a file of ours: an in-toto statement about its digest, in a DSSE envelope that an ECDSA P-256
 * key and an ML-DSA-87 key have signed, as a release's and an audit record's are. Pure.
 */
import type { KeyPair, PublicKey } from "@hauberk/crypto/algorithms.ts";
import { digest, type Digest } from "@hauberk/crypto/digest.ts";
import { isSealedBy, seal } from "@hauberk/crypto/dsse.ts";
import { z } from "zod";

/** Payload type of the envelope, and what is said in it. */
const IN_TOTO = "application/vnd.in-toto+json";
const STATEMENT = "https://in-toto.io/Statement/v1";
const PREDICATE = "https://hauberk.io/compliance-report/v1";

/** Both keys of whoever signs. */
export interface Keys<Key extends KeyPair | PublicKey> {
  readonly classical: Key;
  readonly postQuantum: Key;
}

/** What is said of the file. */
const Predicate = z.strictObject({
  /** When the evidence was gathered. */
  at: z.iso.datetime(),
  /** What was looked at. */
  system: z.string(),
  /** Digest of the evidence that the file was made of. */
  evidence: z.string().regex(/^sha256:[0-9a-f]{64}$/),
});
export type Predicate = z.infer<typeof Predicate>;

const Statement = z.strictObject({
  _type: z.literal(STATEMENT),
  subject: z.tuple([
    z.strictObject({
      name: z.string(),
      digest: z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
    }),
  ]),
  predicateType: z.literal(PREDICATE),
  predicate: Predicate,
});

const Base64 = z.string().transform((text) => new Uint8Array(Buffer.from(text, "base64")));
const Sealed = z.strictObject({
  payloadType: z.literal(IN_TOTO),
  payload: Base64,
  signatures: z.array(z.strictObject({ keyid: z.string(), sig: Base64 })).min(1),
});

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** The envelope that goes beside `file`. */
export function attestFile(
  file: { readonly name: string; readonly bytes: Uint8Array },
  predicate: Predicate,
  { classical, postQuantum }: Keys<KeyPair>,
): string {
  const sha256 = digest(file.bytes).slice("sha256:".length);
  const statement = {
    _type: STATEMENT,
    subject: [{ name: file.name, digest: { sha256 } }],
    predicateType: PREDICATE,
    predicate,
  };
  const payload = new Uint8Array(Buffer.from(JSON.stringify(statement)));
  const signatures = [classical, postQuantum].flatMap((key) =>
    seal(IN_TOTO, payload, key, key.publicKey.algorithm.name).signatures.map(({ keyId, signature }) => ({
      keyid: keyId,
      sig: base64(signature),
    })),
  );
  return `${JSON.stringify({ payloadType: IN_TOTO, payload: base64(payload), signatures })}\n`;
}

/** Why a file is not what the keys' owner signed. The names are stable. */
export type AttestationFault = "envelope-unreadable" | "signature-wrong" | "file-altered";

export type Attested =
  | { readonly ok: true; readonly predicate: Predicate; readonly digest: Digest }
  | { readonly ok: false; readonly fault: AttestationFault; readonly detail: string };

const refuse = (fault: AttestationFault, detail: string): Attested => ({ ok: false, fault, detail });

/** Whether `file` is what the owner of both keys signed. */
export function verifyFile(file: Uint8Array, envelope: string, keys: Keys<PublicKey>): Attested {
  let sealed: z.infer<typeof Sealed>;
  let statement: z.infer<typeof Statement>;
  try {
    sealed = Sealed.parse(JSON.parse(envelope));
    statement = Statement.parse(JSON.parse(Buffer.from(sealed.payload).toString("utf8")));
  } catch {
    return refuse("envelope-unreadable", "it holds no statement about a compliance report");
  }
  const signatures = sealed.signatures.map(({ keyid, sig }) => ({ keyId: keyid, signature: sig }));
  for (const key of [keys.classical, keys.postQuantum]) {
    if (!isSealedBy({ ...sealed, signatures }, key))
      return refuse("signature-wrong", `it is not signed by the ${key.algorithm.name} key`);
  }
  const own = digest(file);
  const [{ digest: signed }] = statement.subject;
  if (own !== `sha256:${signed.sha256}`)
    return refuse("file-altered", `the file has ${own}, and sha256:${signed.sha256} was signed`);
  return { ok: true, predicate: statement.predicate, digest: own };
}
