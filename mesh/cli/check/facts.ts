import type { Certificate } from "@hauberk/crypto/certificate.ts";
import type { MeshStatus, PodStatus } from "@hauberk/mesh/standalone/control-protocol.ts";
import type { Report } from "@hauberk/viz/report.ts";

/** A fact that could be learnt, or why it could not. */
export type Learnt<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: string };

/** The mesh's authority, as its files say. */
export interface AuthorityFacts {
  readonly anchors: readonly Certificate[];
  readonly issuer: Certificate;
  readonly intermediates: readonly Certificate[];
}

/** What one proxy shows to its peers. */
export interface PresentedCertificate {
  readonly pod: PodStatus;
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
}

/** Everything that checks look at, gathered before the first is made. */
export interface CheckFacts {
  readonly nowMs: number;
  readonly cliVersion: string;
  readonly status: Learnt<MeshStatus>;
  readonly authority: Learnt<AuthorityFacts>;
  readonly presented: Learnt<readonly PresentedCertificate[]>;
  readonly report: Learnt<Report>;
}
