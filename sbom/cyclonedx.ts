/**
 * CycloneDX documents, 1.6 and 1.7. The library makes and validates them; its model has no cryptographic assets, so
 * those are added to the normalised document before it is validated.
 */
import { createHash } from "node:crypto";
import { Enums, Models, SPDX, Serialize, Spec, Validation } from "@cyclonedx/cyclonedx-library";
import type { Component, Crypto, Inventory } from "./component.ts";

export const VERSIONS = ["1.6", "1.7"] as const;
export type Version = (typeof VERSIONS)[number];

const SPECS = { "1.6": Spec.Spec1dot6, "1.7": Spec.Spec1dot7 } as const;

const KINDS = {
  library: Enums.ComponentType.Library,
  application: Enums.ComponentType.Application,
  file: Enums.ComponentType.File,
  container: Enums.ComponentType.Container,
} as const;

function hashesOf({ sha256, sha512 }: Component): Models.HashDictionary {
  const hashes = new Models.HashDictionary();
  if (sha256 !== undefined) hashes.set(Enums.HashAlgorithm["SHA-256"], sha256);
  if (sha512 !== undefined) hashes.set(Enums.HashAlgorithm["SHA-512"], sha512);
  return hashes;
}

/** One identifier is an SPDX id, more of them are an expression; what is neither is a name. */
function licenceOf(text: string): Models.License {
  if (SPDX.isSupportedSpdxId(text)) return new Models.SpdxLicense(text);
  if (/ (?:OR|AND|WITH) /.test(text)) return new Models.LicenseExpression(text);
  return new Models.NamedLicense(text);
}

function componentOf(one: Component): Models.Component {
  const component = new Models.Component(KINDS[one.kind], one.name, {
    version: one.version,
    purl: one.purl,
    bomRef: one.purl,
    hashes: hashesOf(one),
    ...(one.group === undefined ? {} : { group: one.group }),
    ...(one.supplier === undefined
      ? {}
      : { supplier: new Models.OrganizationalEntity({ name: one.supplier }) }),
  });
  if (one.license !== undefined) component.licenses.add(licenceOf(one.license));
  return component;
}

const PROCESSORS = { amd64: "x86_64", arm64: "armv8-a" } as const;

/** How one cryptographic asset names another. */
const assetRef = (name: string, module: string) => `crypto/${name.toLowerCase()}@${module}`;

function propertiesOf(asset: Crypto, { architecture }: Inventory) {
  if (!("kind" in asset))
    return {
      assetType: "algorithm",
      algorithmProperties: {
        primitive: asset.primitive,
        parameterSetIdentifier: asset.parameterSet,
        executionEnvironment: "software-plain-ram",
        implementationPlatform: architecture === undefined ? "generic" : PROCESSORS[architecture],
        cryptoFunctions: asset.functions,
        nistQuantumSecurityLevel: asset.quantumLevel,
      },
      ...(asset.oid === undefined ? {} : { oid: asset.oid }),
    };
  const { module } = asset;
  if (asset.kind === "certificate")
    return {
      assetType: "certificate",
      certificateProperties: {
        certificateFormat: "X.509",
        signatureAlgorithmRef: assetRef(asset.signedWith, module),
      },
    };
  const suites = asset.suites.map(({ name, algorithms }) => ({
    name,
    algorithms: algorithms.map((algorithm) => assetRef(algorithm, module)),
  }));
  return {
    assetType: "protocol",
    protocolProperties: { type: asset.type, version: asset.version, cipherSuites: suites },
  };
}

function assetOf(asset: Crypto, inventory: Inventory) {
  return {
    type: "cryptographic-asset",
    "bom-ref": assetRef(asset.name, asset.module),
    name: asset.name,
    cryptoProperties: propertiesOf(asset, inventory),
    properties: [{ name: "hauberk:crypto:module", value: asset.module }],
  };
}

/** A serial number that depends on the content alone, so that the same inputs give the same document. */
function serialOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/**
 * The inventory as a document. It bears no time: the same inventory gives the same bytes.
 * @throws if the document is not valid by the schema of its version.
 */
export async function cycloneDx(inventory: Inventory, version: Version): Promise<string> {
  const bom = new Models.Bom();
  const root = new Models.Component(KINDS[inventory.kind], inventory.name, {
    version: inventory.version,
    description: inventory.description,
    bomRef: "image",
  });
  bom.metadata.component = root;
  const made = new Map(inventory.components.map((one) => [one.purl, componentOf(one)]));
  const needed = new Set(inventory.components.flatMap(({ dependsOn }) => dependsOn));
  for (const one of inventory.components) {
    const component = made.get(one.purl);
    if (component === undefined) continue;
    bom.components.add(component);
    for (const purl of one.dependsOn) {
      const other = made.get(purl);
      if (other !== undefined) component.dependencies.add(other.bomRef);
    }
    if (!needed.has(one.purl)) root.dependencies.add(component.bomRef);
  }
  const normal = new Serialize.JSON.Normalize.Factory(SPECS[version])
    .makeForBom()
    .normalize(bom, { sortLists: true });
  const document = {
    $schema: `http://cyclonedx.org/schema/bom-${version}.schema.json`,
    ...normal,
    bomFormat: "CycloneDX",
    specVersion: version,
    version: 1,
    components: [...(normal.components ?? []), ...inventory.crypto.map((asset) => assetOf(asset, inventory))],
  };
  const text = JSON.stringify(
    { ...document, serialNumber: serialOf(JSON.stringify(document)) },
    undefined,
    1,
  );
  const problem = await new Validation.JsonStrictValidator(SPECS[version].version).validate(text);
  if (problem !== null)
    throw new Error(
      `${inventory.name}: not valid CycloneDX ${version}: ${JSON.stringify(problem).slice(0, 1000)}`,
    );
  return `${text}\n`;
}
