/**
 * The trust bundle, and its rotation without an interruption: the new anchor is trusted everywhere before anything is
 * issued below it, and the old one is dropped only when nothing issued below it is left.
 */
import { writeCertificatesPem, type Certificate } from "@hauberk/crypto/certificate.ts";
import { digest, type Digest } from "@hauberk/crypto/digest.ts";

/** How long after the bundle was pushed every proxy is taken to have it. The proxies' streams report sooner. */
export const SPREAD_MS = 60_000;

/** What the mesh trusts, as proxies receive it. */
export interface TrustBundle {
  readonly anchors: readonly Certificate[];
  readonly pem: string;
  readonly digest: Digest;
}

/** The bundle of some anchors: in the order of their fingerprints, each once, so that equal trust is equal bytes. */
export function trustBundle(anchors: readonly Certificate[]): TrustBundle {
  const distinct = new Map(anchors.map((anchor) => [anchor.fingerprint, anchor]));
  const sorted = [...distinct.values()].toSorted((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
  const pem = writeCertificatesPem(sorted);
  return { anchors: sorted, pem, digest: digest(new TextEncoder().encode(pem)) };
}

/** Where a mesh is in replacing its anchor. */
export type Rotation =
  | { readonly phase: "steady"; readonly anchor: Certificate }
  /** Both are trusted; issued is below `from`. */
  | {
      readonly phase: "introducing";
      readonly from: Certificate;
      readonly to: Certificate;
      readonly sinceMs: number;
    }
  /** Both are trusted; issued is below `to`; leaves below `from` live until `untilMs`. */
  | {
      readonly phase: "reissuing";
      readonly from: Certificate;
      readonly to: Certificate;
      readonly untilMs: number;
    };

/** What moves a rotation on. */
export type RotationEvent =
  | { readonly type: "introduce"; readonly to: Certificate }
  /** The issuer is now one below the new anchor; a leaf of the old one lives `leafLifeMs` at most. */
  | { readonly type: "issuer_switched"; readonly leafLifeMs: number }
  | { readonly type: "tick" }
  /** Back to the old anchor, while nothing was issued below the new one. */
  | { readonly type: "abandon" };

/** Why an event does not apply. */
export type RotationRefusal =
  | { readonly code: "rotation_under_way" }
  | { readonly code: "no_rotation" }
  | { readonly code: "same_anchor" }
  | { readonly code: "not_spread_yet"; readonly waitMs: number }
  | { readonly code: "already_reissuing" };

export type RotationVerdict =
  | { readonly ok: true; readonly rotation: Rotation }
  | { readonly ok: false; readonly refusal: RotationRefusal };

/** What is trusted in a phase. */
export function trustedIn(rotation: Rotation): TrustBundle {
  switch (rotation.phase) {
    case "steady":
      return trustBundle([rotation.anchor]);
    case "introducing":
    case "reissuing":
      return trustBundle([rotation.from, rotation.to]);
  }
}

/** The anchor that the issuer must lead to in a phase. */
export function issuingBelow(rotation: Rotation): Certificate {
  switch (rotation.phase) {
    case "steady":
      return rotation.anchor;
    case "introducing":
      return rotation.from;
    case "reissuing":
      return rotation.to;
  }
}

/** Moves a rotation on. A refused event changes nothing. */
export function rotate(rotation: Rotation, event: RotationEvent, nowMs: number): RotationVerdict {
  switch (event.type) {
    case "introduce":
      if (rotation.phase !== "steady") return refuse({ code: "rotation_under_way" });
      if (rotation.anchor.fingerprint === event.to.fingerprint) return refuse({ code: "same_anchor" });
      return move({ phase: "introducing", from: rotation.anchor, to: event.to, sinceMs: nowMs });
    case "issuer_switched": {
      if (rotation.phase === "steady") return refuse({ code: "no_rotation" });
      if (rotation.phase === "reissuing") return refuse({ code: "already_reissuing" });
      const waitMs = rotation.sinceMs + SPREAD_MS - nowMs;
      if (waitMs > 0) return refuse({ code: "not_spread_yet", waitMs });
      const { from, to } = rotation;
      return move({ phase: "reissuing", from, to, untilMs: nowMs + event.leafLifeMs });
    }
    case "tick":
      if (rotation.phase !== "reissuing" || nowMs < rotation.untilMs) return move(rotation);
      return move({ phase: "steady", anchor: rotation.to });
    case "abandon":
      if (rotation.phase === "steady") return refuse({ code: "no_rotation" });
      if (rotation.phase === "reissuing") return refuse({ code: "already_reissuing" });
      return move({ phase: "steady", anchor: rotation.from });
  }
}

function move(rotation: Rotation): RotationVerdict {
  return { ok: true, rotation };
}

function refuse(refusal: RotationRefusal): RotationVerdict {
  return { ok: false, refusal };
}
