/**
 * The cryptography that each program can use: the algorithms that its configuration admits, not all that its module
 * knows. The data plane's are those of `proxy/tls/src/provider`; a test holds the two lists against each other.
 */
import type { Crypto, CryptoAsset } from "./component.ts";

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

const hash = (bits: 256 | 384, module: string): CryptoAsset => ({
  name: `SHA-${bits}`,
  oid: bits === 256 ? "2.16.840.1.101.3.4.2.1" : "2.16.840.1.101.3.4.2.2",
  primitive: "hash",
  parameterSet: String(bits),
  functions: ["digest"],
  // NIST defines categories 2 and 4 by collisions of these functions.
  quantumLevel: bits === 256 ? 2 : 4,
  module,
});

const derivation = (bits: 256 | 384): CryptoAsset => ({
  name: `HKDF-SHA-${bits}`,
  primitive: "kdf",
  parameterSet: `SHA-${bits}`,
  functions: ["keyderive"],
  quantumLevel: bits === 256 ? 2 : 4,
  module: AWS_LC,
});

/** Names of TLS 1.3 suites, and the algorithms of each. */
export const PROXY_SUITES = [
  { name: "TLS13_AES_128_GCM_SHA256", algorithms: ["AES-128-GCM", "SHA-256", "HKDF-SHA-256"] },
  { name: "TLS13_AES_256_GCM_SHA384", algorithms: ["AES-256-GCM", "SHA-384", "HKDF-SHA-384"] },
  { name: "TLS13_CHACHA20_POLY1305_SHA256", algorithms: ["ChaCha20-Poly1305", "SHA-256", "HKDF-SHA-256"] },
] as const;

/** The data plane. */
export const PROXY_CRYPTO: readonly Crypto[] = [
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
  hash(256, AWS_LC),
  hash(384, AWS_LC),
  derivation(256),
  derivation(384),
  { kind: "protocol", name: "TLS", type: "tls", version: "1.3", suites: PROXY_SUITES, module: AWS_LC },
  { kind: "certificate", name: "workload certificate", signedWith: "ECDSA-P-256", module: AWS_LC },
];

/** The control plane and the command line: they issue and read certificates, and sign and verify releases and records. */
export const NODE_CRYPTO: readonly Crypto[] = [
  ecdsa("P-256", "1.2.840.10045.4.3.2", OPENSSL),
  ecdsa("P-384", "1.2.840.10045.4.3.3", OPENSSL),
  {
    name: "ML-DSA-87",
    oid: "2.16.840.1.101.3.4.3.19",
    primitive: "signature",
    parameterSet: "87",
    functions: ["sign", "verify", "keygen"],
    quantumLevel: 5,
    module: OPENSSL,
  },
  hash(256, OPENSSL),
  hash(384, OPENSSL),
  { kind: "certificate", name: "trust anchor", signedWith: "ECDSA-P-256", module: OPENSSL },
  { kind: "certificate", name: "issuer certificate", signedWith: "ECDSA-P-256", module: OPENSSL },
  { kind: "certificate", name: "webhook certificate", signedWith: "ECDSA-P-256", module: OPENSSL },
];
