import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { CRATES, CRATE_OWNERS, ROOMS, breaches, sources } from "./layers.ts";

const ROOT = join(import.meta.dirname, "..");

test("no room imports what the map does not allow", () => {
  const { looked, found } = breaches(ROOT);
  assert.ok(looked > 100, `only ${looked} imports were looked at`);
  assert.deepEqual(found, []);
});

test("every TypeScript source lies in a room of the map", () => {
  const known = new Set(ROOMS.flatMap((room) => sources(ROOT, room.folder)));
  const tracked = execFileSync("git", ["ls-files", "*.ts"], { cwd: ROOT, encoding: "utf8" })
    .split("\n")
    .filter(Boolean);
  assert.ok(tracked.length > 0);
  assert.deepEqual(
    tracked.filter((file) => existsSync(join(ROOT, file)) && !known.has(file)),
    [],
  );
});

interface Crate {
  readonly name: string;
  readonly dependencies: readonly string[];
}

function crates(): readonly Crate[] {
  return readdirSync(join(ROOT, "proxy"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(ROOT, "proxy", entry.name, "Cargo.toml")))
    .map((entry) => {
      const text = readFileSync(join(ROOT, "proxy", entry.name, "Cargo.toml"), "utf8");
      const name = /^name = "([^"]+)"/m.exec(text)?.[1] ?? "";
      const section = /\n\[dependencies\]\n([^[]*)/.exec(text)?.[1] ?? "";
      return { name, dependencies: [...section.matchAll(/^([a-z0-9-]+)/gm)].map((match) => match[1] ?? "") };
    });
}

test("no crate depends on what the map does not allow", () => {
  const found = crates();
  assert.ok(found.length >= 8, `only ${found.length} crates were looked at`);
  for (const { name, dependencies } of found) {
    const may = CRATES[name];
    assert.ok(may, `${name} is not on the map`);
    const ours = dependencies.filter((dependency) => dependency.startsWith("hauberk-"));
    assert.deepEqual(
      ours.filter((dependency) => !may.includes(dependency)),
      [],
      name,
    );
    for (const dependency of dependencies) {
      const owners = CRATE_OWNERS[dependency];
      assert.ok(owners === undefined || owners.includes(name), `${name} may not name ${dependency}`);
    }
  }
});

/** By the workspace, or by itself in the workspace of its own that the FIPS build is. */
const FORBIDS = /\[lints\]\nworkspace = true|\[lints\.rust\]\nunsafe_code = "forbid"/;

test("our crates forbid unsafe code", () => {
  const workspace = readFileSync(join(ROOT, "proxy", "Cargo.toml"), "utf8");
  assert.match(workspace, /^unsafe_code = "forbid"$/m);
  for (const { name } of crates()) assert.ok(name.startsWith("hauberk-"));
  for (const dir of readdirSync(join(ROOT, "proxy"))) {
    const path = join(ROOT, "proxy", dir, "Cargo.toml");
    if (existsSync(path)) assert.match(readFileSync(path, "utf8"), FORBIDS, dir);
  }
});
