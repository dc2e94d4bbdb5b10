/** What is in each image, and what it was made from. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { checksumsOf, cargoComponents } from "@hauberk/sbom/cargo.ts";
import type { Component, Inventory } from "@hauberk/sbom/component.ts";
import { NODE_CRYPTO, PROXY_CRYPTO } from "@hauberk/sbom/crypto.ts";
import { debComponents } from "@hauberk/sbom/deb.ts";
import { npmComponents, parseLock } from "@hauberk/sbom/npm.ts";
import type { Material } from "./attest/provenance.ts";
import { digestOfFile } from "./build/step.ts";
import type { Source } from "./source.ts";
import { PLATFORM, type Imaged, type Inputs } from "./stages.ts";

const run = promisify(execFile);

const METADATA_BYTES_MAX = 128 * 1024 * 1024;
const TARGET = "x86_64-unknown-linux-gnu";

async function crates(source: Source): Promise<readonly Component[]> {
  const manifest = join(source.dir, "proxy", "Cargo.toml");
  const args = ["metadata", "--format-version=1", "--locked", `--filter-platform=${TARGET}`];
  const { stdout } = await run("cargo", [...args, "--manifest-path", manifest], {
    maxBuffer: METADATA_BYTES_MAX,
  });
  const lock = await readFile(join(source.dir, "proxy", "Cargo.lock"), "utf8");
  return cargoComponents(stdout, "hauberk-proxy", checksumsOf(lock));
}

/** The parts of an image. */
export async function inventoryOf(
  { name, bundled }: Imaged,
  source: Source,
  inputs: Inputs,
): Promise<Inventory> {
  const whole = {
    name: `hauberk-${name}`,
    version: source.version,
    description: `Hauberk ${source.version}, commit ${source.commit}`,
  };
  if (name === "proxy") return { ...whole, components: await crates(source), crypto: PROXY_CRYPTO };
  const lock = parseLock(await readFile(join(source.dir, "package-lock.json"), "utf8"));
  const node = `node_modules/node-linux-${PLATFORM.node}`;
  const components = [
    ...npmComponents(lock, [...bundled, node]),
    ...debComponents(inputs.debs, inputs.distribution),
  ];
  return { ...whole, components, crypto: NODE_CRYPTO };
}

/** Everything that went into an image and that a builder could look up again. */
export async function materialsOf(
  inventory: Inventory,
  source: Source,
  inputs: Inputs,
): Promise<readonly Material[]> {
  const locks = ["package-lock.json", "proxy/Cargo.lock", "release/image/debs.json"];
  const pinned = await Promise.all(
    locks.map(async (name) => {
      const digest = await digestOfFile(join(source.dir, name));
      return { uri: `pkg:generic/${name}`, name, digest: { sha256: digest.slice("sha256:".length) } };
    }),
  );
  const compiler = await digestOfFile(join(inputs.toolchain.dir, "bin", "rustc"));
  const parts = inventory.components.flatMap(({ purl, sha256, sha512 }): readonly Material[] => {
    if (sha256 !== undefined) return [{ uri: purl, digest: { sha256 } }];
    return sha512 === undefined ? [] : [{ uri: purl, digest: { sha512 } }];
  });
  return [
    ...pinned,
    {
      uri: `pkg:generic/rustc`,
      name: inputs.toolchain.version,
      digest: { sha256: compiler.slice("sha256:".length) },
    },
    ...parts,
  ];
}
