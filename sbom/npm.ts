/** Components of npm packages, by the lock file. */
import { PackageURL } from "packageurl-js";
import { z } from "zod";
import type { Component } from "./component.ts";

const Locked = z.object({
  version: z.string().optional(),
  integrity: z.string().optional(),
  license: z.union([z.string(), z.array(z.string()).transform((all) => all.join(" OR "))]).optional(),
  dependencies: z.record(z.string(), z.string()).optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
  link: z.boolean().optional(),
});

const Lock = z.object({ lockfileVersion: z.literal(3), packages: z.record(z.string(), Locked) });
export type Lock = z.infer<typeof Lock>;

/** Reads `package-lock.json`. @throws if it is of another version or shape. */
export function parseLock(text: string): Lock {
  return Lock.parse(JSON.parse(text));
}

const FOLDER = "node_modules/";

/** A package's name by the folder that it lies in. */
function nameOf(path: string): string {
  return path.slice(path.lastIndexOf(FOLDER) + FOLDER.length);
}

function purlOf(name: string, version: string): string {
  const [scope, short] = name.startsWith("@") ? name.split("/") : [undefined, name];
  return new PackageURL("npm", scope ?? null, short ?? name, version, null, null).toString();
}

/** Where `wanted` is found from a package at `path`: in the nearest folder upwards, as Node looks. */
function resolve(lock: Lock, path: string, wanted: string): string | undefined {
  for (let at = path; ;) {
    const candidate = `${at === "" ? "" : `${at}/`}${FOLDER}${wanted}`;
    if (lock.packages[candidate] !== undefined) return candidate;
    const cut = at.lastIndexOf(`/${FOLDER}`);
    if (at === "") return undefined;
    at = cut < 0 ? "" : at.slice(0, cut);
  }
}

/** `sha512-…` in base64 as hexadecimal; npm has had no other kind for years. */
function sha512Of(integrity: string | undefined): string | undefined {
  const base64 = /^sha512-([A-Za-z0-9+/=]+)$/.exec(integrity ?? "")?.[1];
  return base64 === undefined ? undefined : Buffer.from(base64, "base64").toString("hex");
}

/**
 * The packages that lie at `paths` (as `node_modules/a` or `node_modules/a/node_modules/b`), with those of their
 * dependencies that are among them. @throws if the lock file knows one of them not.
 */
export function npmComponents(lock: Lock, paths: readonly string[]): readonly Component[] {
  const chosen = new Map(
    paths.map((path) => {
      const locked = lock.packages[path];
      if (locked?.version === undefined) throw new Error(`package-lock.json does not know ${path}`);
      return [
        path,
        { ...locked, purl: purlOf(nameOf(path), locked.version), version: locked.version },
      ] as const;
    }),
  );
  const components = [...chosen].map(([path, locked]): Component => {
    const name = nameOf(path);
    const wanted = Object.keys({ ...locked.dependencies, ...locked.optionalDependencies });
    const dependsOn = wanted.flatMap((one) => {
      const found = resolve(lock, path, one);
      const purl = found === undefined ? undefined : chosen.get(found)?.purl;
      return purl === undefined ? [] : [purl];
    });
    const sha512 = sha512Of(locked.integrity);
    const [scope, short] = name.startsWith("@") ? name.slice(1).split("/") : [undefined, name];
    return {
      kind: "library",
      ...(scope === undefined ? {} : { group: scope }),
      name: short ?? name,
      version: locked.version,
      purl: locked.purl,
      ...(locked.license === undefined ? {} : { license: locked.license }),
      ...(sha512 === undefined ? {} : { sha512 }),
      dependsOn: dependsOn.toSorted(),
    };
  });
  // One package may lie in two folders.
  return [...new Map(components.map((one) => [one.purl, one])).values()];
}
