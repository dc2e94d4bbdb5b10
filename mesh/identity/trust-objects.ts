/** The objects of a cluster in which its trust is written down: their names, and what is in them. Pure. */
import { z } from "zod";
import type { Reported } from "./trust-grpc.ts";

/** Linkerd's names. */
export const TRUST_ROOTS = { name: "linkerd-identity-trust-roots", key: "ca-bundle.crt" } as const;
export const ISSUER_SECRET = "linkerd-identity-issuer";

/** The phase of a rotation, and the certificate of the issuer in force, without its key. */
export const TRUST_RECORD = {
  name: "linkerd-identity-trust-rotation",
  record: "rotation.json",
  issuer: "issuer.crt",
} as const;

/** The request for a rotation: whoever creates it has the rotation. */
export const TRUST_REQUEST = { name: "linkerd-identity-trust-request", key: "request.json" } as const;

/** What proxies have proven, as each replica that they report to has heard it: one key for each. */
export const TRUST_REPORTS = "linkerd-identity-trust-reports";

/** Which replica of the identity role drives rotations. */
export const TRUST_LEASE = "linkerd-identity-trust-rotation";

/** A replica's reports that were not written anew for so long are of one that is no more. */
export const REPORTS_STALE_MS = 900_000;

const Reports = z.strictObject({
  atMs: z.number(),
  /** By bundle, then by issuer: the UIDs of pods, each with the second of its report. */
  reports: z.record(z.string(), z.record(z.string(), z.record(z.string(), z.number().int()))),
});

/** A replica's reports as text: about fifty bytes for each proxy, so that a ConfigMap holds twenty thousand. */
export function writeReports(reports: readonly Reported[], atMs: number): string {
  const byBundle: Record<string, Record<string, Record<string, number>>> = {};
  for (const { bundle, issuer, uid, atMs: reportedMs } of reports) {
    const byIssuer = (byBundle[bundle] ??= {});
    const byUid = (byIssuer[issuer] ??= {});
    byUid[uid] = Math.floor(reportedMs / 1_000);
  }
  return JSON.stringify({ atMs, reports: byBundle });
}

/** What one proxy has proven, and when. */
export interface Proven {
  readonly bundle: string;
  readonly issuer: string;
  readonly atMs: number;
}

/** What all replicas have heard, by the pod's UID: the latest of each. A replica's text that cannot be read says nothing. */
export function readReports(texts: Iterable<string>): ReadonlyMap<string, Proven> {
  const latest = new Map<string, Proven>();
  for (const text of texts) {
    for (const [bundle, byIssuer] of Object.entries(parseReports(text)?.reports ?? {})) {
      for (const [issuer, byUid] of Object.entries(byIssuer)) {
        for (const [uid, second] of Object.entries(byUid)) {
          const atMs = second * 1_000;
          if ((latest.get(uid)?.atMs ?? -1) < atMs) latest.set(uid, { bundle, issuer, atMs });
        }
      }
    }
  }
  return latest;
}

/** Whether a replica's text is so old that the replica is no more. */
export function isStaleReports(text: string, nowMs: number): boolean {
  return nowMs - (parseReports(text)?.atMs ?? 0) > REPORTS_STALE_MS;
}

function parseReports(text: string): z.infer<typeof Reports> | undefined {
  try {
    return Reports.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
