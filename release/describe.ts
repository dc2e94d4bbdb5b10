/** What is in each part of a release, and what it was made from. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@hauberk/crypto/digest.ts";
import type { Component, Inventory } from "@hauberk/sbom/component.ts";
import { NODE_CRYPTO, PROXY_CRYPTO } from "@hauberk/sbom/crypto.ts";
import { debComponents } from "@hauberk/sbom/deb.ts";
import { npmComponents, parseLock } from "@hauberk/sbom/npm.ts";
import type { Material } from "./attest/provenance.ts";
import { digestOfFile } from "./build/step.ts";
import type { Deb } from "./image/deb.ts";
import type { Inputs } from "./inputs.ts";
import type { Descriptor } from "./oci/model.ts";
import type { Architecture } from "./platform.ts";
import type { Source } from "./source.ts";

interface About {
  readonly source: Source;
  readonly name: string;
  readonly architecture?: Architecture;
}

function headOf({ source, name, architecture }: About) {
  return {
    name,
    version: source.version,
    description: `Hauberk ${source.version}, commit ${source.commit}`,
    ...(architecture === undefined ? {} : { architecture }),
  };
}

/** The data plane's image: one binary of these crates. */
export function proxyInventory(about: About, crates: readonly Component[]): Inventory {
  return { ...headOf(about), kind: "container", components: crates, crypto: PROXY_CRYPTO };
}

/** A Node program with the packages that were bundled into it, Node itself, and Debian's packages where it is an image. */
export async function nodeInventory(
  about: About,
  {
    folders,
    debs,
    distribution,
  }: { readonly folders: readonly string[]; readonly debs: readonly Deb[]; readonly distribution: string },
): Promise<Inventory> {
  const lock = parseLock(await readFile(join(about.source.dir, "package-lock.json"), "utf8"));
  const components = [...npmComponents(lock, folders), ...debComponents(debs, distribution)];
  const kind = debs.length > 0 ? "container" : "application";
  return { ...headOf(about), kind, components, crypto: NODE_CRYPTO };
}

const hex = (digest: Digest) => digest.slice("sha256:".length);

/** Printed files, and the images that they install. */
export function artifactInventory(
  about: About,
  {
    files,
    images,
    repository,
  }: {
    readonly files: ReadonlyMap<string, Digest>;
    readonly images: readonly { readonly name: string; readonly whole: Descriptor }[];
    readonly repository: string;
  },
): Inventory {
  const { version } = about.source;
  const printed = [...files].map(([path, digest]): Component => ({
    kind: "file",
    name: path,
    version,
    purl: `pkg:generic/hauberk/${path}@${version}?checksum=${digest}`,
    license: "Apache-2.0",
    sha256: hex(digest),
    dependsOn: [],
  }));
  const installed = images
    .filter(({ name }) => name !== "cli" && about.name !== "crds" && about.name !== "hauberk-crds")
    .map(({ name, whole }): Component => ({
      kind: "container",
      name: `hauberk-${name}`,
      version,
      purl: `pkg:oci/${name}@${encodeURIComponent(whole.digest)}?repository_url=${encodeURIComponent(`${repository}/${name}`)}`,
      license: "Apache-2.0",
      sha256: hex(whole.digest),
      dependsOn: [],
    }));
  return { ...headOf(about), kind: "application", components: [...printed, ...installed], crypto: [] };
}

const LOCKS = ["package-lock.json", "proxy/Cargo.lock", "release/image/debs.json"] as const;

/** Everything that went into a part and that a builder could look up again. */
export async function materialsOf(
  inventory: Inventory,
  source: Source,
  { toolchain }: Inputs,
): Promise<readonly Material[]> {
  const pinned = await Promise.all(
    LOCKS.map(async (name) => {
      const digest = await digestOfFile(join(source.dir, name));
      return { uri: `pkg:generic/${name}`, name, digest: { sha256: digest.slice("sha256:".length) } };
    }),
  );
  const compiler = await digestOfFile(join(toolchain.dir, "bin", "rustc"));
  const parts = inventory.components.flatMap(({ purl, sha256, sha512 }): readonly Material[] => {
    if (sha256 !== undefined) return [{ uri: purl, digest: { sha256 } }];
    return sha512 === undefined ? [] : [{ uri: purl, digest: { sha512 } }];
  });
  const rustc = {
    uri: "pkg:generic/rustc",
    name: toolchain.version,
    digest: { sha256: compiler.slice("sha256:".length) },
  };
  return [...pinned, rustc, ...parts];
}
