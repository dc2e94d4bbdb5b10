/** The proxies' TLS alone, without a mesh around it: every case of the suite, in a second. */
import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcessByStdio } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import test, { after, before } from "node:test";
import { promisify } from "node:util";
import { Expectations, judge, type Case } from "../report.ts";
import { describe, handshakeCases, OFFER, type Surroundings } from "./cases.ts";
import { issue, newAuthority } from "./credentials.ts";
import { probe, type Probe } from "./prober.ts";
import { judged } from "./suite.ts";

const run = promisify(execFile);
const PROXY = join(import.meta.dirname, "..", "..", "proxy");
/** The first build compiles the cryptographic module. */
const BUILD_MS_MAX = 900_000;
const IDENTITY = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const NAMES = { dns: IDENTITY, uri: "spiffe://cluster.local/ns/shop/sa/web" };

let child: ChildProcessByStdio<Writable, Readable, null>;
let dir: string;
let port: number;
let around: Surroundings;

async function build(): Promise<string> {
  const args = [
    "build",
    "--locked",
    "-p",
    "hauberk-tls",
    "--example",
    "handshake_server",
    "--message-format=json",
  ];
  const { stdout } = await run("cargo", args, {
    cwd: PROXY,
    maxBuffer: 64 * 1024 * 1024,
    timeout: BUILD_MS_MAX,
  });
  const [path] = Array.from(stdout.matchAll(/"executable":"([^"]*handshake_server)"/g), ([, found]) => found);
  assert.ok(path !== undefined);
  return path;
}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "hauberk-tls-"));
  const [authority, stranger] = await Promise.all([newAuthority("anchor"), newAuthority("stranger")]);
  const own = await issue(authority, { ...NAMES, days: 1 });
  const key = createPrivateKey(own.privateKeyPem).export({ format: "der", type: "pkcs8" });
  const [leaf, issuer] = own.chain;
  assert.ok(leaf !== undefined && issuer !== undefined);
  await Promise.all([
    writeFile(join(dir, "anchors.pem"), authority.certificate),
    writeFile(join(dir, "leaf.der"), leaf),
    writeFile(join(dir, "issuer.der"), issuer),
    writeFile(join(dir, "key.der"), key, { mode: 0o600 }),
  ]);
  child = spawn(await build(), [dir, IDENTITY], { stdio: ["pipe", "pipe", "ignore"] });
  const line = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  port = Number(line.value);
  around = {
    good: {
      ...OFFER,
      serverName: IDENTITY,
      alpn: ["transport.l5d.io/v1"],
      credentials: await issue(authority, { ...NAMES, days: 1 }),
      expect: { identity: IDENTITY, anchorsPem: authority.certificate },
      talk: Buffer.from("ping"),
      tamper: {},
    },
    expired: await issue(authority, { ...NAMES, days: -1 }),
    stranger: await issue(stranger, { ...NAMES, days: 1 }),
    // What an unauthenticated client and a missing ALPN mean is decided above this crate, by port and policy.
    isMutualRequired: false,
    isAlpnRequired: false,
  };
});

after(async () => {
  child.stdin.end();
  await rm(dir, { recursive: true, force: true });
});

const attempt = (one: Probe): ReturnType<typeof probe> => probe(connect(port, "127.0.0.1"), one);

test("the proxies' TLS serves and refuses as every case wants, but for the reasons on the suite's list", async () => {
  const cases: Case[] = [];
  for (const one of handshakeCases(around)) cases.push(judged(one, await attempt(one.probe)));
  const path = join(import.meta.dirname, "expectations.json");
  const expectations = Expectations.parse(JSON.parse(await readFile(path, "utf8")));
  const result = { suite: "handshake", usual: () => "passed", never: [], least: 45, cases };
  assert.deepEqual(judge(result, expectations).findings, []);
});

test("after all of that the same process still serves", async () => {
  const outcome = await attempt(around.good);
  assert.ok(outcome.type === "established", describe(outcome));
  assert.equal(outcome.answer.toString(), "ping");
  assert.equal(child.exitCode, null);
});
