import assert from "node:assert/strict";
import test from "node:test";
import { IssuerInForce } from "./issuer-in-force.ts";
import { readIssuerSecret, writeIssuerData } from "./issuer-secret.ts";
import { ANCHOR_LIFE_MS, createAuthority, ISSUER_LIFE_MS } from "./issuer.ts";

const NOW_MS = Date.parse("2026-11-21T12:00:00Z");
const DOMAIN = { trustDomain: "cluster.local", controlPlaneNamespace: "linkerd" };
const LIFE = { nowMs: NOW_MS, anchorLifeMs: ANCHOR_LIFE_MS, issuerLifeMs: ISSUER_LIFE_MS };

test("an issuer is read from a Secret of either scheme (INTERFACE §4)", () => {
  const { issuer } = createAuthority(DOMAIN, LIFE);
  for (const scheme of ["linkerd.io/tls", "kubernetes.io/tls"] as const) {
    // Linkerd's chart makes an Opaque Secret: the names of its values tell the scheme.
    for (const type of scheme === "linkerd.io/tls" ? [scheme, "Opaque", undefined] : [scheme, "Opaque"]) {
      const verdict = readIssuerSecret({ type, data: writeIssuerData(scheme, issuer) });
      assert.ok(verdict.ok, `${scheme} in ${type}`);
      assert.equal(verdict.values.scheme, scheme);
      const pem = { ...verdict.values, anchors: issuer.anchors };
      assert.equal(new IssuerInForce().offer(pem, NOW_MS).type, "replaced");
      assert.equal(verdict.values.authority, scheme === "kubernetes.io/tls" ? issuer.anchors : undefined);
    }
  }
});

test("a Secret without an issuer is refused by the name of what it lacks", () => {
  const value = Buffer.from("x").toString("base64");
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ type: "kubernetes.io/tls", data: { "tls.crt": value } }, /data\["tls.key"\] is missing/],
    [{ type: "Opaque", data: { "crt.pem": "", "key.pem": value } }, /data\["crt.pem"\] is missing or empty/],
    [{ type: "Opaque", data: {} }, /neither crt.pem and key.pem nor tls.crt and tls.key/],
    [{ data: { "crt.pem": 7 } }, /is no Secret/],
    [undefined, /is no Secret/],
  ];
  for (const [secret, expected] of cases) {
    const verdict = readIssuerSecret(secret);
    assert.match(verdict.ok ? "accepted" : verdict.detail, expected);
  }
});

test("a bad new issuer is refused, said once and counted, and the old one stays in force", () => {
  const inForce = new IssuerInForce();
  const [first, other] = [createAuthority(DOMAIN, LIFE).issuer, createAuthority(DOMAIN, LIFE).issuer];
  inForce.offer(first, NOW_MS);
  const before = inForce.issuer;
  const foreign = { ...other, anchors: first.anchors };
  const twice = [inForce.offer(foreign, NOW_MS), inForce.offer(foreign, NOW_MS)];
  assert.deepEqual(
    twice.map((offered) => offered.type === "kept" && offered.isNew),
    [true, false],
  );
  assert.equal(inForce.issuer, before);
  assert.deepEqual(inForce.counts, { replaced: 0, refused: 1 });
  assert.equal(inForce.offer(first, NOW_MS).type, "unchanged");
  assert.equal(inForce.offer(other, NOW_MS).type, "replaced");
  assert.deepEqual(inForce.counts, { replaced: 1, refused: 1 });
});
