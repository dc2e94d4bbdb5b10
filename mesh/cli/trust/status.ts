/** The state of a mesh's trust in words. Pure. */
import type { TrustRecord } from "@hauberk/mesh/identity/trust-record.ts";

/** How much of a digest is shown: enough to tell any two apart. */
const SHOWN = 16;

/** What each phase is, in one line. */
const PHASES = {
  steady: "steady: no rotation is under way",
  introducing: "introducing: the new root becomes trusted, certificates are still issued below the old one",
  reissuing: "reissuing: both roots are trusted, every certificate is renewed below the new one",
  retiring: "retiring: the old root is taken out of every proxy",
  abandoning: "abandoning: the new root is taken out again",
} as const;

/** The lines of `hauberk trust status`. */
export function trustLines({ rotation, status }: TrustRecord): readonly string[] {
  const phase = [`phase     ${PHASES[rotation.phase]}`];
  if (rotation.phase !== "steady") {
    const { by, startedMs } = rotation.plan;
    phase.push(`asked     by ${by}, ${new Date(startedMs).toISOString()}`);
  }
  if (status === undefined) return [...phase, "status    the control plane has written nothing down yet"];
  const roots = status.roots.map(({ fingerprint, name, notAfterMs }) => {
    const issues = fingerprint === status.issuer.root ? ", issues now" : "";
    return `root      ${fingerprint.slice(0, SHOWN)}  ${name}, until ${day(notAfterMs)}${issues}`;
  });
  const waiting = status.waiting.map((what) => `waits for ${what}`);
  const more = status.waitingCount - status.waiting.length;
  return [
    ...phase,
    `bundle    ${status.bundle.slice(0, SHOWN)}  proven by ${status.proven} of ${status.proxies} proxies`,
    ...roots,
    `issuer    ${status.issuer.fingerprint.slice(0, SHOWN)}  until ${day(status.issuer.notAfterMs)}`,
    ...waiting,
    ...(more > 0 ? [`waits for ${more} more`] : []),
    ...(status.refused === undefined ? [] : [`refused   ${status.refused}`]),
  ];
}

/** What an operator who waits is told: a line when it differs from the last. */
export function progressLine({ rotation, status }: TrustRecord): string {
  const count = status?.waitingCount ?? 0;
  const first = status?.waiting[0];
  const waits = first === undefined ? "" : `, waits for ${first}${count > 1 ? ` and ${count - 1} more` : ""}`;
  return `${rotation.phase}${waits}`;
}

function day(ms: number): string {
  return new Date(ms).toISOString();
}
