import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readCertificatesPem, verifyChain } from "@hauberk/crypto/certificate.ts";
import {
  KEY,
  LIFE_MS,
  OVERLAP_MS,
  RENEW_BEFORE_MS,
  STAGE_MS,
  carries,
  decide,
  mint,
  type Decision,
  type Found,
  type SecretText,
} from "./certificate.ts";

const NOW = Date.UTC(2026, 10, 21);
const NAMES = ["linkerd-proxy-injector.linkerd.svc"];
const SKEW = 60_000;
const at = (nowMs: number, bundleStands = true) => ({
  nowMs,
  names: NAMES,
  bundleStands,
  mint: () => mint(NAMES, nowMs),
});
const ours = (text: SecretText): Found => ({ type: "ours", text });

function written(decision: Decision, reason: string): SecretText {
  assert.ok(decision.type === "write", decision.type);
  assert.equal(decision.reason, reason);
  return decision.text;
}

const authorities = (text: SecretText) => readCertificatesPem(text[KEY.bundle] ?? "").length;
const isVouchedFor = (text: SecretText, bundle: string, nowMs: number): boolean => {
  const [leaf] = readCertificatesPem(text[KEY.certificates] ?? "");
  assert.ok(leaf);
  return verifyChain({ leaf, intermediates: [], anchors: readCertificatesPem(bundle) }, nowMs).ok;
};

test("without a Secret one is made, for the webhook's names, and then it is served", () => {
  const text = written(decide({ type: "absent" }, at(NOW)), "missing");
  const [leaf] = readCertificatesPem(text[KEY.certificates] ?? "");
  assert.deepEqual(leaf?.names, [{ kind: "dns", value: NAMES[0] }]);
  assert.equal(decide(ours(text), at(NOW)).type, "serve");
  assert.ok(!Object.values(text).join("").includes("next"));
});

test("a rotation stages, promotes once the bundle stands, and drops the old authority after the overlap", () => {
  const first = written(decide({ type: "absent" }, at(NOW)), "missing");
  const due = NOW + LIFE_MS - RENEW_BEFORE_MS + SKEW;
  assert.equal(decide(ours(first), at(due - 2 * SKEW)).type, "serve");
  const staged = written(decide(ours(first), at(due)), "staged");
  assert.equal(staged[KEY.certificates], first[KEY.certificates]);
  assert.equal(authorities(staged), 2);
  assert.equal(decide(ours(staged), at(due + STAGE_MS - 1)).type, "serve");
  assert.equal(
    decide(ours(staged), at(due + STAGE_MS, false)).type,
    "serve",
    "no configuration carries it yet",
  );
  const promoted = written(decide(ours(staged), at(due + STAGE_MS)), "promoted");
  assert.equal(promoted[KEY.certificates], staged[KEY.nextCertificates]);
  assert.equal(authorities(promoted), 2);
  assert.equal(promoted[KEY.nextCertificates], undefined);
  const after = due + STAGE_MS + OVERLAP_MS;
  assert.equal(decide(ours(promoted), at(after - 1)).type, "serve");
  const dropped = written(decide(ours(promoted), at(after)), "dropped");
  assert.equal(authorities(dropped), 1);
  assert.equal(decide(ours(dropped), at(after)).type, "serve");
});

test("what cannot be served is replaced at once: ended, for other names, of another key, or no PEM", () => {
  const good = mint(NAMES, NOW);
  const other = mint(["other.linkerd.svc"], NOW);
  const text = {
    [KEY.certificates]: good.certificates,
    [KEY.privateKey]: good.privateKey,
    [KEY.bundle]: good.authority,
  };
  const table: readonly (readonly [SecretText, number])[] = [
    [text, NOW + LIFE_MS + SKEW],
    [
      {
        [KEY.certificates]: other.certificates,
        [KEY.privateKey]: other.privateKey,
        [KEY.bundle]: other.authority,
      },
      NOW,
    ],
    [{ ...text, [KEY.privateKey]: other.privateKey }, NOW],
    [{ ...text, [KEY.bundle]: other.authority }, NOW],
    [{ ...text, [KEY.certificates]: "x" }, NOW],
    [{}, NOW],
  ];
  assert.equal(decide(ours(text), at(NOW)).type, "serve");
  for (const [broken, nowMs] of table) written(decide(ours(broken), at(nowMs)), "unusable");
});

test("a successor that was lost is staged anew, and its dead authority leaves the bundle", () => {
  const first = written(decide({ type: "absent" }, at(NOW)), "missing");
  const due = NOW + LIFE_MS - RENEW_BEFORE_MS + SKEW;
  const staged = written(decide(ours(first), at(due)), "staged");
  const again = written(decide(ours({ ...staged, [KEY.nextPrivateKey]: "x" }), at(due)), "staged");
  assert.equal(authorities(again), 2);
});

test("a Secret of somebody else is served as it is, whatever it holds, and never written", () => {
  const { certificates, privateKey, authority } = mint(NAMES, 0);
  const text = { [KEY.certificates]: certificates, [KEY.privateKey]: privateKey };
  assert.deepEqual(decide({ type: "foreign", text }, at(NOW)), {
    type: "serve",
    material: { certificates, privateKey, bundle: undefined },
  });
  const selfMade = { [KEY.certificates]: authority, [KEY.privateKey]: privateKey };
  const decision = decide({ type: "foreign", text: selfMade }, at(NOW));
  assert.ok(decision.type === "serve" && carries(decision.material.bundle ?? "", authority));
  assert.equal(decide({ type: "foreign", text: {} }, at(NOW)).type, "wait");
});

test("at every moment of any schedule of looks, what is served is vouched for by the bundle that stands", () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 * 86_400_000 }), fc.boolean()), {
    minLength: 1,
    maxLength: 40,
  });
  fc.assert(
    fc.property(steps, (looks) => {
      let nowMs = NOW;
      let text = written(decide({ type: "absent" }, at(nowMs)), "missing");
      let standing = text[KEY.bundle] ?? "";
      for (const [pause, patches] of looks) {
        nowMs += pause;
        for (let turn = 0; turn < 4; turn += 1) {
          const decision = decide(ours(text), at(nowMs, carries(standing, text[KEY.bundle] ?? "")));
          if (decision.type !== "write") break;
          // A control plane that slept through its certificate's whole life begins anew: nothing stood to break.
          if (decision.reason === "unusable") standing = decision.text[KEY.bundle] ?? "";
          text = decision.text;
        }
        if (patches) standing = text[KEY.bundle] ?? "";
        assert.ok(isVouchedFor(text, standing, nowMs));
      }
    }),
    { numRuns: 40 },
  );
});
