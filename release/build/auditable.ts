/**
 * What scanners find in a Rust binary: its crates, as `cargo auditable` embeds them, in the section `.dep-v0` as JSON
 * compressed with zlib. The orchestrator makes it of the lock file; the build only adds it.
 */
import { zlibSync } from "fflate";
import type { Component } from "@hauberk/sbom/component.ts";

/** The section's name, which scanners look for. */
export const AUDIT_SECTION = ".dep-v0";

/** The section's content. @throws if a crate that is needed is not among them. Pure. */
export function auditData(crates: readonly Component[], root: string): Buffer {
  const sorted = crates.toSorted((a, b) => (a.purl < b.purl ? -1 : 1));
  const places = new Map(sorted.map(({ purl }, place) => [purl, place]));
  const packages = sorted.map((crate) => {
    const dependencies = crate.dependsOn.map((purl) => {
      const place = places.get(purl);
      if (place === undefined) throw new Error(`${crate.name} needs ${purl}, which is not in the binary`);
      return place;
    });
    return {
      name: crate.name,
      version: crate.version,
      source: crate.sha256 === undefined ? "local" : "crates.io",
      ...(dependencies.length === 0 ? {} : { dependencies: dependencies.toSorted((a, b) => a - b) }),
      ...(crate.name === root ? { root: true } : {}),
    };
  });
  return Buffer.from(zlibSync(Buffer.from(JSON.stringify({ packages })), { level: 9 }));
}
