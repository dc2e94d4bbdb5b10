/** Checks of certificates, authorities and who may call whom. Pure. */
import type { Authority, Evidence } from "../evidence/evidence.ts";
import { secondsLeft } from "../inventory/inventory.ts";
import { describeSeconds } from "../inventory/print.ts";
import { count, satisfied, unknown, unsatisfied, using, type Check } from "./check.ts";

/** An authority that ends sooner is to be replaced now. */
const AUTHORITY_DAYS_MIN = 30;
/** A longer life of a leaf certificate makes a stolen key worth more. */
const LEAF_HOURS_MAX = 24;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** Keys and signatures of less strength than 112 bits are not among these. */
const STRONG_KEYS: ReadonlySet<string> = new Set([
  "ecdsa-p256",
  "ecdsa-p384",
  "ed25519",
  "ml-dsa-44",
  "ml-dsa-65",
  "ml-dsa-87",
]);

function endings(authorities: readonly Authority[], at: string): readonly string[] {
  const now = Date.parse(at);
  return authorities.flatMap(({ name, facts }) => {
    const leftMs = Date.parse(facts.notAfter) - now;
    if (leftMs <= 0) return [`${name} ended at ${facts.notAfter}`];
    if (facts.notBefore !== undefined && Date.parse(facts.notBefore) > now)
      return [`${name} is valid only from ${facts.notBefore}`];
    if (leftMs < AUTHORITY_DAYS_MIN * DAY_MS)
      return [`${name} ends at ${facts.notAfter}, in less than ${AUTHORITY_DAYS_MIN} days`];
    return [];
  });
}

function judgeAuthorities({ anchors, issuer, at }: Evidence) {
  return using(anchors, (roots) =>
    using(issuer, (issuers) => {
      const all = [...roots, ...issuers];
      if (roots.length === 0 || issuers.length === 0)
        return unknown("There is no trust anchor, or no issuer, to look at.");
      const findings = endings(all, at);
      if (findings.length > 0)
        return unsatisfied(
          `${count(findings.length, "authority", "authorities")} ended or ends soon.`,
          findings,
        );
      return satisfied(
        `${count(roots.length, "trust anchor")} and ${count(issuers.length, "issuer")} are valid for ${AUTHORITY_DAYS_MIN} more days at least.`,
      );
    }),
  );
}

function judgeLeaves({ crypto }: Evidence) {
  return using(crypto, (inventory) => {
    const { proxies, silent, at } = inventory;
    if (proxies.length === 0) return unknown("No proxy answered.", silent);
    const findings = proxies.flatMap((proxy) => {
      const left = secondsLeft(proxy, at);
      const name = `${proxy.namespace}/${proxy.pod}`;
      if (left === undefined) return [];
      if (left <= 0) return [`${name}: its certificate ended at ${proxy.certificate.notAfter ?? "?"}`];
      if (left * 1_000 > LEAF_HOURS_MAX * HOUR_MS + HOUR_MS)
        return [`${name}: its certificate is valid for ${describeSeconds(left)} more`];
      return [];
    });
    if (findings.length > 0)
      return unsatisfied(`${count(findings.length, "certificate")} ended or live too long.`, findings);
    const without = proxies.filter(({ certificate }) => certificate.notAfter === undefined);
    if (without.length + silent.length > 0)
      return unknown(
        `The certificates of ${count(without.length + silent.length, "proxy", "proxies")} are not known.`,
        [...without.map(({ namespace, pod }) => `${namespace}/${pod}`), ...silent],
      );
    return satisfied(
      `${count(proxies.length, "certificate")} are valid, none for more than ${LEAF_HOURS_MAX} hours.`,
    );
  });
}

function judgeKeys({ crypto, anchors, issuer }: Evidence) {
  return using(crypto, ({ proxies }) =>
    using(anchors, (roots) =>
      using(issuer, (issuers) => {
        const keys = [
          ...[...roots, ...issuers].map(({ name, facts }) => ({ name, keyType: facts.keyType })),
          ...proxies.map(({ namespace, pod, certificate }) => ({
            name: `${namespace}/${pod}`,
            keyType: certificate.keyType,
          })),
        ];
        const weak = keys.filter(({ keyType }) => keyType !== "unknown" && !STRONG_KEYS.has(keyType));
        if (weak.length > 0)
          return unsatisfied(
            `${count(weak.length, "key")} are too weak.`,
            weak.map(({ name, keyType }) => `${name}: ${keyType}`),
          );
        const silent = keys.filter(({ keyType }) => keyType === "unknown");
        if (silent.length > 0 || keys.length === 0)
          return unknown(
            `The kinds of ${count(silent.length, "key")} are not known.`,
            silent.map(({ name }) => name),
          );
        return satisfied(`All ${count(keys.length, "key")} have 112 bits of strength at least.`);
      }),
    ),
  );
}

function judgeTrust({ rotation, crypto }: Evidence) {
  return using(rotation, ({ phase, bundle, refused }) =>
    using(crypto, ({ proxies, silent }) => {
      if (refused !== undefined) return unsatisfied("A request to rotate was refused.", [refused]);
      const other = proxies.filter(({ trustBundle }) => trustBundle !== undefined && trustBundle !== bundle);
      if (other.length > 0)
        return unsatisfied(
          `${count(other.length, "proxy", "proxies")} of ${proxies.length} trust another bundle than the one in force; phase ${phase}.`,
          other.map(({ namespace, pod, trustBundle }) => `${namespace}/${pod}: ${trustBundle ?? "?"}`),
        );
      const mute = proxies.filter(({ trustBundle }) => trustBundle === undefined);
      if (mute.length + silent.length > 0 || proxies.length === 0)
        return unknown(`What ${count(mute.length + silent.length, "proxy", "proxies")} trust is not known.`, [
          ...mute.map(({ namespace, pod }) => `${namespace}/${pod}`),
          ...silent,
        ]);
      return satisfied(
        `All ${count(proxies.length, "proxy", "proxies")} trust the bundle in force; phase ${phase}.`,
      );
    }),
  );
}

function judgeMeshed({ workloads }: Evidence) {
  return using(workloads, (pods) => {
    const others = pods.filter(({ own }) => !own);
    if (others.length === 0) return unknown("There is no workload besides the mesh itself.");
    const unmeshed = others.filter(({ meshed }) => !meshed);
    if (unmeshed.length > 0)
      return unsatisfied(
        `${count(unmeshed.length, "pod")} of ${others.length} have no proxy.`,
        unmeshed.map(({ namespace, pod }) => `${namespace}/${pod}`),
      );
    const leftOut = pods.length - others.length;
    return satisfied(
      `All ${count(others.length, "pod")} have a proxy; ${leftOut} of the mesh itself and of exempt namespaces were left out.`,
    );
  });
}

function judgeDenial({ guards }: Evidence) {
  return using(guards, (ports) => {
    if (ports.length === 0) return unknown("No meshed workload declares a port.");
    const open = ports.filter(({ unauthenticated }) => unauthenticated);
    if (open.length > 0)
      return unsatisfied(
        `${count(open.length, "port")} of ${ports.length} let clients without an identity in.`,
        open.map(({ workload, port, server }) => `${workload} port ${port}: ${server}`),
      );
    return satisfied(`All ${count(ports.length, "port")} require an identity.`);
  });
}

function judgeExplicit({ guards }: Evidence) {
  return using(guards, (ports) => {
    if (ports.length === 0) return unknown("No meshed workload declares a port.");
    const bare = ports.filter(({ explicit }) => !explicit);
    if (bare.length > 0)
      return unsatisfied(
        `${count(bare.length, "port")} of ${ports.length} have no Server: a default decides.`,
        bare.map(({ workload, port, server }) => `${workload} port ${port}: ${server}`),
      );
    return satisfied(`A Server governs each of the ${count(ports.length, "port")}.`);
  });
}

export const IDENTITY_CHECKS: readonly Check[] = [
  {
    id: "authorities-current",
    title: `Trust anchors and issuers are valid for ${AUTHORITY_DAYS_MIN} more days`,
    needs: ["anchors", "issuer"],
    remedy: "Rotate the authority that is named: hauberk trust rotate.",
    judge: judgeAuthorities,
  },
  {
    id: "certificates-current",
    title: `Every workload's certificate is valid, and for ${LEAF_HOURS_MAX} hours at most`,
    needs: ["crypto"],
    remedy:
      "Look why the proxies that are named do not renew (hauberk check --proxy); shorten the issuance lifetime.",
    judge: judgeLeaves,
  },
  {
    id: "keys-strong",
    title: "Keys of authorities and workloads are of a permitted kind",
    needs: ["crypto", "anchors", "issuer"],
    remedy: "Replace the keys that are named by ECDSA P-256 or stronger ones.",
    judge: judgeKeys,
  },
  {
    id: "trust-agreed",
    title: "Every proxy trusts the bundle in force, and no other",
    needs: ["rotation", "crypto"],
    remedy: "hauberk trust status names the proxies that a rotation waits for.",
    judge: judgeTrust,
  },
  {
    id: "workloads-meshed",
    title: "Every workload has a proxy",
    needs: ["workloads"],
    remedy: "Annotate the namespaces with linkerd.io/inject: enabled and restart the pods that are named.",
    judge: judgeMeshed,
  },
  {
    id: "identity-required",
    title: "No port lets a client without an identity in",
    needs: ["guards"],
    remedy:
      "Set the default inbound policy all-authenticated or deny, or give the ports a Server with authorizations.",
    judge: judgeDenial,
  },
  {
    id: "policy-explicit",
    title: "A policy of its own governs every port",
    needs: ["guards"],
    remedy: "hauberk policy generate writes Servers and authorizations from the traffic that was seen.",
    judge: judgeExplicit,
  },
];
