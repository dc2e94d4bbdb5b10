/** The cryptography in use as a CycloneDX 1.6 document (a CBOM). Pure; tests hold it against the schema. */
import { isPostQuantum, type CryptoEdge, type CryptoInventory, type ProxyCrypto } from "./inventory.ts";

interface Algorithm {
  readonly primitive: string;
  readonly parameters?: string;
  readonly functions: readonly string[];
  /** NIST's category, 0 where a quantum computer breaks it; absent where the name is unknown. */
  readonly level?: number;
  readonly oid?: string;
}

const SIGN = ["sign", "verify", "keygen"] as const;
const AGREE = ["keygen", "keyderive"] as const;
const SEAL = ["encrypt", "decrypt"] as const;
const HYBRID = ["keygen", "encapsulate", "decapsulate"] as const;

const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  X25519MLKEM768: {
    primitive: "combiner",
    parameters: "ML-KEM-768 with X25519",
    functions: HYBRID,
    level: 3,
  },
  SecP256r1MLKEM768: {
    primitive: "combiner",
    parameters: "ML-KEM-768 with P-256",
    functions: HYBRID,
    level: 3,
  },
  SecP384r1MLKEM1024: {
    primitive: "combiner",
    parameters: "ML-KEM-1024 with P-384",
    functions: HYBRID,
    level: 5,
  },
  x25519: { primitive: "key-agree", parameters: "Curve25519", functions: AGREE, level: 0 },
  secp256r1: { primitive: "key-agree", parameters: "P-256", functions: AGREE, level: 0 },
  secp384r1: { primitive: "key-agree", parameters: "P-384", functions: AGREE, level: 0 },
  TLS_AES_128_GCM_SHA256: { primitive: "ae", parameters: "AES-128-GCM", functions: SEAL, level: 1 },
  TLS_AES_256_GCM_SHA384: { primitive: "ae", parameters: "AES-256-GCM", functions: SEAL, level: 5 },
  TLS_CHACHA20_POLY1305_SHA256: {
    primitive: "ae",
    parameters: "ChaCha20-Poly1305",
    functions: SEAL,
    level: 5,
  },
  "ecdsa-p256-sha256": {
    primitive: "signature",
    parameters: "P-256",
    functions: SIGN,
    level: 0,
    oid: "1.2.840.10045.4.3.2",
  },
  "ecdsa-p384-sha384": {
    primitive: "signature",
    parameters: "P-384",
    functions: SIGN,
    level: 0,
    oid: "1.2.840.10045.4.3.3",
  },
  "ml-dsa-65": {
    primitive: "signature",
    parameters: "65",
    functions: SIGN,
    level: 3,
    oid: "2.16.840.1.101.3.4.3.18",
  },
  "ml-dsa-87": {
    primitive: "signature",
    parameters: "87",
    functions: SIGN,
    level: 5,
    oid: "2.16.840.1.101.3.4.3.19",
  },
};

const refOf = (kind: string, ...words: readonly string[]) =>
  `${kind}:${words.map(encodeURIComponent).join("/")}`;
const property = (name: string, value: string | number) => ({
  name: `hauberk:${name}`,
  value: String(value),
});

function algorithmAsset(name: string) {
  const known = ALGORITHMS[name];
  return {
    type: "cryptographic-asset",
    "bom-ref": refOf("algorithm", name),
    name,
    cryptoProperties: {
      assetType: "algorithm",
      algorithmProperties: {
        primitive: known?.primitive ?? "unknown",
        ...(known?.parameters === undefined ? {} : { parameterSetIdentifier: known.parameters }),
        executionEnvironment: "software-plain-ram",
        ...(known === undefined ? {} : { cryptoFunctions: [...known.functions] }),
        ...(known?.level === undefined ? {} : { nistQuantumSecurityLevel: known.level }),
      },
      ...(known?.oid === undefined ? {} : { oid: known.oid }),
    },
  };
}

function edgeAsset({ client, server, version, suite, group, connections, open }: CryptoEdge) {
  const from = client === "" ? "unauthenticated" : client;
  return {
    type: "cryptographic-asset",
    "bom-ref": refOf("edge", from, server, version, suite, group),
    name: `${from} → ${server}`,
    cryptoProperties: {
      assetType: "protocol",
      protocolProperties: {
        type: "tls",
        version: version.replace("TLSv", ""),
        cipherSuites: [{ name: suite, algorithms: [refOf("algorithm", group), refOf("algorithm", suite)] }],
        cryptoRefArray: [refOf("algorithm", group), refOf("algorithm", suite)],
      },
    },
    properties: [
      property("edge:client", from),
      property("edge:server", server),
      property("edge:group", group),
      property("edge:post-quantum", isPostQuantum(group) ? "yes" : "no"),
      property("edge:connections", connections),
      property("edge:open", open),
    ],
  };
}

function certificateAsset({ namespace, pod, identity, certificate }: ProxyCrypto) {
  const { notAfter, keyType, signatureAlgorithm } = certificate;
  return {
    type: "cryptographic-asset",
    "bom-ref": refOf("certificate", namespace, pod),
    name: `certificate of ${namespace}/${pod}`,
    cryptoProperties: {
      assetType: "certificate",
      certificateProperties: {
        ...(identity === "" ? {} : { subjectName: identity }),
        ...(notAfter === undefined ? {} : { notValidAfter: notAfter }),
        ...(signatureAlgorithm === "unknown"
          ? {}
          : { signatureAlgorithmRef: refOf("algorithm", signatureAlgorithm) }),
        certificateFormat: "X.509",
      },
    },
    properties: [property("certificate:key-type", keyType)],
  };
}

function proxyComponent({ namespace, pod, version, module }: ProxyCrypto) {
  return {
    type: "application",
    "bom-ref": refOf("proxy", namespace, pod),
    name: `hauberk-proxy of ${namespace}/${pod}`,
    ...(version === "" ? {} : { version }),
    properties: [
      property("crypto:module", module.name),
      property("crypto:module-version", module.version),
      property("crypto:mode", module.mode),
    ],
  };
}

const unique = (names: readonly string[]) => [...new Set(names)].filter((name) => name !== "").toSorted();

/** The document. The same inventory gives the same bytes. */
export function cbomOf(
  inventory: CryptoInventory,
  { name, version }: { readonly name: string; readonly version: string },
): string {
  const { at, proxies, edges, plain } = inventory;
  const signatures = proxies
    .map(({ certificate }) => certificate.signatureAlgorithm)
    .filter((one) => one !== "unknown");
  const algorithms = unique([
    ...edges.flatMap(({ group, suite }) => [group, suite]),
    ...proxies.flatMap(({ groups, suites }) => [...groups, ...suites]),
    ...signatures,
  ]);
  const offers = (proxy: ProxyCrypto) => unique([...proxy.groups, ...proxy.suites]);
  const document = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: at,
      component: { type: "application", "bom-ref": "mesh", name, version },
      properties: [
        property("inventory:plaintext-edges", plain.length),
        property("inventory:silent-proxies", inventory.silent.length),
      ],
    },
    components: [
      ...proxies.map(proxyComponent),
      ...algorithms.map(algorithmAsset),
      ...edges.map(edgeAsset),
      ...proxies.map(certificateAsset),
    ],
    dependencies: [
      { ref: "mesh", dependsOn: proxies.map(({ namespace, pod }) => refOf("proxy", namespace, pod)) },
      ...proxies.map((proxy) => ({
        ref: refOf("proxy", proxy.namespace, proxy.pod),
        dependsOn: [
          ...offers(proxy).map((one) => refOf("algorithm", one)),
          refOf("certificate", proxy.namespace, proxy.pod),
        ],
      })),
    ],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
