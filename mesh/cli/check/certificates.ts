/** What is said of a certificate's life. */
import type { Certificate } from "@hauberk/crypto/certificate.ts";

/** Sixty days: time to renew by hand, and to notice twice. */
const SOON_MS = 60 * 24 * 3_600_000;

export function within(certificate: Certificate, name: string, nowMs: number): readonly string[] {
  if (nowMs < certificate.notBeforeMs)
    return [`* ${name} is valid only from ${new Date(certificate.notBeforeMs).toISOString()}`];
  if (nowMs > certificate.notAfterMs)
    return [`* ${name} ended at ${new Date(certificate.notAfterMs).toISOString()}`];
  return [];
}

export function soon(certificate: Certificate, name: string, nowMs: number): readonly string[] {
  return certificate.notAfterMs - nowMs < SOON_MS
    ? [`* ${name} ends at ${new Date(certificate.notAfterMs).toISOString()}`]
    : [];
}

export function nameOf(certificate: Certificate): string {
  return certificate.subject.attributes.map(({ value }) => value).join(", ");
}
