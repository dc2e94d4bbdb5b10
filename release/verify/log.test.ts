import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { after, before } from "node:test";
import fc from "fast-check";
import { IN_TOTO } from "../attest/statement.ts";
import { Layout } from "../oci/layout.ts";
import { sealWith } from "../sign/keyless.ts";
import { startSigstore, tokenOf, type FixtureSigstore } from "../sign/sigstore.fixture.ts";
import { auditLogs, describeAudit, signedIn } from "./log-audit.ts";
import { leafHash, LogError, nodeHash, readLog, rootOf } from "./log.ts";
import { ISSUER, makeSmall, NAMES, signerOf, trustOf, type Signers } from "./release.fixture.ts";
import type { Trust } from "./trust.ts";

let base = "";
let sigstore: FixtureSigstore;
let trust: Trust;
let signers: Signers;

before(async () => {
  base = await mkdtemp(join(tmpdir(), "hauberk-log-"));
  sigstore = await startSigstore();
  signers = {
    builder: signerOf(sigstore, NAMES.builder.certified),
    gate: signerOf(sigstore, NAMES.gate.certified),
  };
  trust = trustOf(signers, sigstore.root);
  await makeSmall(join(base, "release"), { version: "1.0.0", signers, trust });
});
after(async () => {
  await sigstore.close();
  await rm(base, { recursive: true, force: true });
});

/** The fixture's log as files, as it is now. */
async function tiles(name: string): Promise<string> {
  const dir = join(base, name);
  for (const path of ["checkpoint", `tile/entries/000.p/${sigstore.log.entries.length}`]) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), sigstore.log.read(path));
  }
  return dir;
}

const known = async () => signedIn([await Layout.open(join(base, "release", "images"))]);

void test("D-07: a log in which each entry of ours is of the release explains itself", async () => {
  const [audit, ...more] = await auditLogs(trust, await known(), await tiles("whole"));
  assert.ok(audit !== undefined && more.length === 0);
  assert.equal(audit.entries, 12, "six statements of an index and of one platform's image");
  assert.deepEqual(audit.unexplained, []);
  assert.match(describeAudit(audit), /^√ log log\.test: 12 entries/);
});

const stolen = (identity: string) =>
  sealWith(sigstore.services, { getToken: async () => tokenOf(identity, ISSUER) });

void test("D-07: what was signed in the builder's name and is in no release is reported, and a stranger's entry is not", async () => {
  await stolen("https://build.test/somebody")(IN_TOTO, Buffer.from("theirs"));
  await stolen(NAMES.builder.certified)(IN_TOTO, Buffer.from("not of any release"));
  const [audit] = await auditLogs(trust, await known(), await tiles("stolen"));
  assert.ok(audit !== undefined);
  assert.deepEqual(
    audit.unexplained.map(({ index, identity }) => ({ index, identity })),
    [{ index: 13, identity: NAMES.builder.certified }],
  );
  assert.match(describeAudit(audit), /entry-unexplained: entry 13 by https:\/\/build\.test\/workflow/);
});

const is = (refusal: LogError["refusal"]) => (error: unknown) =>
  error instanceof LogError && error.refusal === refusal;

void test("a log whose tiles do not give the signed root, or whose checkpoint another signed, is refused", async () => {
  const read = async (path: string) => sigstore.log.read(path);
  const altered = async (path: string) => {
    const bytes = Buffer.from(await read(path));
    if (path !== "checkpoint") bytes.writeUInt8(bytes.readUInt8(10) ^ 1, 10);
    return bytes;
  };
  const short = async (path: string) => {
    const bytes = await read(path);
    return path === "checkpoint" ? bytes : bytes.subarray(0, -1);
  };
  const { publicKey } = sigstore.log;
  await assert.rejects(readLog(altered, publicKey), is("log-altered"));
  await assert.rejects(readLog(short, publicKey), is("log-altered"));
  await assert.rejects(readLog(read, signers.builder.classical.publicKey.key), is("checkpoint-wrong"));
});

void test("a root is what RFC 9162 defines, for every number of leaves", () => {
  const defined = (leaves: readonly Buffer[]): Buffer => {
    const [first] = leaves;
    if (first === undefined) return rootOf([]);
    if (leaves.length === 1) return first;
    const split = 2 ** Math.ceil(Math.log2(leaves.length) - 1);
    return nodeHash(defined(leaves.slice(0, split)), defined(leaves.slice(split)));
  };
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 4 }), { maxLength: 70 }), (entries) => {
      const leaves = entries.map(leafHash);
      assert.deepEqual(rootOf(leaves), defined(leaves));
    }),
  );
});

void test("with a trust file in which nobody is certified there is nothing to audit", async () => {
  const { certified: _, ...builder } = trust.builder;
  await assert.rejects(auditLogs({ builder }, new Set()), /nobody in it signs with certificates/);
});
