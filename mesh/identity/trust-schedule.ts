/** When a root is replaced without being asked to, and by what. Pure but for the keys that it makes. */
import { randomUUID } from "node:crypto";
import type { IdentityDomain } from "../model/identity.ts";
import { ANCHOR_LIFE_MS, createAuthority, ISSUER_LIFE_MS } from "./issuer.ts";
import type { RotationRequest } from "./trust-record.ts";

/** When the schedule rotates. */
export type TrustSchedule =
  | { readonly type: "off" }
  /** When a third of the issuer's or its root's life is left. */
  | { readonly type: "expiry" }
  /** So long after the issuer began, and at the latest when `expiry` would. */
  | { readonly type: "every"; readonly everyMs: number };

/** Share of a certificate's life that is left when its successor is due. */
const LEFT_SHARE = 1 / 3;

/** The life of a certificate. */
export interface Life {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** When the next rotation is due; `undefined`: never. */
export function dueAtMs(schedule: TrustSchedule, issuer: Life, root: Life): number | undefined {
  const expiry = Math.min(...[issuer, root].map(thirdLeft));
  switch (schedule.type) {
    case "off":
      return undefined;
    case "expiry":
      return expiry;
    case "every":
      return Math.min(expiry, issuer.notBeforeMs + schedule.everyMs);
  }
}

function thirdLeft({ notBeforeMs, notAfterMs }: Life): number {
  return notAfterMs - (notAfterMs - notBeforeMs) * LEFT_SHARE;
}

/** A request for a new root and an issuer below it. The root's key is kept nowhere: the next rotation makes another. */
export function newRootRequest(domain: IdentityDomain, by: string, nowMs: number): RotationRequest {
  const { issuer } = createAuthority(domain, {
    nowMs,
    anchorLifeMs: ANCHOR_LIFE_MS,
    issuerLifeMs: ISSUER_LIFE_MS,
  });
  const { certificates, privateKey } = issuer;
  return {
    id: randomUUID(),
    by,
    startedMs: nowMs,
    root: issuer.anchors,
    issuer: { certificates, privateKey },
    abandon: false,
  };
}
