/** Whether a statement that was signed with a certificate was signed by whom it must, was logged, and when. */
import { createPublicKey } from "node:crypto";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { PolicyError, toSignedEntity, toTrustMaterial, VerificationError, Verifier } from "@sigstore/verify";
import { z } from "zod";

/** A Sigstore as a verifier knows it: its certificate authorities, logs and clocks. */
export interface SigstoreRoot {
  /** `trusted_root.json`, as it was read. */
  readonly json: unknown;
  readonly material: ReturnType<typeof toTrustMaterial>;
}

const Root = z.looseObject({
  mediaType: z.string().startsWith("application/vnd.dev.sigstore.trustedroot"),
  tlogs: z.array(z.unknown()).min(1),
  certificateAuthorities: z.array(z.unknown()).min(1),
  ctlogs: z.array(z.unknown()).min(1),
  timestampAuthorities: z.array(z.unknown()).min(1),
});

/** Reads a trust root, which must name one of each at least. @throws naming the field that is wrong. */
export function readSigstoreRoot(json: unknown): SigstoreRoot {
  const parsed = Root.safeParse(json);
  if (!parsed.success) throw new Error(`sigstore: ${z.prettifyError(parsed.error)}`);
  try {
    return { json, material: toTrustMaterial(TrustedRoot.fromJSON(json)) };
  } catch (cause) {
    throw new Error(`sigstore: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** Whom a certificate names, and who had known them: Fulcio's subject and issuer. Compared exactly, never as a pattern. */
export interface Certified {
  readonly identity: string;
  readonly issuer: string;
}

/** What can be wrong with the evidence of a signature. */
export type EvidenceRefusal =
  | "signature-wrong"
  | "certificate-wrong"
  | "identity-wrong"
  | "sct-missing"
  | "sct-wrong"
  | "log-entry-missing"
  | "log-entry-wrong"
  | "checkpoint-missing"
  | "checkpoint-wrong"
  | "timestamp-missing"
  | "timestamp-wrong"
  | "statement-unreadable";

export interface EvidenceProblem {
  readonly refusal: EvidenceRefusal;
  readonly detail: string;
}

const problem = (refusal: EvidenceRefusal, detail: string): EvidenceProblem => ({ refusal, detail });

/** What must be there at all, before anything is computed. */
const Material = z.object({
  verificationMaterial: z.object({
    tlogEntries: z
      .array(
        z.object({
          inclusionProof: z
            .object({ checkpoint: z.object({ envelope: z.string().min(1) }).optional() })
            .optional(),
        }),
      )
      .default([]),
    timestampVerificationData: z
      .object({ rfc3161Timestamps: z.array(z.object({ signedTimestamp: z.string() })).default([]) })
      .default({ rfc3161Timestamps: [] }),
  }),
});

function missing(json: unknown): EvidenceProblem | undefined {
  const parsed = Material.safeParse(json);
  if (!parsed.success) return problem("statement-unreadable", z.prettifyError(parsed.error));
  const { tlogEntries, timestampVerificationData } = parsed.data.verificationMaterial;
  if (tlogEntries.length === 0) return problem("log-entry-missing", "no entry of a log is in the bundle");
  if (tlogEntries.some(({ inclusionProof }) => inclusionProof?.checkpoint === undefined))
    return problem("checkpoint-missing", "an entry comes without a checkpoint of its log");
  if (timestampVerificationData.rfc3161Timestamps.length === 0)
    return problem("timestamp-missing", "nobody says when it was signed");
  return undefined;
}

/** By the pinned library's codes; where one code stands for several things, by its words. */
function named(error: VerificationError): EvidenceProblem {
  const { code, message } = error;
  switch (code) {
    case "TIMESTAMP_ERROR":
      return problem("timestamp-wrong", message);
    case "SIGNATURE_ERROR":
      return problem("signature-wrong", message);
    case "CERTIFICATE_ERROR":
    case "PUBLIC_KEY_ERROR":
      if (message.endsWith("SCTs, got 0"))
        return problem("sct-missing", "no log of certificates has seen it");
      return problem(/SCT/.test(message) ? "sct-wrong" : "certificate-wrong", message);
    case "TLOG_INCLUSION_PROOF_ERROR":
      return problem(/checkpoint/.test(message) ? "checkpoint-wrong" : "log-entry-wrong", message);
    case "TLOG_ERROR":
    case "TLOG_BODY_ERROR":
    case "TLOG_INCLUSION_PROMISE_ERROR":
    case "TLOG_MISSING_INCLUSION_ERROR":
      return problem("log-entry-wrong", message);
    case "NOT_IMPLEMENTED_ERROR":
      return problem("statement-unreadable", message);
  }
}

/** One of each is demanded: a timestamp, an SCT, and an entry with its proof. */
const DEMANDED = { timestampThreshold: 1, ctlogThreshold: 1, tlogThreshold: 1 };

function verify(json: unknown, by: Certified, { material }: SigstoreRoot): EvidenceProblem | undefined {
  const entity = toSignedEntity(bundleFromJSON(json));
  if (entity.key.$case !== "certificate") return problem("certificate-wrong", "it has no certificate");
  const leaf = createPublicKey({ key: entity.key.certificate.publicKey, format: "der", type: "spki" });
  if (!entity.signature.verifySignature(leaf))
    return problem("signature-wrong", "it is not the signature of the key in its certificate");
  const { identity } = new Verifier(material, DEMANDED).verify(entity);
  const subject = identity?.subjectAlternativeName ?? "nobody";
  const issuer = identity?.extensions?.issuer ?? "nobody";
  if (subject === by.identity && issuer === by.issuer) return undefined;
  return problem("identity-wrong", `signed by ${subject} as ${issuer} knows them, not by ${by.identity}`);
}

/** What is wrong with a bundle's certificate, signature, log entry or timestamp; `undefined` if nothing is. */
export function evidenceProblem(
  bundle: Uint8Array,
  by: Certified,
  root: SigstoreRoot,
): EvidenceProblem | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(bundle).toString("utf8"));
    return missing(json) ?? verify(json, by, root);
  } catch (error) {
    if (error instanceof VerificationError) return named(error);
    if (error instanceof PolicyError) return problem("identity-wrong", error.message);
    return problem("statement-unreadable", error instanceof Error ? error.message : String(error));
  }
}
