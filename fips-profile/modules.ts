/**
 * The cryptographic modules that this profile knows, with the certificates that name them. Which of them a build links is
 * never written here: `claims.ts` reads it out of the lock files.
 */

/** A certificate of the Cryptographic Module Validation Program. */
export interface Certificate {
  readonly number: number;
  readonly standard: "FIPS 140-3";
  /** What exactly it is of, where a vendor has several. */
  readonly of: string;
  /** Where the certificate and its security policy are. */
  readonly url: string;
}

/** A version of a module, and what is known of its validation. */
export interface ModuleVersion {
  readonly module: "AWS-LC FIPS" | "OpenSSL FIPS Provider";
  readonly version: string;
  /** The crate that carries its source, in exactly this version of the crate. */
  readonly crate: { readonly name: string; readonly version: string };
  /** Empty: none is known, and nothing may be claimed. */
  readonly certificates: readonly Certificate[];
  /** The documents that say so. */
  readonly sources: readonly string[];
  /** What it lacks or adds, for who has to choose. */
  readonly note: string;
}

const CMVP = "https://csrc.nist.gov/projects/cryptographic-module-validation-program/certificate/";

const certificate = (number: number, of: string): Certificate => ({
  number,
  standard: "FIPS 140-3",
  of,
  url: `${CMVP}${number}`,
});

export const MODULES: readonly ModuleVersion[] = [
  {
    module: "AWS-LC FIPS",
    version: "3.1.0",
    crate: { name: "aws-lc-fips-sys", version: "0.13.11" },
    certificates: [certificate(5314, "static library"), certificate(5298, "shared library")],
    sources: ["https://github.com/aws/aws-lc-rs/releases/tag/v1.17.1", `${CMVP}5314`, `${CMVP}5298`],
    note: "has ML-KEM; has no ML-DSA",
  },
  {
    module: "OpenSSL FIPS Provider",
    version: "3.1.2",
    crate: { name: "openssl-src", version: "300.1.4+3.1.2" },
    certificates: [certificate(4985, "provider")],
    sources: [`${CMVP}4985`],
    note: "has neither ML-KEM nor ML-DSA: key exchange is classical",
  },
  {
    module: "OpenSSL FIPS Provider",
    version: "3.5.4",
    crate: { name: "openssl-src", version: "300.5.4+3.5.4" },
    certificates: [],
    sources: ["https://csrc.nist.gov/projects/cryptographic-module-validation-program/validated-modules"],
    note: "has ML-KEM and its hybrids; no certificate is known",
  },
];

/** The module whose source a crate carries. */
export function moduleOf(crate: {
  readonly name: string;
  readonly version: string;
}): ModuleVersion | undefined {
  return MODULES.find(({ crate: { name, version } }) => name === crate.name && version === crate.version);
}

/** What a program says of the module that it runs with, found among those that are known. */
export function moduleNamed(module: string, version: string): ModuleVersion | undefined {
  return MODULES.find((known) => known.module === module && known.version === version);
}
