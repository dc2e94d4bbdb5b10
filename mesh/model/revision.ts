/**
 * A second control plane beside the first, in the same namespace: what is its own carries its revision in its name, and
 * namespaces choose it by a label. Everything that identities and trust are made of is the same. Pure.
 */

/** On a namespace: whose injector it wants. On objects and pods: whose they are. */
export const REVISION_LABEL = "linkerd.io/rev";

/** What a revision may be called: a part of names that have at most 63 characters. */
export const REVISION = /^[a-z]([a-z0-9-]{0,14}[a-z0-9])?$/;

/** Objects that each revision has for itself. */
const OWN: ReadonlySet<string> = new Set([
  "linkerd-config",
  "linkerd-destination",
  "linkerd-identity",
  "linkerd-proxy-injector",
  "linkerd-proxy-injector-webhook-config",
  "linkerd-dst",
  "linkerd-dst-headless",
  "linkerd-policy",
  "linkerd-identity-headless",
]);
const CERTIFICATE = "-k8s-tls";

/** The name of a revision's own object; one that all share keeps its name, and so does everything where there is no revision. */
export function ofRevision(name: string, revision: string | undefined): string {
  if (revision === undefined) return name;
  // The Secret of a webhook is named after its Service.
  if (name.endsWith(CERTIFICATE)) {
    const service = name.slice(0, -CERTIFICATE.length);
    return `${ofRevision(service, revision)}${CERTIFICATE}`;
  }
  return OWN.has(name) ? `${name}-${revision}` : name;
}
