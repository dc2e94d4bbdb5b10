/** Whom a verifier believes, what it expects, and how it says no. */
import type { PublicKey } from "@hauberk/crypto/algorithms.ts";
import type { Statement } from "../attest/statement.ts";
import type { Digest } from "../oci/model.ts";
import type { Certified, EvidenceRefusal, SigstoreRoot } from "./certificate.ts";

/** Somebody who signs. */
export interface Party {
  /** A URI that the keys stand for; what they sign must name it where it names anybody. */
  readonly id: string;
  /** ECDSA P-256. */
  readonly classical: PublicKey;
  /** ML-DSA-87. */
  readonly postQuantum: PublicKey;
  /** Whom certificates name: present if every statement must be signed with one, too. */
  readonly certified?: Certified;
}

/** Whom a verifier believes: who built, and who looked at it before it was let out. */
export interface Trust {
  readonly builder: Party;
  /** Absent only while the gate itself verifies. */
  readonly gate?: Party;
  /** Whose certificates, logs and clocks are believed; needed where a party is `certified`. */
  readonly sigstore?: SigstoreRoot;
}

/** Why something is refused. The names are stable: scripts and the tests of attacks go by them. */
export type Refusal =
  | "image-unknown"
  | "content-altered"
  | "statement-missing"
  | "statement-unreadable"
  | "signer-wrong"
  | "subject-wrong"
  | "companion-missing"
  | "companion-wrong"
  | "builder-wrong"
  | "source-missing"
  | "bom-empty"
  | "vulnerability-open"
  | "gate-wrong"
  | "gate-refused"
  | "summary-of-another"
  | "tests-failed"
  | "artifact-replayed"
  | "digest-wrong"
  | "platform-wrong"
  | EvidenceRefusal;

export type Outcome =
  | { readonly ok: true; readonly statement: Statement; readonly bundle: Digest }
  | { readonly ok: false; readonly refusal: Refusal; readonly detail: string };

export const refuse = (refusal: Refusal, detail: string): Outcome => ({ ok: false, refusal, detail });

/** What a thing must be besides well signed: an older release, or another image of this one, is well signed, too. */
export interface Expected {
  /** Name of the image. */
  readonly artifact?: string | undefined;
  readonly version?: string | undefined;
  readonly commit?: string | undefined;
  /** Of the index, where the release's description names it. */
  readonly digest?: string | undefined;
}
