import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import test from "node:test";
import { extract } from "tar-stream";
import { Layout } from "../oci/layout.ts";
import { writeImage } from "./image.ts";
import { proxyImage } from "./images.ts";
import { archive, type Entry } from "./tar.ts";

const RELEASE = { version: "1.2.3", commit: "0".repeat(40), epochSeconds: 1_700_000_000 };

async function digestIn(dir: string): Promise<string> {
  const layout = await Layout.create(dir);
  return (await writeImage(layout, proxyImage(Buffer.from("binary"), RELEASE, "amd64"))).digest;
}

void test("the same inputs give the same image, wherever it is written", async () => {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-image-"));
  try {
    assert.equal(await digestIn(join(dir, "a")), await digestIn(join(dir, "b", "c")));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

void test("the proxy's image is one binary with a second name, two files of names, and no shell", async () => {
  const { layers, user, entrypoint } = proxyImage(Buffer.from("binary"), RELEASE, "amd64");
  const paths = layers.flatMap(({ entries }) => entries.map(({ path }) => path));
  assert.deepEqual(paths.toSorted(), [
    "etc/group",
    "etc/passwd",
    "hauberk-proxy",
    "usr/lib/linkerd/linkerd-await",
  ]);
  assert.equal(user, "2102:2102");
  assert.deepEqual(entrypoint, ["/hauberk-proxy"]);
});

void test("the proxy's file permits CAP_NET_ADMIN and forces nothing, as tar and container runtimes read it", async () => {
  const { layers } = proxyImage(Buffer.from("binary"), RELEASE, "amd64");
  const bytes = await archive(
    layers.flatMap(({ entries }) => entries),
    1,
  );
  const reader = extract();
  reader.end(bytes);
  const found: string[] = [];
  for await (const entry of reader) {
    const pax = new Map<string, unknown>(Object.entries(entry.header.pax ?? {}));
    if (entry.header.name === "hauberk-proxy")
      found.push(String(pax.get("SCHILY.xattr.security.capability")));
    await buffer(entry);
  }
  // Revision 2 without the effective bit; permitted: bit 12.
  assert.deepEqual(
    found.map((value) => Buffer.from(value, "latin1").toString("hex")),
    ["0000000200100000000000000000000000000000"],
  );
});

void test("an archive depends on its entries, not on their order", async () => {
  const entries: readonly Entry[] = [
    { kind: "file", path: "b/deep/file", mode: 0o644, bytes: Buffer.from("1") },
    { kind: "link", path: "a", target: "b" },
    { kind: "file", path: "c".repeat(150), mode: 0o600, bytes: Buffer.from("long name") },
  ];
  assert.deepEqual(await archive(entries, 1), await archive(entries.toReversed(), 1));
  assert.notDeepEqual(await archive(entries, 1), await archive(entries, 2));
});

void test("two entries of one name are refused", async () => {
  const entry: Entry = { kind: "file", path: "a", mode: 0o644, bytes: Buffer.from("") };
  await assert.rejects(archive([entry, entry], 1), /two entries are called a/);
});
