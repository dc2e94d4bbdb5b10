/** What a bill of materials lists, before it is a document of one format. */

/** One part: a package of a distribution, of npm, of crates.io, or a file of ours. */
export interface Component {
  readonly kind: "library" | "application" | "file" | "container";
  /** Group or scope, without its `@`. */
  readonly group?: string;
  readonly name: string;
  readonly version: string;
  /** Package URL, the identity of the part. */
  readonly purl: string;
  /** SPDX expression, where the package states one. */
  readonly license?: string;
  readonly supplier?: string;
  /** Lower-case hexadecimal, of the file that the registry serves. */
  readonly sha256?: string;
  readonly sha512?: string;
  /** Package URLs of what it needs directly. */
  readonly dependsOn: readonly string[];
}

/** A cryptographic algorithm or protocol that a program can use (CycloneDX "cryptographic-asset"). */
export interface CryptoAsset {
  readonly name: string;
  readonly oid?: string;
  readonly primitive: "signature" | "kem" | "key-agree" | "ae" | "hash" | "kdf" | "combiner";
  readonly parameterSet: string;
  readonly functions: readonly (
    | "sign"
    | "verify"
    | "encapsulate"
    | "decapsulate"
    | "keygen"
    | "keyderive"
    | "encrypt"
    | "decrypt"
    | "digest"
  )[];
  /** NIST's category, 0 where a quantum computer breaks it. */
  readonly quantumLevel: 0 | 1 | 2 | 3 | 4 | 5;
  /** The module that computes it. */
  readonly module: string;
}

/** A protocol that a program speaks, with the suites that it offers. */
export interface CryptoProtocol {
  readonly kind: "protocol";
  readonly name: string;
  readonly type: "tls";
  readonly version: string;
  /** Each with the names of algorithms that are among the assets of the same module. */
  readonly suites: readonly { readonly name: string; readonly algorithms: readonly string[] }[];
  readonly module: string;
}

/** A kind of certificate that a program makes or presents when it runs; none lies in a release. */
export interface CryptoCertificate {
  readonly kind: "certificate";
  readonly name: string;
  /** Name of the algorithm that signs it, among the assets of the same module. */
  readonly signedWith: string;
  readonly module: string;
}

/** Whatever a bill of materials says of cryptography. */
export type Crypto = CryptoAsset | CryptoProtocol | CryptoCertificate;

/** The parts of one image or of the whole release. */
export interface Inventory {
  /** What it is itself. */
  readonly kind: "container" | "application";
  /** Absent where it is of no one platform. */
  readonly architecture?: "amd64" | "arm64";
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly components: readonly Component[];
  readonly crypto: readonly Crypto[];
}

/** All parts of several inventories, each once. */
export function merge(
  whole: Omit<Inventory, "components" | "crypto">,
  parts: readonly Inventory[],
): Inventory {
  const components = new Map(parts.flatMap((part) => part.components.map((one) => [one.purl, one] as const)));
  const crypto = new Map(
    parts.flatMap((part) => part.crypto.map((one) => [`${one.name} ${one.module}`, one] as const)),
  );
  return { ...whole, components: [...components.values()], crypto: [...crypto.values()] };
}
