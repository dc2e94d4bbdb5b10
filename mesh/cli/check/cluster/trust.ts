/** Checks of what the mesh trusts: anchors, issuer, and the webhooks' certificates. */
import { isIssuedBy, type Certificate } from "@hauberk/crypto/certificate.ts";
import { SUCCESS, error, known, none, warning, type Check } from "../check.ts";
import { nameOf, soon, within } from "../certificates.ts";
import type { ClusterFacts } from "./facts.ts";

type ClusterCheck = Check<ClusterFacts>;

const IDENTITY = "linkerd-identity";

/** The issuer is the first certificate of its chain. */
function ofIssuer(
  { issuer }: ClusterFacts,
  wrong: (certificate: Certificate) => readonly string[],
  as: typeof error = error,
) {
  return known(issuer, (chain) => none(chain.slice(0, 1).flatMap(wrong), as));
}

function ofAnchors(
  { anchors }: ClusterFacts,
  wrong: (certificate: Certificate) => readonly string[],
  as: typeof error = error,
) {
  return known(anchors, (all) => none(all.flatMap(wrong), as));
}

/** A certificate with an algorithm that we do not permit is not read at all, so what was read is supported. */
export const IDENTITY_CHECKS: readonly ClusterCheck[] = [
  {
    category: IDENTITY,
    description: "certificate config is valid",
    hint: "l5d-identity-cert-config-valid",
    fatal: true,
    passes: true,
    find: ({ anchors, issuer }) =>
      known(issuer, () =>
        known(anchors, (all) => (all.length > 0 ? SUCCESS : error("there is no trust anchor"))),
      ),
  },
  {
    category: IDENTITY,
    description: "trust anchors are using supported crypto algorithm",
    hint: "l5d-identity-trustAnchors-use-supported-crypto",
    fatal: true,
    find: ({ anchors }) => known(anchors, () => SUCCESS),
  },
  {
    category: IDENTITY,
    description: "trust anchors are within their validity period",
    hint: "l5d-identity-trustAnchors-are-time-valid",
    fatal: true,
    find: (facts) => ofAnchors(facts, (one) => within(one, nameOf(one), facts.nowMs)),
  },
  {
    category: IDENTITY,
    description: "trust anchors are valid for at least 60 days",
    hint: "l5d-identity-trustAnchors-not-expiring-soon",
    fatal: false,
    find: (facts) => ofAnchors(facts, (one) => soon(one, nameOf(one), facts.nowMs), warning),
  },
  {
    category: IDENTITY,
    description: "issuer cert is using supported crypto algorithm",
    hint: "l5d-identity-issuer-cert-uses-supported-crypto",
    fatal: true,
    find: ({ issuer }) => known(issuer, () => SUCCESS),
  },
  {
    category: IDENTITY,
    description: "issuer cert is within its validity period",
    hint: "l5d-identity-issuer-cert-is-time-valid",
    fatal: true,
    find: (facts) => ofIssuer(facts, (one) => within(one, nameOf(one), facts.nowMs)),
  },
  {
    category: IDENTITY,
    description: "issuer cert is valid for at least 60 days",
    hint: "l5d-identity-issuer-cert-not-expiring-soon",
    fatal: false,
    find: (facts) => ofIssuer(facts, (one) => soon(one, nameOf(one), facts.nowMs), warning),
  },
  {
    category: IDENTITY,
    description: "issuer cert is issued by the trust anchor",
    hint: "l5d-identity-issuer-cert-issued-by-trust-anchor",
    fatal: false,
    find: (facts) =>
      known(facts.anchors, (anchors) =>
        known(facts.issuer, ([issuer, ...others]) => {
          if (issuer === undefined) return error("there is no issuer");
          const isTrusted = [...anchors, ...others].some(
            (anchor) => anchor.fingerprint === issuer.fingerprint || isIssuedBy(issuer, anchor),
          );
          return isTrusted ? SUCCESS : error(`${nameOf(issuer)} was signed by none of the trust anchors`);
        }),
      ),
  },
];

const WEBHOOK_NAMES = ["proxy-injector", "sp-validator", "policy-validator"] as const;
const WEBHOOKS = "linkerd-webhooks-and-apisvc-tls";

export const WEBHOOK_CHECKS: readonly ClusterCheck[] = WEBHOOK_NAMES.flatMap(
  (name): readonly ClusterCheck[] => [
    {
      category: WEBHOOKS,
      description: `${name} webhook has valid cert`,
      hint: `l5d-${name}-webhook-cert-valid`,
      fatal: true,
      passes: true,
      find: ({ webhooks, nowMs }) => {
        const webhook = webhooks.find((one) => one.name === name);
        if (webhook === undefined) return error("it was not looked at");
        return known(webhook.serving, (leaf) =>
          known(webhook.bundle, (bundle) => {
            const isTrusted = bundle.some((authority) => isIssuedBy(leaf, authority));
            const untrusted = isTrusted ? [] : ["* API servers were told of no authority that signed it"];
            return none([...within(leaf, `the certificate of ${name}`, nowMs), ...untrusted]);
          }),
        );
      },
    },
    {
      category: WEBHOOKS,
      description: `${name} cert is valid for at least 60 days`,
      hint: `l5d-${name}-webhook-cert-not-expiring-soon`,
      fatal: false,
      find: ({ webhooks, nowMs }) => {
        const webhook = webhooks.find((one) => one.name === name);
        if (webhook === undefined) return warning("it was not looked at");
        return known(webhook.serving, (leaf) =>
          none(soon(leaf, `the certificate of ${name}`, nowMs), warning),
        );
      },
    },
  ],
);
