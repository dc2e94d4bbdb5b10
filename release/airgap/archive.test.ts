import assert from "node:assert/strict";
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import test, { after, before } from "node:test";
import { pack } from "tar-stream";
import { writeDescription } from "../channel/release.ts";
import { packRelease } from "./pack.ts";
import { BundleError, unpackInto, withBundle } from "./unpack.ts";

let base = "";
before(async () => {
  base = await mkdtemp(join(tmpdir(), "hauberk-archive-test-"));
});
after(() => rm(base, { recursive: true, force: true }));

async function releaseIn(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(dir, { recursive: true });
  const description = writeDescription({
    version: "1.0.0",
    commit: "c".repeat(40),
    at: "2026-11-01T00:00:00.000Z",
    repository: "images.test/hauberk",
    images: {},
    artifacts: {},
    absent: [],
    upgradeFrom: "0.1.0",
    crds: [],
    fixes: [],
    conformance: {},
  });
  await writeFile(join(dir, "release.json"), description);
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
}

async function channelIn(dir: string): Promise<string> {
  await mkdir(join(dir, "metadata"), { recursive: true });
  await writeFile(join(dir, "metadata", "1.root.json"), "{}");
  return dir;
}

const WHOLE = { "gate.pub": "key", "hauberk-1.0.0-linux-amd64.tar.gz": "cli", "ecdsa-p256.pem": "secret" };

void test("B-10: a bundle holds the release and its channel, no key, and is the same bytes each time", async () => {
  const channel = await channelIn(join(base, "channel"));
  const dir = join(base, "whole");
  await releaseIn(dir, WHOLE);
  const [one, other] = [join(base, "one.tar"), join(base, "other.tar")];
  await packRelease(dir, { channel, file: one });
  await packRelease(dir, { channel, file: other });
  assert.deepEqual(await readFile(one), await readFile(other));
  await withBundle(one, (unpacked) => {
    for (const name of ["release.json", "channel/metadata/1.root.json", "README-BUNDLE.txt", "gate.pub"])
      assert.ok(existsSync(join(unpacked, name)), name);
    assert.equal(existsSync(join(unpacked, "ecdsa-p256.pem")), false);
    return Promise.resolve();
  });
});

void test("a release that nobody let out, or without a command line, is no bundle", async () => {
  const channel = await channelIn(join(base, "channel-2"));
  const file = join(base, "none.tar");
  const { "gate.pub": _gate, ...unproven } = WHOLE;
  await releaseIn(join(base, "unproven"), unproven);
  await assert.rejects(packRelease(join(base, "unproven"), { channel, file }), /not been let out/);
  await releaseIn(join(base, "without"), { "gate.pub": "key" });
  await assert.rejects(
    packRelease(join(base, "without"), { channel, file }),
    /no archive of the command line/,
  );
});

interface Hostile {
  readonly name: string;
  readonly linkname?: string;
}

async function archive(entries: readonly Hostile[]): Promise<string> {
  const file = join(base, "hostile.tar");
  const out = pack();
  const written = pipeline(out, createWriteStream(file));
  for (const { name, linkname } of entries) {
    if (linkname === undefined) out.entry({ name }, "x");
    else out.entry({ name, type: "symlink", linkname });
  }
  out.finalize();
  await written;
  return file;
}

void test("nothing of a bundle lies outside the folder that it is unpacked into, or stands twice", async () => {
  const hostile: readonly (readonly Hostile[])[] = [
    [{ name: "../outside" }],
    [{ name: "a/../../outside" }],
    [{ name: "/outside" }],
    [{ name: "link", linkname: "/" }],
    [{ name: "twice" }, { name: "twice" }],
    [{ name: "something-else" }],
  ];
  for (const [place, entries] of hostile.entries()) {
    const file = await archive(entries);
    await assert.rejects(unpackInto(file, join(base, `into-${place}`)), BundleError, JSON.stringify(entries));
  }
  assert.equal(existsSync(join(base, "outside")), false);
});

void test("what is no archive is refused by name", async () => {
  const file = join(base, "text.tar");
  await writeFile(file, "not an archive, but a text that is long enough to be one".repeat(40));
  await assert.rejects(unpackInto(file, join(base, "into-text")), /is no bundle/);
});
