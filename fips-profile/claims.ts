/**
 * What may be said of a build: generated from its lock files and from the certificates of the modules that they pin.
 * Nobody types a claim. Pure.
 */
import { lockedCrates } from "./locks.ts";
import { moduleOf, type ModuleVersion } from "./modules.ts";

/** Which provider the control plane and the command line load. */
export const NODE_CHOICES = ["certified", "hybrid"] as const;
export type NodeChoice = (typeof NODE_CHOICES)[number];

/** The lock files that pin modules, relative to the root. */
export const LOCKS = {
  proxy: "proxy/fips/Cargo.lock",
  certified: "fips-profile/node/certified/Cargo.lock",
  hybrid: "fips-profile/node/hybrid/Cargo.lock",
} as const;
export type Pinned = keyof typeof LOCKS;

/** Who runs with which module. */
const COMPONENTS: Readonly<Record<Pinned, string>> = {
  proxy: "data plane (proxy-fips)",
  certified: "control plane and command line (controller-fips, cli-fips), choice certified",
  hybrid: "control plane and command line (controller-fips, cli-fips), choice hybrid",
};

/** Crates that carry a module's source. */
const CARRIERS = ["aws-lc-fips-sys", "openssl-src"];

/** One statement, and what it rests on. */
export interface Claim {
  readonly component: string;
  readonly module: string;
  readonly version: string;
  readonly crate: string;
  /** SHA-256 of the registry's file that the module is built from. */
  readonly checksum: string;
  /** Numbers of certificates that name this version; none: it is not validated. */
  readonly certificates: readonly number[];
  readonly sources: readonly string[];
  readonly note: string;
}

/** A lock file pins what the profile does not know: no claim can be made, and none is. */
export class UnknownModuleError extends Error {
  constructor(what: string) {
    super(what);
    this.name = "UnknownModuleError";
  }
}

/** What one lock file amounts to. @throws {UnknownModuleError} if it pins none of the modules that are known. */
export function claimOf(pinned: Pinned, lock: string): Claim {
  const carriers = lockedCrates(lock).filter(({ name }) => CARRIERS.includes(name));
  const [crate, second] = carriers;
  if (crate === undefined || second !== undefined)
    throw new UnknownModuleError(`${LOCKS[pinned]} pins ${carriers.length} modules, and has to pin one`);
  const module: ModuleVersion | undefined = moduleOf(crate);
  if (module === undefined || crate.checksum === undefined)
    throw new UnknownModuleError(
      `${LOCKS[pinned]} pins ${crate.name} ${crate.version}, whose module is not in fips-profile/modules.ts`,
    );
  return {
    component: COMPONENTS[pinned],
    module: module.module,
    version: module.version,
    crate: `${crate.name} ${crate.version}`,
    checksum: crate.checksum,
    certificates: module.certificates.map(({ number }) => number),
    sources: module.sources,
    note: module.note,
  };
}

/** What holds for every claim, and what none of them says. */
export const NOT_CLAIMED = [
  "Hauberk itself is not validated; only the modules named above are, where a certificate is named.",
  "A module is built here from the source of the version that its certificate names. Whether a build of one's own is within a certificate is for the reader of its security policy to judge.",
  "Operating environments are those that each security policy lists. The images run on Debian and on kernels of the operator's; where these are not listed, the certificate does not cover the environment.",
  "X25519, where it stands beside ML-KEM in X25519MLKEM768, is no approved algorithm; the approved part of the secret is ML-KEM's.",
] as const;

/** The sentence for one claim. */
export function sentence({ component, module, version, certificates }: Claim): string {
  const linked = `${component}: built from the source of ${module} ${version}`;
  if (certificates.length === 0) return `${linked}, for which no certificate is known: not validated.`;
  const numbers = certificates.map((number) => `#${number}`).join(" and ");
  return `${linked}, the version named by FIPS 140-3 certificate${certificates.length > 1 ? "s" : ""} ${numbers}.`;
}

/** The table of claims as Markdown, as the guide has it. */
export function markdown(claims: readonly Claim[]): string {
  const rows = claims.map(
    ({ component, module, version, crate, certificates, note }) =>
      `| ${component} | ${module} ${version} | ${crate} | ${certificates.length === 0 ? "none known" : certificates.map((number) => `#${number}`).join(", ")} | ${note} |`,
  );
  return [
    "| component | module | crate | certificate | |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
    "",
    ...NOT_CLAIMED.map((line) => `- ${line}`),
    "",
  ].join("\n");
}
