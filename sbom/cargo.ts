/** Components of crates, by `cargo metadata`: what is linked into a binary for one target, and nothing else. */
import { PackageURL } from "packageurl-js";
import { z } from "zod";
import type { Component } from "./component.ts";

const Metadata = z.object({
  packages: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      version: z.string(),
      license: z.string().nullable(),
      source: z.string().nullable(),
    }),
  ),
  resolve: z.object({
    nodes: z.array(
      z.object({
        id: z.string(),
        deps: z.array(
          z.object({
            pkg: z.string(),
            dep_kinds: z.array(z.object({ kind: z.enum(["normal", "build", "dev"]).nullable() })),
          }),
        ),
      }),
    ),
  }),
});
type Metadata = z.infer<typeof Metadata>;

/** Checksums of the registry's files, by `name version`. */
export type Checksums = ReadonlyMap<string, string>;

/** Reads the checksums out of `Cargo.lock`. */
export function checksumsOf(lock: string): Checksums {
  const found = new Map<string, string>();
  for (const block of lock.split("[[package]]").slice(1)) {
    const field = (name: string) => new RegExp(`^${name} = "([^"]*)"$`, "m").exec(block)?.[1];
    const [name, version, checksum] = [field("name"), field("version"), field("checksum")];
    if (name !== undefined && version !== undefined && checksum !== undefined)
      found.set(`${name} ${version}`, checksum);
  }
  return found;
}

/** Ids reachable from `root` over dependencies that end up in the binary. */
function linked(metadata: Metadata, root: string): ReadonlyMap<string, readonly string[]> {
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));
  const found = new Map<string, readonly string[]>();
  const open = [root];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (found.has(id)) continue;
    const normal = (nodes.get(id)?.deps ?? [])
      .filter(({ dep_kinds: kinds }) => kinds.some(({ kind }) => kind === null || kind === "normal"))
      .map(({ pkg }) => pkg);
    found.set(id, normal);
    open.push(...normal);
  }
  return found;
}

/**
 * The crates in the binary of `crate`. `json` is the output of `cargo metadata --locked --filter-platform TARGET`.
 * @throws if the output has no such crate, or a registry crate has no checksum.
 */
export function cargoComponents(json: string, crate: string, checksums: Checksums): readonly Component[] {
  const metadata = Metadata.parse(JSON.parse(json));
  const packages = new Map(metadata.packages.map((one) => [one.id, one]));
  const root = metadata.packages.find(({ name, source }) => name === crate && source === null);
  if (root === undefined) throw new Error(`cargo metadata knows no crate ${crate}`);
  const purlOf = (id: string) => {
    const { name = id, version = "0" } = packages.get(id) ?? {};
    return new PackageURL("cargo", null, name, version, null, null).toString();
  };
  return [...linked(metadata, root.id)].map(([id, dependencies]): Component => {
    const one = packages.get(id);
    if (one === undefined) throw new Error(`cargo metadata does not describe ${id}`);
    const sha256 = checksums.get(`${one.name} ${one.version}`);
    if (one.source !== null && sha256 === undefined)
      throw new Error(`Cargo.lock has no checksum of ${one.name} ${one.version}`);
    return {
      kind: one.source === null ? "application" : "library",
      name: one.name,
      version: one.version,
      purl: purlOf(id),
      // Older crates separate licences by a slash, which SPDX does not know.
      ...(one.license === null
        ? {}
        : { license: one.license.replaceAll("/", " OR ").replaceAll(/ +/g, " ") }),
      ...(sha256 === undefined ? {} : { sha256 }),
      dependsOn: dependencies.map(purlOf).toSorted(),
    };
  });
}
