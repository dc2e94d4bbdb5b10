import { explainChain, isIssuedBy, verifyChain } from "@hauberk/crypto/certificate.ts";
import type { PodStatus } from "@hauberk/mesh/standalone/control-protocol.ts";
import { SUCCESS, error, known, none, warning, type Check as CheckOf } from "./check.ts";
import { nameOf, soon, within } from "./certificates.ts";
import type { CheckFacts } from "./facts.ts";

type Check = CheckOf<CheckFacts>;

/** The name of the hybrid group that every mesh connection should have negotiated. */
const HYBRID_GROUP = "X25519MLKEM768";

function podsThat(
  pods: readonly PodStatus[],
  wrong: (pod: PodStatus) => string | undefined,
): readonly string[] {
  return pods.flatMap((pod) => {
    const why = wrong(pod);
    return why === undefined ? [] : [`* ${pod.namespace}/${pod.name}: ${why}`];
  });
}

function unready(pod: PodStatus): string | undefined {
  return pod.ready || pod.phase === "Succeeded" ? undefined : (pod.problem ?? `${pod.phase}, not ready`);
}

const isControlPlane = ({ namespace }: PodStatus): boolean => namespace === "linkerd";

const RUNTIME: readonly Check[] = [
  {
    category: "hauberk-standalone",
    description: "mesh is running",
    hint: "standalone-running",
    fatal: true,
    find: ({ status }) => known(status, () => SUCCESS),
  },
  {
    category: "hauberk-standalone",
    description: "manifests are accepted",
    hint: "standalone-manifests",
    fatal: false,
    find: ({ status }) =>
      known(status, ({ problems }) => {
        const of = (severity: "error" | "warning"): readonly string[] =>
          problems
            .filter((problem) => problem.severity === severity)
            .map(
              ({ file, line, object, field, message }) =>
                `* ${file}:${line}: ${object}: ${field}: ${message}`,
            );
        const errors = of("error");
        return errors.length > 0 ? error(errors.join("\n")) : none(of("warning"), warning);
      }),
  },
  {
    category: "linkerd-existence",
    description: "control plane pods are ready",
    hint: "l5d-api-control-ready",
    fatal: true,
    find: ({ status }) =>
      known(status, ({ pods }) =>
        pods.some(isControlPlane)
          ? none(podsThat(pods.filter(isControlPlane), unready))
          : error("there is none"),
      ),
  },
];

const IDENTITY: readonly Check[] = [
  {
    category: "linkerd-identity",
    description: "certificate config is valid",
    hint: "l5d-identity-cert-config-valid",
    fatal: true,
    find: ({ authority }) =>
      known(authority, ({ anchors }) => (anchors.length > 0 ? SUCCESS : error("no trust anchor"))),
  },
  {
    category: "linkerd-identity",
    description: "trust anchors are within their validity period",
    hint: "l5d-identity-trustAnchors-are-time-valid",
    fatal: true,
    find: ({ authority, nowMs }) =>
      known(authority, ({ anchors }) => none(anchors.flatMap((one) => within(one, nameOf(one), nowMs)))),
  },
  {
    category: "linkerd-identity",
    description: "trust anchors are valid for at least 60 days",
    hint: "l5d-identity-trustAnchors-not-expiring-soon",
    fatal: false,
    find: ({ authority, nowMs }) =>
      known(authority, ({ anchors }) =>
        none(
          anchors.flatMap((one) => soon(one, nameOf(one), nowMs)),
          warning,
        ),
      ),
  },
  {
    category: "linkerd-identity",
    description: "issuer cert is within its validity period",
    hint: "l5d-identity-issuer-cert-is-time-valid",
    fatal: true,
    find: ({ authority, nowMs }) =>
      known(authority, ({ issuer }) => none(within(issuer, nameOf(issuer), nowMs))),
  },
  {
    category: "linkerd-identity",
    description: "issuer cert is valid for at least 60 days",
    hint: "l5d-identity-issuer-cert-not-expiring-soon",
    fatal: false,
    find: ({ authority, nowMs }) =>
      known(authority, ({ issuer }) => none(soon(issuer, nameOf(issuer), nowMs), warning)),
  },
  {
    category: "linkerd-identity",
    description: "issuer cert is issued by the trust anchor",
    hint: "l5d-identity-issuer-cert-issued-by-trust-anchor",
    fatal: false,
    find: ({ authority }) =>
      known(authority, ({ anchors, issuer, intermediates }) =>
        [...anchors, ...intermediates].some((anchor) => isIssuedBy(issuer, anchor))
          ? SUCCESS
          : error(`${nameOf(issuer)} was signed by none of the trust anchors`),
      ),
  },
  {
    category: "linkerd-identity-data-plane",
    description: "data plane proxies certificate match CA",
    hint: "l5d-identity-data-plane-proxies-certs-match-ca",
    fatal: false,
    find: ({ presented, authority, nowMs }) =>
      known(authority, ({ anchors }) =>
        known(presented, (certificates) =>
          none(
            certificates.flatMap(({ pod, leaf, intermediates }) => {
              const at = `* ${pod.namespace}/${pod.name}:`;
              const verdict = verifyChain({ leaf, intermediates, anchors }, nowMs);
              if (!verdict.ok) return [`${at} ${explainChain(verdict.refusal)}`];
              const isNamed = leaf.names.some((name) => name.kind === "dns" && name.value === pod.identity);
              return isNamed ? [] : [`${at} its certificate does not name ${pod.identity ?? ""}`];
            }),
          ),
        ),
      ),
  },
];

const DATA_PLANE: readonly Check[] = [
  {
    category: "linkerd-data-plane",
    description: "data plane proxies are ready",
    hint: "l5d-data-plane-ready",
    fatal: false,
    find: ({ status }) => known(status, ({ pods }) => none(podsThat(pods, unready))),
  },
  {
    category: "linkerd-data-plane",
    description: "data plane is up-to-date",
    hint: "l5d-data-plane-version",
    fatal: false,
    find: ({ report, cliVersion }) =>
      known(report, ({ proxies }) =>
        none(
          proxies
            .filter(({ version, reachable }) => reachable && version !== cliVersion)
            .map(({ namespace, pod, version }) => `* ${namespace}/${pod}: ${version}, this is ${cliVersion}`),
          warning,
        ),
      ),
  },
  {
    category: "linkerd-data-plane",
    description: "control plane and cli versions match",
    hint: "l5d-version-control",
    fatal: false,
    find: ({ status, cliVersion }) =>
      known(status, ({ version }) =>
        version === cliVersion ? SUCCESS : warning(`the mesh is ${version}, this is ${cliVersion}`),
      ),
  },
  {
    category: "linkerd-data-plane",
    description: "proxies are connected to the control plane",
    hint: "hauberk-discovery-connected",
    fatal: false,
    find: ({ report }) =>
      known(report, ({ proxies }) =>
        none(
          proxies
            .filter(({ connected }) => connected === false)
            .map(({ namespace, pod }) => `* ${namespace}/${pod} works with the last answers it had`),
          warning,
        ),
      ),
  },
  {
    category: "linkerd-data-plane",
    description: `mesh connections negotiate ${HYBRID_GROUP}`,
    hint: "hauberk-post-quantum",
    fatal: false,
    find: ({ report }) =>
      known(report, ({ edges }) =>
        none(
          edges.flatMap(({ source, destination, tls }) =>
            tls
              .filter(({ group, open }) => open > 0 && group !== HYBRID_GROUP)
              .map(
                ({ group }) =>
                  `* ${source.namespace}/${source.workload} to ${destination.namespace}/${destination.workload}: ${group}`,
              ),
          ),
          warning,
        ),
      ),
  },
  {
    category: "linkerd-viz",
    description: "viz scrapes every proxy",
    hint: "l5d-data-plane-prom",
    fatal: false,
    find: ({ report }) =>
      known(report, ({ proxies }) =>
        proxies.length === 0
          ? warning("no proxy was found")
          : none(
              proxies
                .filter(({ reachable }) => !reachable)
                .map(({ namespace, pod }) => `* ${namespace}/${pod} does not answer`),
              warning,
            ),
      ),
  },
];

/** Every check of a standalone mesh, in the order of the report. */
export const CHECKS: readonly Check[] = [...RUNTIME, ...IDENTITY, ...DATA_PLANE];
