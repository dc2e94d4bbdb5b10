import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { ChannelError, folderMemory } from "../channel/follow.ts";
import type { Keyring } from "../channel/keys.ts";
import type { Release } from "../channel/release.ts";
import { addToChannel, createRepository, rotateKeys } from "../channel/repository.ts";
import { ROLE_NAMES, RULES } from "../channel/roles.ts";
import { followCopy, type Copy } from "./follow.ts";
import { forgetful } from "./prove.ts";

const newRing = (): Keyring =>
  new Map(
    ROLE_NAMES.flatMap((role) => RULES[role].keys).map((name) => [
      name,
      generateKeyPair("ecdsa-p256-sha256"),
    ]),
  );
const RING = newRing();
const DAY_MS = 86_400_000;
const MADE = new Date("2026-11-01T00:00:00Z");
const later = (days: number) => new Date(MADE.getTime() + days * DAY_MS);

const release = (version: string): Release => ({
  version,
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

let base = "";
let dir = "";
let root: Buffer;

before(async () => {
  base = await mkdtemp(join(tmpdir(), "hauberk-copy-test-"));
  dir = join(base, "repository");
  await createRepository(dir, { ring: RING, trust: "{}", now: MADE });
  await addToChannel(dir, "stable", release("1.0.0"), { ring: RING, now: MADE });
  root = await readFile(join(dir, "metadata", "1.root.json"));
});
after(() => rm(base, { recursive: true, force: true }));

const copyOf = (changes: Partial<Copy> = {}): Copy => ({
  dir,
  name: "stable",
  memory: forgetful,
  root,
  now: later(10),
  ...changes,
});

async function outcome(copy: Copy): Promise<string> {
  try {
    const { releases } = await followCopy(copy, (list) => list.releases.map(({ version }) => version));
    return [...releases.keys()].join(" ");
  } catch (error) {
    if (error instanceof ChannelError) return error.refusal;
    throw error;
  }
}

let copies = 0;
async function elsewhere(): Promise<string> {
  copies += 1;
  const to = join(base, `copy-${copies}`);
  await cp(dir, to, { recursive: true });
  return to;
}

void test("D-03: a copy is good without a network as long as its channel's signatures are, and no longer", async () => {
  assert.equal(await outcome(copyOf()), "1.0.0");
  assert.equal(await outcome(copyOf({ now: later(31) })), "metadata-expired");
});

void test("a copy proves nothing without a root that one trusts, or by another one", async () => {
  assert.equal(await outcome(copyOf({ root: undefined })), "signers-missing");
  const other = join(base, "other");
  await createRepository(other, { ring: newRing(), trust: "{}", now: MADE });
  const stranger = await readFile(join(other, "metadata", "1.root.json"));
  assert.equal(await outcome(copyOf({ root: stranger })), "signers-missing");
});

void test("a root's successors are followed, each signed by the one before", async () => {
  const copy = await elsewhere();
  await rotateKeys(copy, { ring: RING, next: newRing(), now: MADE });
  assert.equal(await outcome(copyOf({ dir: copy })), "1.0.0");
});

void test("an altered target and altered metadata are refused", async () => {
  const copy = await elsewhere();
  const targets = join(copy, "targets", "stable");
  for (const name of await readdir(targets)) {
    const bytes = await readFile(join(targets, name));
    await writeFile(join(targets, name), bytes.toString().replace("1.0.0", "6.6.6"));
  }
  assert.equal(await outcome(copyOf({ dir: copy })), "target-altered");
  const metadata = join(copy, "metadata");
  for (const name of (await readdir(metadata)).filter((one) => one.endsWith(".stable.json"))) {
    const text = await readFile(join(metadata, name), "utf8");
    await writeFile(join(metadata, name), text.replace("2026-12-01", "2036-12-01"));
  }
  assert.equal(await outcome(copyOf({ dir: copy })), "signers-missing");
});

void test("who has seen a newer state is not taken back by an older copy", async () => {
  const old = await elsewhere();
  const newer = await elsewhere();
  await addToChannel(newer, "stable", release("1.1.0"), { ring: RING, now: MADE });
  const memory = folderMemory(join(base, "memory"));
  assert.equal(await outcome(copyOf({ dir: newer, memory })), "1.0.0 1.1.0");
  assert.equal(await outcome(copyOf({ dir: old, memory, root: undefined })), "metadata-rolled-back");
});
