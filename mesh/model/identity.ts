/** Who a workload is: its service account, as Linkerd's DNS-like name and as a SPIFFE ID. */

/** A service account, the unit that identities are given to. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
}

/** What all identities of one mesh share. */
export interface IdentityDomain {
  /** For instance `cluster.local`. */
  readonly trustDomain: string;
  /** The control plane's namespace, a part of every DNS-like name. */
  readonly controlPlaneNamespace: string;
}

/** Both spellings of one identity. They always stand together in a certificate. */
export interface WorkloadIdentity {
  readonly serviceAccount: ServiceAccount;
  /** `web.shop.serviceaccount.identity.linkerd.cluster.local`: what SNI, policies and metrics use. */
  readonly dnsName: string;
  /** `spiffe://cluster.local/ns/shop/sa/web`. */
  readonly spiffeId: string;
}

/** Most bytes of a DNS name (RFC 1035 §3.1), without the trailing dot. */
export const DNS_NAME_BYTES_MAX = 253;

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/**
 * The identity of a service account, or `undefined` if its names are not those of Kubernetes (RFC 1123 label and
 * subdomain) or too long together. Two accounts never share an identity: a namespace has no dot.
 */
export function workloadIdentity(
  serviceAccount: ServiceAccount,
  { trustDomain, controlPlaneNamespace }: IdentityDomain,
): WorkloadIdentity | undefined {
  const { namespace, name } = serviceAccount;
  const dnsName = `${name}.${namespace}.serviceaccount.identity.${controlPlaneNamespace}.${trustDomain}`;
  const isNamed =
    LABEL.test(namespace) &&
    LABEL.test(controlPlaneNamespace) &&
    SUBDOMAIN.test(name) &&
    SUBDOMAIN.test(trustDomain) &&
    dnsName.length <= DNS_NAME_BYTES_MAX;
  if (!isNamed) return undefined;
  return {
    serviceAccount: { namespace, name },
    dnsName,
    spiffeId: `spiffe://${trustDomain}/ns/${namespace}/sa/${name}`,
  };
}
