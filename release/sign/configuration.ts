/** What the command line says of signing with certificates: all of it, or nothing. */
import { readFile } from "node:fs/promises";
import { readSigstoreRoot, type Certified, type SigstoreRoot } from "../verify/certificate.ts";
import { identityFrom, sealWith, type Seal } from "./keyless.ts";
import { readServices } from "./services.ts";

/** Flags, by the names that cosign gives them where it has them. */
export interface KeylessFlags {
  readonly "signing-config"?: string | undefined;
  readonly "trusted-root"?: string | undefined;
  readonly "certificate-identity"?: string | undefined;
  readonly "certificate-oidc-issuer"?: string | undefined;
  /** File of a token; without it, the CI system's own service is asked. */
  readonly "identity-token"?: string | undefined;
}

export interface Keyless {
  readonly seal: Seal;
  /** As whom verifiers are to know the signer. */
  readonly certified: Certified;
  readonly root: SigstoreRoot;
}

const NEEDED = ["signing-config", "trusted-root", "certificate-identity", "certificate-oidc-issuer"] as const;

/** `undefined` if nothing is asked for. @throws naming the flag that is missing, or the file that is wrong. */
export async function readKeyless(flags: KeylessFlags): Promise<Keyless | undefined> {
  const given = NEEDED.filter((name) => flags[name] !== undefined);
  if (given.length === 0 && flags["identity-token"] === undefined) return undefined;
  const {
    "signing-config": configuration,
    "trusted-root": root,
    "certificate-identity": identity,
    "certificate-oidc-issuer": issuer,
  } = flags;
  if (configuration === undefined || root === undefined || identity === undefined || issuer === undefined) {
    const missing = NEEDED.filter((name) => flags[name] === undefined).map((name) => `--${name}`);
    throw new Error(`signing with certificates needs ${missing.join(", ")}, too`);
  }
  const services = readServices(await readFile(configuration, "utf8"), new Date());
  return {
    seal: sealWith(services, identityFrom(flags["identity-token"])),
    certified: { identity, issuer },
    root: readSigstoreRoot(JSON.parse(await readFile(root, "utf8"))),
  };
}
