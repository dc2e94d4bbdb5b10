/** in-toto statements, v1: what is said, of which artifact. */
import { z } from "zod";
import type { Digest } from "../oci/model.ts";

export const IN_TOTO = "application/vnd.in-toto+json";
const STATEMENT = "https://in-toto.io/Statement/v1";

/** What each statement of a release says; the types by which verifiers ask for them. */
export const Predicate = {
  /** What `cosign verify` takes for an image's signature since v3; its content is empty. */
  signature: "https://sigstore.dev/cosign/sign/v1",
  provenance: "https://slsa.dev/provenance/v1",
  bom: "https://cyclonedx.org/bom",
  /** The type that cosign calls `openvex`. */
  vex: "https://openvex.dev/ns",
  /** SLSA's verification summary: what the gate found when it verified the others. */
  summary: "https://slsa.dev/verification_summary/v1",
  /** How the build did in the conformance suites. */
  testResult: "https://in-toto.io/attestation/test-result/v0.1",
} as const;
export type PredicateName = keyof typeof Predicate;

const Statement = z.object({
  _type: z.literal(STATEMENT),
  subject: z
    .array(z.object({ name: z.string().optional(), digest: z.object({ sha256: z.string() }) }))
    .min(1),
  predicateType: z.string(),
  predicate: z.unknown(),
});
export type Statement = z.infer<typeof Statement>;

/** The bytes of a statement. */
export function writeStatement(
  subject: { readonly name: string; readonly digest: Digest },
  predicateType: string,
  predicate: unknown,
): Buffer {
  const sha256 = subject.digest.slice("sha256:".length);
  const statement = {
    _type: STATEMENT,
    subject: [{ name: subject.name, digest: { sha256 } }],
    predicateType,
    predicate,
  };
  return Buffer.from(JSON.stringify(statement));
}

/** Reads a statement. @throws if the bytes are none. */
export function readStatement(payload: Uint8Array): Statement {
  return Statement.parse(JSON.parse(Buffer.from(payload).toString("utf8")));
}
