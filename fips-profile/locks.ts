/** What lock files say of crates. Pure. */

/** A crate of a lock file. */
export interface LockedCrate {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the registry's file; absent for crates of ours. */
  readonly checksum?: string;
}

/** Every crate of a `Cargo.lock`. */
export function lockedCrates(lock: string): readonly LockedCrate[] {
  return lock
    .split("[[package]]")
    .slice(1)
    .flatMap((block) => {
      const field = (name: string) => new RegExp(`^${name} = "([^"]*)"$`, "m").exec(block)?.[1];
      const [name, version, checksum] = [field("name"), field("version"), field("checksum")];
      if (name === undefined || version === undefined) return [];
      return [{ name, version, ...(checksum === undefined ? {} : { checksum }) }];
    });
}

/** How one lock file differs from another, by crate: only in what the profile changes, or something is wrong. */
export interface Difference {
  readonly name: string;
  readonly standard: readonly string[];
  readonly fips: readonly string[];
}

/** Crates of the FIPS build that the standard build has in other versions, or not at all. */
export function differences(standard: string, fips: string): readonly Difference[] {
  const [ours, theirs] = [lockedCrates(standard), lockedCrates(fips)];
  return [...new Set(theirs.map(({ name }) => name))]
    .map((name) => ({ name, standard: versions(ours, name), fips: versions(theirs, name) }))
    .filter(({ standard: known, fips: asked }) => asked.some((version) => !known.includes(version)))
    .toSorted((a, b) => a.name.localeCompare(b.name));
}

function versions(crates: readonly LockedCrate[], of: string): readonly string[] {
  return crates.filter(({ name }) => name === of).map(({ version }) => version);
}
