import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import type { Certificate } from "@hauberk/crypto/certificate.ts";
import { createTrustAnchor, randomSerial } from "@hauberk/crypto/issue.ts";
import {
  abandon,
  introduce,
  step,
  type Act,
  type LiveProxy,
  type Rotation,
  type RotationPlan,
  type Seen,
} from "./trust-rotation.ts";
import { trustBundle, trusts, type TrustBundle } from "./trust.ts";

const NOW_MS = Date.parse("2026-11-21T12:00:00Z");
const TIMING = { spreadMs: 60_000, leafLifeMs: 3_600_000 };

function anchor(commonName: string): Certificate {
  const keys = generateKeyPair("ecdsa-p256-sha256");
  return createTrustAnchor({ commonName, keys, serial: randomSerial(), nowMs: NOW_MS, lifeMs: 1e12 })
    .certificate;
}

const [OLD, NEW, OTHER] = [anchor("old"), anchor("new"), anchor("other")];
const PLAN: RotationPlan = {
  id: "r1",
  by: "test",
  startedMs: NOW_MS,
  from: OLD.fingerprint,
  to: NEW.fingerprint,
};
/** Issuers are told apart by the root they lead to. */
const issuerBelow = (root: Certificate) => ({
  fingerprint: `below ${root.fingerprint}`,
  root: root.fingerprint,
});

/** A proxy, and what it has whether or not anybody knows. */
interface Proxy {
  bundle: TrustBundle;
  leafBelow: string;
  leafEndsMs: number;
  /** Knows of pushed bundles. */
  readonly follows: boolean;
  readonly name: string;
  proven: LiveProxy["proven"];
}

/** A mesh in which everything happens late, twice or never. */
class Mesh {
  nowMs = 0;
  rotation: Rotation = introduce(PLAN);
  bundle: TrustBundle = trustBundle([OLD, OTHER]);
  issuer = issuerBelow(OLD);
  next: Seen["next"] = { root: NEW, hasIssuer: true };
  proxies: Proxy[] = [];
  /** What was written down, and until when a reader may still see it. */
  older: { readonly bundle: TrustBundle; readonly untilMs: number }[] = [];
  olderIssuers: { readonly root: string; readonly untilMs: number }[] = [];
  #started = 0;

  start(follows: boolean, isStale: boolean): void {
    const stale = this.older.findLast(({ untilMs }) => untilMs > this.nowMs);
    const bundle = isStale && stale !== undefined ? stale.bundle : this.bundle;
    this.#started += 1;
    const proxy: Proxy = {
      bundle,
      leafBelow: "",
      leafEndsMs: 0,
      follows,
      name: `proxy-${this.#started}`,
      proven: undefined,
    };
    this.certify(proxy, isStale);
    this.proxies.push(proxy);
  }

  certify(proxy: Proxy, isStale: boolean): void {
    const stale = this.olderIssuers.findLast(({ untilMs }) => untilMs > this.nowMs);
    const root = isStale && stale !== undefined ? stale.root : this.issuer.root;
    // The proxy takes no certificate that is nothing under its own bundle.
    if (!trusts(proxy.bundle, root)) return;
    proxy.leafBelow = root;
    proxy.leafEndsMs = this.nowMs + TIMING.leafLifeMs;
  }

  push(proxy: Proxy, isStale: boolean): void {
    const stale = this.older.findLast(({ untilMs }) => untilMs > this.nowMs);
    const bundle = isStale && stale !== undefined ? stale.bundle : this.bundle;
    if (proxy.follows && trusts(bundle, proxy.leafBelow)) proxy.bundle = bundle;
  }

  report(proxy: Proxy): void {
    if (!proxy.follows) return;
    proxy.proven = {
      bundle: proxy.bundle.digest,
      issuer: `below ${proxy.leafBelow}`,
      atMs: this.nowMs,
    };
  }

  /** Every proxy hears and says what there is. */
  settle(): void {
    for (const proxy of this.proxies) {
      this.push(proxy, false);
      if (proxy.leafBelow !== this.issuer.root) this.certify(proxy, false);
      this.report(proxy);
    }
  }

  seen(): Seen {
    const proxies = this.proxies.map(({ name, proven, bundle, follows }) => ({
      name,
      proven,
      startedWith: follows ? undefined : bundle.digest,
    }));
    return { bundle: this.bundle, issuer: this.issuer, next: this.next, proxies };
  }

  /** Looks, and writes the phase down; the act follows only if nothing interrupts. */
  turn(isInterrupted: boolean): void {
    const { rotation, act } = step(this.rotation, this.seen(), TIMING, this.nowMs);
    assert.ok(act === undefined || rotation === this.rotation, "a step moves or acts, never both");
    this.rotation = rotation;
    if (act !== undefined && !isInterrupted) this.do(act);
  }

  do(act: Act): void {
    const untilMs = this.nowMs + TIMING.spreadMs;
    switch (act.type) {
      case "write_bundle":
        this.older.push({ bundle: this.bundle, untilMs });
        this.bundle = act.bundle;
        return;
      case "switch_issuer":
        this.olderIssuers.push({ root: this.issuer.root, untilMs });
        this.issuer = issuerBelow(NEW);
        return;
      case "forget_next":
        this.next = undefined;
        return;
    }
  }

  /** Every proxy with a certificate is trusted by every proxy, itself among them. */
  check(): void {
    const certified = this.proxies.filter(({ leafEndsMs }) => leafEndsMs > this.nowMs);
    for (const { name, leafBelow } of certified) {
      for (const peer of this.proxies) {
        assert.ok(
          trusts(peer.bundle, leafBelow),
          `${peer.name} does not trust ${name} while ${this.rotation.phase}`,
        );
      }
    }
    for (const { name, leafBelow } of this.proxies)
      assert.notEqual(leafBelow, "", `${name} has no certificate`);
  }

  /** What goes on in any case: certificates that end are renewed before. */
  pass(ms: number): void {
    this.nowMs += ms;
    for (const proxy of this.proxies) {
      if (proxy.leafEndsMs - this.nowMs < TIMING.leafLifeMs * 0.3) this.certify(proxy, false);
    }
  }
}

type Happening =
  | "turn"
  | "interrupted"
  | "start"
  | "start_stale"
  | "start_peer"
  | "pass"
  | "push"
  | "report"
  | "renew"
  | "everybody"
  | "no_peers"
  | "end";

function happen(mesh: Mesh, what: Happening, which: number): void {
  const proxy = mesh.proxies[which % Math.max(1, mesh.proxies.length)];
  switch (what) {
    case "turn":
    case "interrupted":
      return mesh.turn(what === "interrupted");
    case "start":
    case "start_stale":
      return mesh.start(true, what === "start_stale");
    case "start_peer":
      return mesh.start(false, false);
    case "pass":
      return mesh.pass(which * 100);
    case "push":
      return proxy && mesh.push(proxy, which % 2 === 0);
    case "report":
      return proxy && mesh.report(proxy);
    case "renew":
      return proxy && mesh.certify(proxy, which % 2 === 0);
    case "everybody":
      return mesh.settle();
    case "no_peers":
      mesh.proxies = mesh.proxies.filter(({ follows }) => follows);
      return undefined;
    case "end":
      mesh.proxies = mesh.proxies.filter((one) => one !== proxy);
  }
}

const HAPPENINGS = fc.array(
  fc.tuple(
    fc.constantFrom<Happening>(
      ...(["turn", "turn", "turn", "interrupted", "start", "start_stale", "start_peer", "pass"] as const),
      ...(["pass", "push", "report", "renew", "everybody", "everybody", "no_peers", "end"] as const),
    ),
    fc.noBias(fc.nat(1_000)),
  ),
  { minLength: 50, maxLength: 250, size: "max" },
);

test("no proxy ever meets a certificate that it does not trust, whatever is late, interrupted or done twice (B-02)", () => {
  let finished = 0;
  fc.assert(
    fc.property(HAPPENINGS, (happenings) => {
      const mesh = new Mesh();
      for (let n = 0; n < 3; n += 1) mesh.start(true, false);
      for (const [what, which] of happenings) {
        happen(mesh, what, which);
        mesh.check();
      }
      if (mesh.rotation.phase === "steady") finished += 1;
    }),
    { numRuns: 2_000, seed: 7 },
  );
  assert.ok(finished > 20, `only ${finished} rotations came to their end`);
});

test("a rotation comes to its end from wherever it was interrupted, once every proxy follows", () => {
  fc.assert(
    fc.property(HAPPENINGS, (happenings) => {
      const mesh = new Mesh();
      for (const [what, which] of happenings) happen(mesh, what, which);
      // Proxies that follow nothing are replaced by ones that were started since, as the status asks for.
      for (let n = 0; n < 40; n += 1) {
        mesh.turn(false);
        mesh.proxies = mesh.proxies.filter(({ follows }) => follows);
        mesh.settle();
        mesh.pass(10_000);
        mesh.check();
      }
      assert.deepEqual(mesh.rotation, { phase: "steady" });
      assert.equal(mesh.next, undefined);
      assert.equal(mesh.bundle.digest, trustBundle([NEW, OTHER]).digest, "other roots stay");
      assert.equal(mesh.issuer.root, NEW.fingerprint);
    }),
    { numRuns: 500, seed: 7 },
  );
});

test("one proxy that has not proven the new root holds the issuer back, and is named", () => {
  const mesh = new Mesh();
  mesh.start(true, false);
  mesh.start(false, false);
  for (const ms of [0, 0, 600_000]) {
    mesh.turn(false);
    mesh.pass(ms);
  }
  const [follower, peer] = mesh.proxies;
  assert.ok(follower && peer);
  const waiting = () => step(mesh.rotation, mesh.seen(), TIMING, mesh.nowMs).waiting;
  assert.equal(waiting().length, 2);
  mesh.push(follower, false);
  mesh.report(follower);
  assert.deepEqual(waiting(), [`${peer.name} to prove that it is to trust the new root, or to be restarted`]);
  mesh.turn(false);
  assert.equal(mesh.rotation.phase, "introducing");
  // Its pod is made anew, and starts with both roots.
  mesh.proxies = [follower];
  mesh.start(false, false);
  mesh.turn(false);
  assert.equal(mesh.rotation.phase, "reissuing");
});

test("an issuer that others bring is waited for", () => {
  const seen = (root: Certificate): Seen => ({
    bundle: trustBundle([OLD, NEW]),
    issuer: issuerBelow(root),
    next: { root: NEW, hasIssuer: false },
    proxies: [],
  });
  const rotation: Rotation = { phase: "reissuing", plan: PLAN, switchedMs: undefined };
  assert.deepEqual(step(rotation, seen(OLD), TIMING, 0).waiting, ["an issuer below the new root"]);
  assert.deepEqual(step(rotation, seen(NEW), TIMING, 5).rotation, { ...rotation, switchedMs: 5 });
});

test("a rotation is abandoned while nothing was issued below the new root, and not later", () => {
  assert.deepEqual(abandon(introduce(PLAN)), { phase: "abandoning", plan: PLAN });
  assert.equal(abandon({ phase: "reissuing", plan: PLAN, switchedMs: undefined }), undefined);
  const mesh = new Mesh();
  mesh.turn(false);
  mesh.rotation = abandon(mesh.rotation) ?? mesh.rotation;
  for (let n = 0; n < 4; n += 1) mesh.turn(false);
  assert.equal(mesh.bundle.digest, trustBundle([OLD, OTHER]).digest);
  assert.deepEqual([mesh.rotation, mesh.next], [{ phase: "steady" }, undefined]);
});
