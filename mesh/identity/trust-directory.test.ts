import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { DOMAIN } from "./service-fixture.ts";
import { IssuerFiles, type IssuerPaths } from "./issuer-files.ts";
import { ANCHOR_LIFE_MS, createAuthority, ISSUER_LIFE_MS } from "./issuer.ts";
import {
  askInDirectory,
  readTrustRecord,
  readTrustRequest,
  recoverIssuer,
  replaceRequest,
  trustDirectory,
} from "./trust-directory.ts";
import { bundleOf, turn, type DriveEvent } from "./trust-driver.ts";
import { readRecord, writeRecord } from "./trust-record.ts";
import type { LiveProxy } from "./trust-rotation.ts";
import { dueAtMs, newRootRequest } from "./trust-schedule.ts";

const TIMING = { spreadMs: 1_000, leafLifeMs: 3_600_000 };
const DAY_MS = 86_400_000;

interface Mesh {
  readonly dir: string;
  readonly paths: IssuerPaths;
  nowMs: number;
  readonly events: DriveEvent[];
  /** One look, after everybody has heard and said everything. */
  readonly look: (isInterrupted?: boolean) => Promise<boolean>;
}

async function inMesh(use: (mesh: Mesh) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "hauberk-trust-"));
  const paths = {
    certificates: join(dir, "crt.pem"),
    privateKey: join(dir, "key.pem"),
    anchors: join(dir, "ca-bundle.crt"),
  };
  const life = { nowMs: Date.now(), anchorLifeMs: ANCHOR_LIFE_MS, issuerLifeMs: ISSUER_LIFE_MS };
  const { issuer } = createAuthority(DOMAIN, life);
  writeFileSync(paths.certificates, issuer.certificates);
  writeFileSync(paths.privateKey, issuer.privateKey);
  writeFileSync(paths.anchors, issuer.anchors);
  const proxies = (): readonly LiveProxy[] => {
    const bundle = bundleOf(readFileSync(paths.anchors, "utf8")).digest;
    const fingerprint = bundleOf(readFileSync(paths.certificates, "utf8")).anchors[0]?.fingerprint ?? "";
    return [
      { name: "shop/web", proven: { bundle, issuer: fingerprint, atMs: mesh.nowMs }, startedWith: undefined },
    ];
  };
  const store = trustDirectory(paths, { proxies, written: () => Promise.resolve() });
  const mesh: Mesh = {
    dir,
    paths,
    nowMs: Date.now(),
    events: [],
    look: (isInterrupted = false) => {
      const interrupted = { ...store, carryOut: () => Promise.reject(new Error("interrupted")) };
      const options = {
        timing: TIMING,
        nowMs: () => mesh.nowMs,
        heard: (event: DriveEvent) => void mesh.events.push(event),
      };
      const signal = new AbortController().signal;
      return turn(isInterrupted ? interrupted : store, options, signal);
    },
  };
  try {
    await use(mesh);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function finish(mesh: Mesh, isInterruptedAt: (look: number) => boolean = () => false): Promise<void> {
  for (let look = 0; look < 60; look += 1) {
    const isInterrupted = look > 0 && isInterruptedAt(look);
    await mesh.look(isInterrupted).catch(() => undefined);
    // What was left half done is finished when the process starts anew, and the issuer always opens.
    if (isInterrupted) await recoverIssuer(mesh.paths);
    await IssuerFiles.open(mesh.paths, mesh.nowMs);
    mesh.nowMs += 1_000;
  }
}

test("a root is replaced in a directory, and the request is gone when it is done", () =>
  inMesh(async (mesh) => {
    const before = bundleOf(readFileSync(mesh.paths.anchors, "utf8"));
    const request = newRootRequest(DOMAIN, "test", mesh.nowMs);
    assert.ok(await askInDirectory(mesh.dir, request));
    assert.ok(
      !(await askInDirectory(mesh.dir, newRootRequest(DOMAIN, "other", mesh.nowMs))),
      "one at a time",
    );
    await finish(mesh);
    assert.equal(readFileSync(mesh.paths.anchors, "utf8"), request.root);
    assert.notEqual(bundleOf(request.root).digest, before.digest);
    assert.equal(await readTrustRequest(mesh.dir), undefined);
    const { rotation, last, status } = await readTrustRecord(mesh.dir);
    assert.deepEqual([rotation.phase, last, status?.proven], ["steady", request.id, 1]);
    const phases = mesh.events.flatMap((event) => (event.type === "phase" ? [event.rotation.phase] : []));
    assert.deepEqual([...new Set(phases)], ["introducing", "reissuing", "retiring", "steady"]);
  }));

test("an interruption before any act, and amid the issuer's files, changes nothing in the end", () =>
  inMesh(async (mesh) => {
    const request = newRootRequest(DOMAIN, "test", mesh.nowMs);
    await askInDirectory(mesh.dir, request);
    let torn = 0;
    await finish(mesh, (look) => {
      // The key is new, the certificate is not yet.
      const record = readFileSync(join(mesh.dir, "trust-rotation.json"), "utf8");
      if (readRecord(record).rotation.phase === "reissuing" && torn === 0) {
        torn = look;
        writeFileSync(`${mesh.paths.privateKey}.next`, request.issuer?.privateKey ?? "");
        renameSync(`${mesh.paths.privateKey}.next`, mesh.paths.privateKey);
      }
      return look % 2 === 0 || look === torn;
    });
    assert.ok(torn > 0);
    assert.equal(readFileSync(mesh.paths.anchors, "utf8"), request.root);
    assert.equal((await readTrustRecord(mesh.dir)).rotation.phase, "steady");
  }));

test("a rotation is given up on request, and its root is trusted no more", () =>
  inMesh(async (mesh) => {
    const before = readFileSync(mesh.paths.anchors, "utf8");
    const request = newRootRequest(DOMAIN, "test", mesh.nowMs);
    await askInDirectory(mesh.dir, request);
    for (let look = 0; look < 3; look += 1) await mesh.look();
    assert.equal(bundleOf(readFileSync(mesh.paths.anchors, "utf8")).anchors.length, 2);
    await replaceRequest(mesh.dir, { ...request, abandon: true });
    await finish(mesh);
    assert.equal(readFileSync(mesh.paths.anchors, "utf8"), before);
    assert.equal(await readTrustRequest(mesh.dir), undefined);
  }));

test("a request that makes no sense is refused in words, and is gone", () =>
  inMesh(async (mesh) => {
    const [request, other] = [1, 2].map(() => newRootRequest(DOMAIN, "test", mesh.nowMs));
    assert.ok(request && other);
    const own = readFileSync(mesh.paths.anchors, "utf8");
    const cases: readonly (readonly [object, RegExp])[] = [
      [{ root: other.root }, /issuer does not lead to its root/],
      [{ root: request.root + other.root }, /not exactly one root/],
      [{ root: "no root" }, /cannot be read/],
      [{ root: own, issuer: undefined }, /the one that issues now/],
    ];
    for (const [n, [change, expected]] of cases.entries()) {
      await askInDirectory(mesh.dir, { ...request, id: `r${n}`, ...change });
      await finish(mesh);
      const { status, rotation } = await readTrustRecord(mesh.dir);
      assert.match(status?.refused ?? "", expected);
      assert.equal(rotation.phase, "steady");
      assert.equal(await readTrustRequest(mesh.dir), undefined);
    }
    // A good one that comes after is not taken for refused.
    await askInDirectory(mesh.dir, other);
    await finish(mesh);
    assert.equal((await readTrustRecord(mesh.dir)).status?.refused, undefined);
    assert.equal(readFileSync(mesh.paths.anchors, "utf8"), other.root);
  }));

test("what is written down is read back, and what somebody else wrote is refused by field", () => {
  const plan = { id: "a", by: "b", startedMs: 1, from: "0".repeat(64), to: "f".repeat(64) };
  for (const rotation of [
    { phase: "steady" } as const,
    { phase: "introducing", plan, writtenMs: undefined } as const,
    { phase: "introducing", plan, writtenMs: 7 } as const,
    { phase: "reissuing", plan, switchedMs: undefined } as const,
    { phase: "retiring", plan } as const,
  ]) {
    const record = { rotation, last: "a", status: undefined };
    assert.deepEqual(readRecord(writeRecord(record)), record);
  }
  assert.throws(() => readRecord('{"version":1,"rotation":{"phase":"upside_down"}}'), /phase/);
  assert.throws(() => readRecord('{"version":2,"rotation":{"phase":"steady"}}'), /version/);
});

test("the schedule is due when a third of a life is left, or when its period is over (S1-08)", () => {
  const issuer = { notBeforeMs: 0, notAfterMs: 90 * DAY_MS };
  const root = { notBeforeMs: 0, notAfterMs: 3_000 * DAY_MS };
  assert.equal(dueAtMs({ type: "off" }, issuer, root), undefined);
  assert.equal(dueAtMs({ type: "expiry" }, issuer, root), 60 * DAY_MS);
  assert.equal(dueAtMs({ type: "expiry" }, root, issuer), 60 * DAY_MS);
  assert.equal(dueAtMs({ type: "every", everyMs: 7 * DAY_MS }, issuer, root), 7 * DAY_MS);
  assert.equal(dueAtMs({ type: "every", everyMs: 400 * DAY_MS }, issuer, root), 60 * DAY_MS);
});
