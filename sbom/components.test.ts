import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { cargoComponents, checksumsOf } from "./cargo.ts";
import { merge, type Inventory } from "./component.ts";
import { NODE_CRYPTO, PROXY_CRYPTO, PROXY_GROUPS, PROXY_SUITES } from "./crypto.ts";
import { cycloneDx, VERSIONS } from "./cyclonedx.ts";
import { debComponents } from "./deb.ts";
import { npmComponents, parseLock } from "./npm.ts";

const ROOT = join(import.meta.dirname, "..");
const LOCK = parseLock(readFileSync(join(ROOT, "package-lock.json"), "utf8"));

const sha = (digit: string) => digit.repeat(64);

function inventory(): Inventory {
  return {
    kind: "container",
    name: "image",
    version: "1.0.0",
    description: "for tests",
    components: npmComponents(LOCK, [
      "node_modules/yaml",
      "node_modules/dns-packet",
      "node_modules/@leichtgewicht/ip-codec",
    ]),
    crypto: PROXY_CRYPTO,
  };
}

void test("a package's dependencies are those that are in the image", () => {
  const found = npmComponents(LOCK, ["node_modules/dns-packet", "node_modules/@leichtgewicht/ip-codec"]);
  const [packet, codec] = found;
  assert.equal(codec?.group, "leichtgewicht");
  assert.deepEqual(packet?.dependsOn, [codec?.purl]);
  assert.deepEqual(npmComponents(LOCK, ["node_modules/dns-packet"])[0]?.dependsOn, []);
  assert.match(packet?.sha512 ?? "", /^[0-9a-f]{128}$/);
});

void test("a package that the lock file does not know is an error", () => {
  assert.throws(
    () => npmComponents(LOCK, ["node_modules/no-such-package"]),
    /does not know node_modules\/no-such-package/,
  );
});

const REGISTRY = "registry+https://index.test";

const crate = (id: string, source: string | null) => ({
  id,
  name: id,
  version: "1.0.0",
  license: "MIT/Apache-2.0",
  source,
});
const dep = (pkg: string, kind: "build" | "dev" | null) => ({ pkg, dep_kinds: [{ kind }] });

const deb = (name: string, control: string) => ({
  name,
  version: "1:2.0",
  architecture: "amd64",
  source: undefined,
  maintainer: "Somebody",
  digest: `sha256:${sha("b")}`,
  control,
});

void test("a binary has the crates of its normal dependencies, not those that build or test it", () => {
  const metadata = {
    packages: [
      crate("ours", null),
      crate("linked", REGISTRY),
      crate("builds", REGISTRY),
      crate("tests", REGISTRY),
    ],
    resolve: {
      nodes: [
        { id: "ours", deps: [dep("linked", null), dep("builds", "build"), dep("tests", "dev")] },
        { id: "linked", deps: [] },
        { id: "builds", deps: [] },
        { id: "tests", deps: [] },
      ],
    },
  };
  const checksums = checksumsOf(
    `[[package]]\nname = "linked"\nversion = "1.0.0"\nchecksum = "${sha("a")}"\n`,
  );
  const found = cargoComponents(JSON.stringify(metadata), "ours", checksums);
  assert.deepEqual(
    found.map(({ name, kind, sha256 }) => [name, kind, sha256]),
    [
      ["ours", "application", undefined],
      ["linked", "library", sha("a")],
    ],
  );
  assert.equal(found[0]?.license, "MIT OR Apache-2.0");
  assert.throws(() => cargoComponents(JSON.stringify(metadata), "ours", new Map()), /no checksum of linked/);
});

void test("a Debian package needs those of its dependencies that are there", () => {
  const debs = [deb("libone", "Depends: libtwo (>= 1.0) | other, absent\n"), deb("libtwo", "")];
  const [one, two] = debComponents(debs, "debian-12");
  assert.deepEqual(one?.dependsOn, [two?.purl]);
  assert.equal(two?.purl, "pkg:deb/debian/libtwo@1:2.0?arch=amd64&distro=debian-12");
});

for (const version of VERSIONS) {
  void test(`CycloneDX ${version}: valid, and the same bytes for the same inventory`, async () => {
    const text = await cycloneDx(inventory(), version);
    assert.equal(
      text,
      await cycloneDx({ ...inventory(), components: inventory().components.toReversed() }, version),
    );
    assert.match(text, /"serialNumber":"urn:uuid:[0-9a-f-]{36}"|"serialNumber": "urn:uuid:[0-9a-f-]{36}"/);
    assert.match(text, /X25519MLKEM768/);
  });
}

void test("merged inventories list each part once", () => {
  const whole = merge({ kind: "application", name: "all", version: "1", description: "" }, [
    inventory(),
    inventory(),
  ]);
  assert.equal(whole.components.length, 3);
  assert.equal(whole.crypto.length, PROXY_CRYPTO.length);
});

void test("the data plane's groups are those that its provider offers, in its order", () => {
  const provider = readFileSync(join(ROOT, "proxy", "tls", "src", "provider", "profile.rs"), "utf8");
  const offered = /vec!\[((?:groups::\w+,? ?)+)\]/.exec(provider)?.[1] ?? "";
  const names = [...offered.matchAll(/groups::(\w+)/g)].map((match) =>
    (match[1] ?? "").replace("_", "").toLowerCase(),
  );
  assert.deepEqual(
    names,
    PROXY_GROUPS.map((name) => name.toLowerCase()),
  );
  const listed = new Set(PROXY_CRYPTO.map(({ name }) => name));
  assert.ok(PROXY_GROUPS.every((name) => listed.has(name)));
});

void test("the data plane's suites are those that its provider offers", () => {
  const provider = readFileSync(join(ROOT, "proxy", "tls", "src", "provider", "aead.rs"), "utf8");
  const offered = [...provider.matchAll(/SupportedCipherSuite::Tls13\(&(\w+)\)/g)].map((match) => match[1]);
  assert.ok(offered.length > 0);
  assert.deepEqual(
    offered,
    PROXY_SUITES.map(({ name }) => name),
  );
});

void test("what a protocol or a certificate uses is itself listed, of the same module", () => {
  for (const assets of [PROXY_CRYPTO, NODE_CRYPTO]) {
    const algorithms = new Set(assets.flatMap((one) => ("kind" in one ? [] : [`${one.name} ${one.module}`])));
    for (const one of assets) {
      if (!("kind" in one)) continue;
      const used =
        one.kind === "protocol" ? one.suites.flatMap((suite) => suite.algorithms) : [one.signedWith];
      for (const name of used) assert.ok(algorithms.has(`${name} ${one.module}`), `${one.name}: ${name}`);
    }
  }
});
