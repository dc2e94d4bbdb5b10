import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EVERY_ALGORITHM, FIPS_ALGORITHMS } from "@hauberk/crypto/algorithms.ts";
import { GROUPS, SIGNATURES, SUITES, isNarrowed } from "./algorithms.ts";
import { LOCKS, UnknownModuleError, claimOf, markdown, sentence, type Pinned } from "./claims.ts";
import { differences } from "./locks.ts";
import { MODULES } from "./modules.ts";

const ROOT = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const PINNED: readonly Pinned[] = ["proxy", "certified", "hybrid"];
const claims = PINNED.map((pinned) => claimOf(pinned, read(LOCKS[pinned])));

test("D-02: what is claimed follows from the lock files, and each certificate has its source", () => {
  assert.deepEqual(
    claims.map(({ module, version, certificates }) => [module, version, certificates]),
    [
      ["AWS-LC FIPS", "3.1.0", [5314, 5298]],
      ["OpenSSL FIPS Provider", "3.1.2", [4985]],
      ["OpenSSL FIPS Provider", "3.5.4", []],
    ],
  );
  for (const { certificates, sources } of MODULES) {
    assert.ok(sources.every((source) => source.startsWith("https://")));
    for (const { url, number } of certificates) assert.ok(sources.includes(url), `${number} has no source`);
  }
});

test("a module without a certificate is said to be not validated", () => {
  const [proxy, , hybrid] = claims.map(sentence);
  assert.match(proxy ?? "", /3\.1\.0, the version named by FIPS 140-3 certificates #5314 and #5298\.$/);
  assert.match(hybrid ?? "", /no certificate is known: not validated\.$/);
});

test("a lock file that pins another version of a module's crate, or two of them, supports no claim", () => {
  const lock = read(LOCKS.proxy);
  const newer = lock.replace('version = "0.13.11"', 'version = "0.13.17"');
  assert.throws(() => claimOf("proxy", newer), UnknownModuleError);
  assert.throws(() => claimOf("proxy", `${lock}\n${read(LOCKS.hybrid)}`), /pins 2 modules/);
  assert.throws(() => claimOf("proxy", read("proxy/Cargo.lock")), /pins 0 modules/);
});

const listed = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");

/** The sections of a manifest that say how a release is optimized. */
function profiles(manifest: string): readonly string[] {
  return manifest
    .split(/\n(?=\[)/)
    .filter((section) => section.startsWith("[profile.release"))
    .map((section) => section.replaceAll(/^#.*$/gm, "").trim());
}

test("the FIPS build of the data plane differs from the standard one in its module and in what builds that", () => {
  const found = differences(read("proxy/Cargo.lock"), read("proxy/fips/Cargo.lock")).map(({ name }) => name);
  assert.deepEqual(found, [
    "aws-lc-fips-sys",
    "aws-lc-rs",
    // Of the module's build script; nothing of them is linked.
    "bindgen",
    "cexpr",
    "clang-sys",
    "glob",
    "hauberk-proxy-fips",
    "itertools",
    "libloading",
    "prettyplease",
    "rustc-hash",
    "shlex",
  ]);
});

test("both builds of the data plane are optimized alike", () => {
  const fips = profiles(read("proxy/fips/Cargo.toml"));
  assert.ok(fips.length > 10);
  assert.deepEqual(fips, profiles(read("proxy/Cargo.toml")));
});

test("the profile only takes algorithms away", () => {
  assert.ok(isNarrowed());
  assert.ok([...FIPS_ALGORITHMS].every((name) => EVERY_ALGORITHM.has(name)));
  assert.equal(SIGNATURES.length, FIPS_ALGORITHMS.size);
});

test("groups and suites are those of the proxy's own table, in its order", () => {
  const table = read("proxy/tls/src/provider/profile.rs");
  assert.ok(table.includes(`[${listed(GROUPS.map(({ name }) => name))}]`));
  assert.ok(table.includes(`[${listed(SUITES.map(({ name }) => name))}]`));
});

test("the guide has the table that the lock files amount to, and what is not claimed", () => {
  assert.ok(read("docs/guide/fips.md").includes(markdown(claims)));
});
