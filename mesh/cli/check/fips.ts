/** Checks of the FIPS profile: of each component, each proxy and each edge, by what they say of themselves. Pure. */
import type { CryptoInventory } from "@hauberk/compliance/inventory/inventory.ts";
import { GROUPS, SIGNATURES, SUITES } from "@hauberk/fips-profile/algorithms.ts";
import { moduleNamed } from "@hauberk/fips-profile/modules.ts";
import { error, none, warning, type Check } from "./check.ts";

/** A process of the control plane, and what its metrics say of its module. */
export interface ComponentModule {
  /** `namespace/pod:port`. */
  readonly name: string;
  readonly module: string;
  readonly version: string;
  readonly isApproved: boolean;
}

/** What there is to judge. */
export interface FipsFacts {
  readonly inventory: CryptoInventory;
  readonly components: readonly ComponentModule[];
  /** Processes that could not be asked, each with the reason. */
  readonly silent: readonly string[];
}

type FipsCheck = Check<FipsFacts>;

const CATEGORY = "hauberk-fips";

const isGroup = (name: string): boolean => GROUPS.some((group) => group.name === name);
const isSuite = (name: string): boolean => SUITES.some((suite) => suite.name === name);
const isSignature = (name: string): boolean => SIGNATURES.some((signature) => signature.name === name);

/** Why nothing may be claimed of a module; `undefined` if a certificate names it. */
function unproven(module: string, version: string): string | undefined {
  const known = moduleNamed(module, version);
  if (known === undefined) return `${module} ${version}, which the profile does not know`;
  return known.certificates.length === 0
    ? `${module} ${version}, for which no certificate is known`
    : undefined;
}

const COMPONENTS: readonly FipsCheck[] = [
  {
    category: CATEGORY,
    description: "every component and every proxy answers",
    hint: "hauberk-fips-answers",
    fatal: false,
    passes: true,
    find: ({ silent, inventory, components }) =>
      components.length + inventory.proxies.length + silent.length === 0
        ? error("there is none")
        : none(silent.map((line) => `* ${line}`)),
  },
  {
    category: CATEGORY,
    description: "control plane components are in approved mode",
    hint: "hauberk-fips-components",
    fatal: false,
    find: ({ components }) =>
      none(
        components
          .filter(({ isApproved }) => !isApproved)
          .map(({ name, module, version }) => `* ${name}: ${module} ${version} is not in approved mode`),
      ),
  },
  {
    category: CATEGORY,
    description: "control plane components run modules with a certificate",
    hint: "hauberk-fips-certificates",
    fatal: false,
    find: ({ components }) =>
      none(
        components.flatMap(({ name, module, version }) => {
          const why = unproven(module, version);
          return why === undefined ? [] : [`* ${name}: ${why}`];
        }),
        // The operator may have chosen it: fips.node=hybrid.
        warning,
      ),
  },
];

const PROXIES: readonly FipsCheck[] = [
  {
    category: CATEGORY,
    description: "proxies are in approved mode",
    hint: "hauberk-fips-proxies",
    fatal: false,
    find: ({ inventory }) =>
      none(
        inventory.proxies
          .filter(({ module }) => module.mode !== "approved")
          .map(
            ({ namespace, pod, module }) =>
              `* ${namespace}/${pod}: ${module.name} ${module.version} is not in approved mode`,
          ),
      ),
  },
  {
    category: CATEGORY,
    description: "proxies run modules with a certificate",
    hint: "hauberk-fips-certificates",
    fatal: false,
    find: ({ inventory }) =>
      none(
        inventory.proxies.flatMap(({ namespace, pod, module }) => {
          const why = unproven(module.name, module.version);
          return why === undefined ? [] : [`* ${namespace}/${pod}: ${why}`];
        }),
      ),
  },
  {
    category: CATEGORY,
    description: "proxies offer approved algorithms only",
    hint: "hauberk-fips-algorithms",
    fatal: false,
    find: ({ inventory }) =>
      none(
        inventory.proxies.flatMap(({ namespace, pod, groups, suites }) => {
          const others = [
            ...groups.filter((group) => !isGroup(group)),
            ...suites.filter((suite) => !isSuite(suite)),
          ];
          return others.length === 0 ? [] : [`* ${namespace}/${pod}: ${others.join(", ")}`];
        }),
      ),
  },
  {
    category: CATEGORY,
    description: "proxies' certificates are of approved algorithms",
    hint: "hauberk-fips-algorithms",
    fatal: false,
    find: ({ inventory }) =>
      none(
        inventory.proxies
          .filter(({ certificate: { signatureAlgorithm: name } }) => name !== "unknown" && !isSignature(name))
          .map(
            ({ namespace, pod, certificate }) => `* ${namespace}/${pod}: ${certificate.signatureAlgorithm}`,
          ),
      ),
  },
];

const EDGES: readonly FipsCheck[] = [
  {
    category: CATEGORY,
    description: "connections negotiate approved groups and suites",
    hint: "hauberk-fips-edges",
    fatal: false,
    find: ({ inventory }) =>
      none(
        inventory.edges
          .filter(({ group, suite }) => !isGroup(group) || !isSuite(suite))
          .map(
            ({ client, server, group, suite }) => `* ${client || "unknown"} to ${server}: ${group}, ${suite}`,
          ),
      ),
  },
  {
    category: CATEGORY,
    description: "nothing goes without the mesh's TLS",
    hint: "hauberk-fips-plaintext",
    fatal: false,
    find: ({ inventory }) =>
      none(
        inventory.plain.map(
          ({ observer, direction, peer, connections }) =>
            `* ${observer}: ${connections} ${direction}, ${peer}`,
        ),
        warning,
      ),
  },
];

/** In the order of the report. */
export const FIPS_CHECKS: readonly FipsCheck[] = [...COMPONENTS, ...PROXIES, ...EDGES];
