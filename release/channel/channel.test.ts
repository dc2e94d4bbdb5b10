import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { pathToFileURL } from "node:url";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { z } from "zod";
import { ChannelError, folderMemory, follow, type Channel, type Memory } from "./follow.ts";
import { MissingKeysError, type Keyring } from "./keys.ts";
import type { Release } from "./release.ts";
import { addToChannel, createRepository, refreshTimestamp, rotateKeys } from "./repository.ts";
import { ROLE_NAMES, RULES, type ChannelName } from "./roles.ts";

const TRUST = '{"builderId":"https://build.test/v1"}';

const newRing = (): Keyring =>
  new Map(
    ROLE_NAMES.flatMap((role) => RULES[role].keys).map((name) => [
      name,
      generateKeyPair("ecdsa-p256-sha256"),
    ]),
  );
const RING = newRing();

const release = (version: string, changes: Partial<Release> = {}): Release => ({
  version,
  commit: "c".repeat(40),
  at: "2026-11-01T00:00:00.000Z",
  repository: "images.test/hauberk",
  images: { proxy: `sha256:${"1".repeat(64)}` },
  artifacts: {},
  absent: [],
  upgradeFrom: "0.1.0",
  crds: [],
  fixes: [],
  conformance: {},
  ...changes,
});

let base = "";
const now = () => new Date();
const ago = (days: number) => new Date(Date.now() - days * 86_400_000);

before(async () => {
  base = await mkdtemp(join(tmpdir(), "hauberk-channel-test-"));
});
after(() => rm(base, { recursive: true, force: true }));

let made = 0;
/** A repository with 1.0.0 in stable, and somebody who follows it with a copy of its root. */
async function repository(at = now(), ring = RING) {
  made += 1;
  const dir = join(base, `repository-${made}`);
  await createRepository(dir, { ring, trust: TRUST, now: at });
  await addToChannel(dir, "stable", release("1.0.0"), { ring, now: at });
  const root = await readFile(join(dir, "metadata", "1.root.json"));
  return { dir, root, memory: folderMemory(join(base, `memory-${made}`)) };
}

function channel(
  at: { readonly dir: string; readonly root: Buffer; readonly memory: Memory },
  name: ChannelName = "stable",
): Channel {
  return { url: pathToFileURL(at.dir).href, name, memory: at.memory, root: at.root };
}

const all = (list: { readonly releases: readonly { readonly version: string }[] }) =>
  list.releases.map(({ version }) => version);

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ChannelError) return error.refusal;
    throw error;
  }
  return "believed";
}

async function newest(dir: string, role: string): Promise<string> {
  const files = (await readdir(join(dir, "metadata"))).filter((file) => file.endsWith(`.${role}.json`));
  const [file = ""] = files.toSorted((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10));
  return join(dir, "metadata", file);
}

void test("D-03: a follower learns the newest release and whom to believe", async () => {
  const at = await repository();
  await addToChannel(at.dir, "stable", release("1.1.0"), { ring: RING, now: now() });
  const offer = await follow(channel(at), all);
  assert.deepEqual(all(offer.list), ["1.0.0", "1.1.0"]);
  assert.deepEqual(offer.releases.get("1.1.0"), release("1.1.0"));
  assert.equal(offer.trust, TRUST);
});

void test("a release of one channel is not in the other", async () => {
  const at = await repository();
  assert.deepEqual(all((await follow(channel(at, "edge"), all)).list), []);
});

void test("a version is published once: the same again changes nothing, another content is refused", async () => {
  const at = await repository();
  await addToChannel(at.dir, "stable", release("1.0.0"), { ring: RING, now: now() });
  assert.deepEqual(all((await follow(channel(at), all)).list), ["1.0.0"]);
  const other = release("1.0.0", { commit: "d".repeat(40) });
  await assert.rejects(addToChannel(at.dir, "stable", other, { ring: RING, now: now() }), /other content/);
});

void test("one of the two signers of stable alone publishes nothing, and nothing has changed", async () => {
  const at = await repository();
  const alone = new Map([...RING].filter(([name]) => name !== "stable-2"));
  await assert.rejects(
    addToChannel(at.dir, "stable", release("1.1.0"), { ring: alone, now: now() }),
    MissingKeysError,
  );
  assert.deepEqual(all((await follow(channel(at), all)).list), ["1.0.0"]);
});

void test("keys are replaced under a follower's eyes, by the signers of both roots", async () => {
  const at = await repository();
  await follow(channel(at), all);
  const next = newRing();
  await rotateKeys(at.dir, { ring: RING, next, now: now() });
  await addToChannel(at.dir, "stable", release("1.1.0"), { ring: next, now: now() });
  assert.deepEqual(all((await follow(channel(at), all)).list), ["1.0.0", "1.1.0"]);
});

void test("a root that the old signers have not signed is no root", async () => {
  const at = await repository();
  await follow(channel(at), all);
  const thief = newRing();
  await rotateKeys(at.dir, { ring: thief, next: thief, now: now() });
  assert.equal(await refusal(follow(channel(at), all)), "signers-missing");
});

void test("rollback: a repository that goes back to an older state is refused by who saw the newer", async () => {
  const at = await repository();
  const old = `${at.dir}-old`;
  await cp(at.dir, old, { recursive: true });
  await addToChannel(at.dir, "stable", release("1.1.0"), { ring: RING, now: now() });
  await follow(channel(at), all);
  assert.equal(await refusal(follow(channel({ ...at, dir: old }), all)), "metadata-rolled-back");
  const after = await follow(channel(at), all);
  assert.deepEqual(all(after.list), ["1.0.0", "1.1.0"], "and what was known is still known");
});

void test("freeze: a timestamp that nobody renewed is refused after two days, and renewing cures it", async () => {
  const at = await repository(ago(3));
  assert.equal(await refusal(follow(channel(at), all)), "metadata-expired");
  await refreshTimestamp(at.dir, RING, now());
  assert.deepEqual(all((await follow(channel(at), all)).list), ["1.0.0"]);
});

void test("an expired channel is refused though its timestamp is fresh", async () => {
  const at = await repository(ago(31));
  await refreshTimestamp(at.dir, RING, now());
  assert.equal(await refusal(follow(channel(at), all)), "metadata-expired");
});

void test("mix and match: a channel's document of another snapshot is refused", async () => {
  const at = await repository();
  const first = await readFile(await newest(at.dir, "stable"));
  await addToChannel(at.dir, "stable", release("1.1.0"), { ring: RING, now: now() });
  await writeFile(await newest(at.dir, "stable"), first);
  assert.equal(await refusal(follow(channel(at), all)), "metadata-altered");
});

void test("fast-forward: a timestamp of a stranger with an enormous version is refused, and not remembered", async () => {
  const at = await repository();
  await follow(channel(at), all);
  const path = join(at.dir, "metadata", "timestamp.json");
  const good = await readFile(path);
  const Timestamp = z.looseObject({ signed: z.looseObject({ version: z.number() }) });
  const forged = Timestamp.parse(JSON.parse(good.toString()));
  forged.signed.version = 2 ** 31;
  await writeFile(path, JSON.stringify(forged));
  assert.equal(await refusal(follow(channel(at), all)), "signers-missing");
  await writeFile(path, good);
  assert.equal(await refusal(follow(channel(at), all)), "believed");
});

void test("endless data: a document that does not end where it was announced is cut off", async () => {
  const at = await repository();
  const path = await newest(at.dir, "snapshot");
  await writeFile(path, Buffer.concat([await readFile(path), Buffer.alloc(1024 * 1024, " ")]));
  assert.equal(await refusal(follow(channel(at), all)), "endless-data");
});

void test("a description that was altered where it lies is refused", async () => {
  const at = await repository();
  const folder = join(at.dir, "targets", "stable");
  const [file] = (await readdir(folder)).filter((name) => name.endsWith("hauberk-1.0.0.json"));
  assert.ok(file !== undefined);
  const text = await readFile(join(folder, file), "utf8");
  await writeFile(join(folder, file), text.replace("images.test", "images.evil"));
  assert.equal(await refusal(follow(channel(at), all)), "target-altered");
});

void test("garbage, a missing document and no repository at all are refused, each by name", async () => {
  const at = await repository();
  const path = join(at.dir, "metadata", "timestamp.json");
  await writeFile(path, "not json");
  assert.equal(await refusal(follow(channel(at), all)), "metadata-altered");
  await rm(path);
  assert.equal(await refusal(follow(channel(at), all)), "channel-unreachable");
  const nowhere = channel({ ...at, dir: join(base, "nowhere") });
  assert.equal(await refusal(follow(nowhere, all)), "channel-unreachable");
});

void test("without a root of one's own nothing is believed", async () => {
  const at = await repository();
  const { root: _, ...rootless } = channel(at);
  assert.equal(await refusal(follow(rootless, all)), "signers-missing");
});

void test("a Sigstore's trust root is a target of its own, also where cosign looks for targets", async () => {
  const dir = join(base, "with-sigstore");
  const sigstore = { mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1" };
  await createRepository(dir, { ring: RING, trust: JSON.stringify({ sigstore }), now: now() });
  const [name = "", ...more] = (await readdir(join(dir, "targets"))).filter((file) =>
    file.endsWith(".trusted_root.json"),
  );
  assert.deepEqual(more, []);
  const text = await readFile(join(dir, "targets", name), "utf8");
  assert.deepEqual(JSON.parse(text), sigstore);
  assert.equal(await readFile(join(dir, "metadata", "targets", name), "utf8"), text);
  const without = await repository();
  const names = await readdir(join(without.dir, "targets"));
  assert.ok(names.every((file) => !file.endsWith(".trusted_root.json")));
});
