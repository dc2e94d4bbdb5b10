import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { z } from "zod";

const ROOT = join(import.meta.dirname, "..");
const Names = z.record(z.string(), z.string()).default({});
const Manifest = z.object({
  workspaces: z.array(z.string()).default([]),
  dependencies: Names,
  devDependencies: Names,
  optionalDependencies: Names,
});
const Reasons = z.strictObject({
  npm: z.record(z.string(), z.string().min(5)),
  cargo: z.record(z.string(), z.string().min(5)),
});
const REASONS = Reasons.parse(JSON.parse(readFileSync(join(ROOT, "sbom/reasons.json"), "utf8")));

const manifest = (folder: string) =>
  Manifest.parse(JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")));

/** Direct dependencies of every package of ours, with their versions. */
function npmDependencies(): ReadonlyMap<string, string> {
  const top = manifest(".");
  const all = [top, ...top.workspaces.map(manifest)].flatMap((each) =>
    [each.dependencies, each.devDependencies, each.optionalDependencies].flatMap((named) =>
      Object.entries(named),
    ),
  );
  return new Map(all.filter(([name]) => !name.startsWith("@hauberk/") && name !== "hauberk"));
}

/** Crates of others that the workspaces name, from the tables of dependencies. */
function crates(): ReadonlySet<string> {
  const text = ["proxy/Cargo.toml", "proxy/fips/Cargo.toml"]
    .map((file) => readFileSync(join(ROOT, file), "utf8"))
    .join("\n");
  const tables = text.matchAll(/^\[(?:workspace\.)?dependencies\]\n(?<body>(?:(?!\[).*\n?)*)/gm);
  const names = [...tables].flatMap((table) =>
    [...(table.groups?.["body"] ?? "").matchAll(/^(?<name>[\w-]+) *=/gm)].map(
      (line) => line.groups?.["name"] ?? "",
    ),
  );
  return new Set(names.filter((name) => !name.startsWith("hauberk-")));
}

void test("every direct dependency has its reason, and no reason outlives its dependency (B-10)", () => {
  assert.deepEqual(Object.keys(REASONS.npm), [...npmDependencies().keys()].toSorted());
  assert.deepEqual(Object.keys(REASONS.cargo).toSorted(), [...crates()].toSorted());
});

void test("packages are pinned exactly", () => {
  for (const [name, version] of npmDependencies())
    assert.match(version, /^\d+\.\d+\.\d+[\w.-]*$/, `${name} ${version}`);
});
