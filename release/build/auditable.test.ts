import assert from "node:assert/strict";
import test from "node:test";
import { inflateSync } from "node:zlib";
import { auditData } from "./auditable.ts";

const crate = (name: string, dependsOn: readonly string[], sha256?: string) => ({
  kind: "library" as const,
  name,
  version: "1.0.0",
  purl: `pkg:cargo/${name}@1.0.0`,
  dependsOn,
  ...(sha256 === undefined ? {} : { sha256 }),
});
const CRATES = [
  crate("root", ["pkg:cargo/b@1.0.0", "pkg:cargo/a@1.0.0"]),
  crate("b", [], "0"),
  crate("a", [], "1"),
];

void test("a binary's crates are listed by name, each dependency by its place, and the root is marked", () => {
  const read: unknown = JSON.parse(inflateSync(auditData(CRATES, "root")).toString());
  assert.deepEqual(read, {
    packages: [
      { name: "a", version: "1.0.0", source: "crates.io" },
      { name: "b", version: "1.0.0", source: "crates.io" },
      { name: "root", version: "1.0.0", source: "local", dependencies: [0, 1], root: true },
    ],
  });
});

void test("the order in which crates come changes nothing (D-06)", () => {
  assert.deepEqual(auditData(CRATES, "root"), auditData(CRATES.toReversed(), "root"));
});

void test("a crate that needs another one which is not in the binary is a mistake", () => {
  assert.throws(() => auditData([crate("root", ["pkg:cargo/c@1.0.0"])], "root"), /root needs pkg:cargo\/c/);
});
