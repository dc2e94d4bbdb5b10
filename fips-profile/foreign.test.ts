import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { FOREIGN, foreignIn } from "./foreign.ts";

/** Named by what it is, since this package does not depend on it. */
const NOBLE: (typeof FOREIGN)[number] = "@noble/post-quantum";
const ROOT = join(import.meta.dirname, "..");

/** Everything that a program's sources import, statically or not, and all that those import. */
function reachable(entry: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const open = [join(ROOT, entry)];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    if (!/\.(ts|mjs|cjs|js)$/.test(file)) continue;
    const from = createRequire(file);
    const text = readFileSync(file, "utf8").replaceAll(/import type [^;]*;/g, "");
    for (const [, specifier = ""] of text.matchAll(
      /(?:\bfrom|\bimport|\brequire)\s*\(?\s*["']([^"'\n]+)["']/g,
    )) {
      const found = resolve(from, file, specifier);
      if (found !== undefined) open.push(found);
    }
  }
  return seen;
}

function resolve(from: NodeJS.Require, file: string, specifier: string): string | undefined {
  if (isBuiltin(specifier)) return undefined;
  if (specifier.startsWith(".")) {
    const path = join(dirname(file), specifier);
    return [path, `${path}.js`, `${path}.cjs`, join(path, "index.js")].find(
      (candidate) => existsSync(candidate) && statSync(candidate).isFile(),
    );
  }
  try {
    return from.resolve(specifier);
  } catch {
    // An optional package that is not there, or one for modules only.
    const name = specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/");
    const manifest = join(ROOT, "node_modules", name, "package.json");
    return existsSync(manifest) ? manifest : undefined;
  }
}

for (const entry of ["mesh/controller/main.ts", "mesh/cli/bin/hauberk.ts", "mesh/cli/commands.ts"])
  test(`D-02: no cryptography but the module's can be reached from ${entry}`, () => {
    const files = [...reachable(entry)];
    assert.ok(files.length > 20, `only ${files.length} files were looked at`);
    assert.deepEqual(
      files.filter((file) => foreignIn(file) !== undefined),
      [],
    );
  });

test("the walk sees what a program does import", () => {
  assert.ok([...reachable("crypto/kem.ts")].some((file) => foreignIn(file) === "@noble/post-quantum"));
});

test("a package is foreign by its name, below any folder, and nothing else is", () => {
  for (const name of FOREIGN) {
    assert.equal(foreignIn(name), name);
    assert.equal(foreignIn(`${name}/x.js`), name);
    assert.equal(foreignIn(`file:///app/node_modules/${name}/x.js`), name);
  }
  for (const not of ["node:crypto", "@noble-like/curves", "./node-forge.ts", "@hauberk/crypto/kem.ts"])
    assert.equal(foreignIn(not), undefined);
});

test("a process that refuses foreign cryptography does not get it, however it asks", () => {
  const script = `
    import { refuseForeign } from "./fips-profile/foreign.ts";
    import { createRequire } from "node:module";
    const noble = ${JSON.stringify(`${NOBLE}/ml-kem.js`)};
    refuseForeign();
    const said = [];
    for (const ask of [
      () => import(noble),
      () => import("./crypto/kem.ts"),
      async () => createRequire(process.cwd() + "/crypto/kem.ts")(noble),
    ]) said.push(await ask().then(() => "loaded", ({ name }) => name));
    await import("./crypto/digest.ts");
    console.log(said.join());`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: ROOT,
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(stdout.trim(), Array(3).fill("ForeignCryptographyError").join(), stderr);
});
