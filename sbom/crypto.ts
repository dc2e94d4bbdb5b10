/**
 * The cryptography that each program can use: the algorithms that its configuration admits, not all that its module
 * knows. The data plane's are those of `proxy/tls/src/provider`; a test holds the two lists against each other.
 */
import type { CryptoAsset } from "./component.ts";

const AWS_LC = "aws-lc (crate aws-lc-sys)";
const OPENSSL = "openssl (in Node)";

const ecdsa = (curve: "P-256" | "P-384", oid: string, module: string): CryptoAsset => ({
  name: `ECDSA-${curve}`,
  oid,
  primitive: "signature",
  parameterSet: curve,
  functions: ["sign", "verify", "keygen"],
  quantumLevel: 0,
  module,
});

const aead = (name: string, parameterSet: string, level: 1 | 5, oid?: string): CryptoAsset => ({
  name,
  ...(oid === undefined ? {} : { oid }),
  primitive: "ae",
  parameterSet,
  functions: ["encrypt", "decrypt"],
  // NIST defines the categories by the cost of breaking AES with keys of 128 and 256 bits.
  quantumLevel: level,
  module: AWS_LC,
});

/** Key exchange groups by the names that TLS gives them, preferred ones first. */
export const PROXY_GROUPS = ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"] as const;

const agreement = (name: string, parameterSet: string): CryptoAsset => ({
  name,
  primitive: "key-agree",
  parameterSet,
  functions: ["keygen", "keyderive"],
  quantumLevel: 0,
  module: AWS_LC,
});

/** The data plane. */
export const PROXY_CRYPTO: readonly CryptoAsset[] = [
  {
    name: "X25519MLKEM768",
    primitive: "combiner",
    parameterSet: "ML-KEM-768 with X25519",
    functions: ["keygen", "encapsulate", "decapsulate"],
    quantumLevel: 3,
    module: AWS_LC,
  },
  {
    name: "ML-KEM-768",
    oid: "2.16.840.1.101.3.4.4.2",
    primitive: "kem",
    parameterSet: "768",
    functions: ["keygen", "encapsulate", "decapsulate"],
    quantumLevel: 3,
    module: AWS_LC,
  },
  agreement("X25519", "Curve25519"),
  agreement("secp256r1", "P-256"),
  agreement("secp384r1", "P-384"),
  ecdsa("P-256", "1.2.840.10045.4.3.2", AWS_LC),
  aead("AES-128-GCM", "128", 1, "2.16.840.1.101.3.4.1.6"),
  aead("AES-256-GCM", "256", 5, "2.16.840.1.101.3.4.1.46"),
  aead("ChaCha20-Poly1305", "256", 5),
];

/** The control plane and the command line: they issue and read certificates. */
export const NODE_CRYPTO: readonly CryptoAsset[] = [
  ecdsa("P-256", "1.2.840.10045.4.3.2", OPENSSL),
  ecdsa("P-384", "1.2.840.10045.4.3.3", OPENSSL),
];
