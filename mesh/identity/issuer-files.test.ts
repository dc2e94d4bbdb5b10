import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { IssuerFiles, type IssuerPaths } from "./issuer-files.ts";
import { ANCHOR_LIFE_MS, createAuthority, ISSUER_LIFE_MS, openIssuer, type IssuerPem } from "./issuer.ts";

const NOW_MS = Date.parse("2026-11-21T12:00:00Z");
const DOMAIN = { trustDomain: "cluster.local", controlPlaneNamespace: "linkerd" };
const LIFE = { nowMs: NOW_MS, anchorLifeMs: ANCHOR_LIFE_MS, issuerLifeMs: ISSUER_LIFE_MS };

const authority = (): IssuerPem => createAuthority(DOMAIN, LIFE).issuer;

async function inFolder(use: (paths: IssuerPaths) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hauberk-issuer-"));
  try {
    await use({
      certificates: join(folder, "crt.pem"),
      privateKey: join(folder, "key.pem"),
      anchors: join(folder, "ca-bundle.crt"),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function put(paths: IssuerPaths, pem: Partial<IssuerPem>): void {
  if (pem.certificates !== undefined) writeFileSync(paths.certificates, pem.certificates);
  if (pem.privateKey !== undefined) writeFileSync(paths.privateKey, pem.privateKey);
  if (pem.anchors !== undefined) writeFileSync(paths.anchors, pem.anchors);
}

test("a changed issuer is taken without a restart, also when its files arrive one by one", () =>
  inFolder(async (paths) => {
    put(paths, authority());
    const files = await IssuerFiles.open(paths, NOW_MS);
    const first = files.issuer;
    assert.equal((await files.reload(NOW_MS)).type, "unchanged");
    const next = authority();
    put(paths, { certificates: next.certificates });
    assert.equal((await files.reload(NOW_MS)).type, "kept");
    put(paths, { privateKey: next.privateKey });
    assert.equal((await files.reload(NOW_MS)).type, "kept");
    assert.equal(files.issuer, first);
    put(paths, { anchors: next.anchors });
    assert.equal((await files.reload(NOW_MS)).type, "replaced");
    assert.notEqual(files.issuer, first);
  }));

test("files that vanish, break or expire leave the issuer as it was", () =>
  inFolder(async (paths) => {
    put(paths, authority());
    const files = await IssuerFiles.open(paths, NOW_MS);
    const first = files.issuer;
    const expired = authority();
    put(paths, expired);
    const late = await files.reload(NOW_MS + ANCHOR_LIFE_MS + 1);
    assert.ok(late.type === "kept" && late.refusal.code === "not_trusted");
    put(paths, { privateKey: "junk" });
    assert.equal((await files.reload(NOW_MS)).type, "kept");
    rmSync(paths.certificates);
    assert.equal((await files.reload(NOW_MS)).type, "kept");
    assert.equal(files.issuer, first);
  }));

test("nothing begins with an issuer that leads to no anchor", () =>
  inFolder(async (paths) => {
    put(paths, { ...authority(), anchors: authority().anchors });
    await assert.rejects(IssuerFiles.open(paths, NOW_MS), /does not lead to a trust anchor/);
  }));

test("the bundle may hold more anchors than the issuer's, and all are trusted", () => {
  const [old, now] = [authority(), authority()];
  const verdict = openIssuer({ ...now, anchors: old.anchors + now.anchors }, NOW_MS);
  assert.ok(verdict.ok);
  assert.equal(verdict.issuer.anchors.length, 2);
  assert.equal(verdict.issuer.chain.length, 1);
});
