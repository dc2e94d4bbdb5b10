/** Trust in numbers. Pure. */
import type { IssuerCounts } from "../identity/issuer-in-force.ts";
import type { Issuer } from "../identity/issuer.ts";
import type { TrustGauges, TrustInForce } from "../identity/trust-grpc.ts";
import type { Family } from "./metrics.ts";

/** The bundle and the issuer in force, and who proved to trust what. */
export function trustFamilies({
  inForce,
  gauges,
  issuer,
}: {
  readonly inForce: TrustInForce;
  readonly gauges: TrustGauges;
  readonly issuer: Readonly<IssuerCounts> | undefined;
}): readonly Family[] {
  const byBundle = new Map<string, number>();
  for (const { bundle } of gauges.reports()) byBundle.set(bundle, (byBundle.get(bundle) ?? 0) + 1);
  return [
    {
      name: "hauberk_trust_bundle",
      type: "gauge",
      help: "The trust bundle in force: 1 with its digest.",
      series: [{ labels: { sha256: inForce.bundle.digest }, value: 1 }],
    },
    {
      name: "hauberk_trust_root_expiry_timestamp_seconds",
      type: "gauge",
      help: "When each root of the bundle ends.",
      series: inForce.bundle.anchors.map(({ fingerprint, notAfterMs }) => ({
        labels: { root: fingerprint },
        value: Math.floor(notAfterMs / 1000),
      })),
    },
    {
      name: "hauberk_trust_followers",
      type: "gauge",
      help: "Proxies to which a changed bundle is pushed.",
      series: [{ labels: {}, value: gauges.followers() }],
    },
    {
      name: "hauberk_trust_proven",
      type: "gauge",
      help: "Live proxies by the bundle that they proved to have in force.",
      series: [...byBundle].map(([sha256, value]) => ({ labels: { sha256 }, value })),
    },
    ...(issuer === undefined ? [] : [changes(issuer)]),
  ];
}

function changes({ replaced, refused }: Readonly<IssuerCounts>): Family {
  return {
    name: "hauberk_issuer_changes_total",
    type: "counter",
    help: "Issuers that were offered: put in force, or refused so that the one before stayed.",
    series: [
      { labels: { result: "replaced" }, value: replaced },
      { labels: { result: "refused" }, value: refused },
    ],
  };
}

/** The issuer in force, for a role that pushes no bundle. */
export function issuerFamilies(
  issuer: Issuer | undefined,
  counts: Readonly<IssuerCounts>,
): readonly Family[] {
  const ends = issuer === undefined ? [] : [issuer.authority.certificate];
  return [
    changes(counts),
    {
      name: "hauberk_issuer_expiry_timestamp_seconds",
      type: "gauge",
      help: "When the issuer in force ends.",
      series: ends.map(({ notAfterMs }) => ({ labels: {}, value: Math.floor(notAfterMs / 1000) })),
    },
  ];
}
