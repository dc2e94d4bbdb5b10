/**
 * Cryptography outside of the module. It must not be reachable where the profile holds: a test walks the imports of each
 * program, a release looks into each bundle, and `refuseForeign` refuses what a running process asks for all the same.
 */
import { registerHooks } from "node:module";

/** Packages that bring cryptography of their own. */
export const FOREIGN = [
  "@noble/ciphers",
  "@noble/curves",
  "@noble/hashes",
  "@noble/post-quantum",
  "node-forge",
] as const;

/** Of which foreign package a specifier or a path is. */
export function foreignIn(specifier: string): string | undefined {
  const path = specifier.replaceAll("\\", "/");
  return FOREIGN.find(
    (name) =>
      path === name ||
      path.startsWith(`${name}/`) ||
      path.includes(`/node_modules/${name}/`) ||
      path.startsWith(`node_modules/${name}/`),
  );
}

/** A module of a foreign package was asked for in a process that is bound to its own. */
export class ForeignCryptographyError extends Error {
  constructor(name: string) {
    super(`${name} has cryptography of its own, which the FIPS profile refuses`);
    this.name = "ForeignCryptographyError";
  }
}

/** From here on, no foreign package can be loaded by this process. */
export function refuseForeign(): void {
  registerHooks({
    resolve: (specifier, context, next) => {
      const found = foreignIn(specifier);
      if (found !== undefined) throw new ForeignCryptographyError(found);
      const resolved = next(specifier, context);
      const behind = foreignIn(resolved.url);
      if (behind !== undefined) throw new ForeignCryptographyError(behind);
      return resolved;
    },
  });
}
