/** Components of Debian packages. */
import { PackageURL } from "packageurl-js";
import type { Component } from "./component.ts";

/** What a package says of itself. */
export interface DebPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly source: string | undefined;
  readonly maintainer: string;
  /** `sha256:` and hexadecimal, of the `.deb`. */
  readonly digest: string;
  /** The control file. */
  readonly control: string;
}

/** Names in a `Depends` field; versions and alternatives are for a package manager to weigh. */
function dependencies(control: string): readonly string[] {
  const field = /^Depends: (.*)$/m.exec(control)?.[1] ?? "";
  return field
    .split(/[,|]/)
    .map((one) => one.trim().split(/[ (:]/)[0] ?? "")
    .filter((name) => name !== "");
}

/** The packages, and which of them need which. `distribution` is as `debian-12`. */
export function debComponents(debs: readonly DebPackage[], distribution: string): readonly Component[] {
  const purlOf = ({ name, version, architecture, source }: DebPackage) =>
    new PackageURL(
      "deb",
      "debian",
      name,
      version,
      { arch: architecture, distro: distribution, ...(source === undefined ? {} : { upstream: source }) },
      null,
    ).toString();
  const byName = new Map(debs.map((deb) => [deb.name, purlOf(deb)]));
  return debs.map((deb) => ({
    kind: "library",
    name: deb.name,
    version: deb.version,
    purl: purlOf(deb),
    supplier: deb.maintainer,
    sha256: deb.digest.slice("sha256:".length),
    dependsOn: dependencies(deb.control)
      .flatMap((name) => byName.get(name) ?? [])
      .toSorted(),
  }));
}
