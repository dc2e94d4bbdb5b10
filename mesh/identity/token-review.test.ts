import assert from "node:assert/strict";
import test from "node:test";
import { DNS, DOMAIN, POD } from "./service-fixture.ts";
import { verifyByReview, type KnownPod, type Reviewer, type TokenReview } from "./token-review.ts";

/** A token as far as it is looked at here: whom it is for. */
function tokenFor(...aud: readonly string[]): Uint8Array {
  const claims = Buffer.from(JSON.stringify({ aud, secret: "bbbbbbbbbbbb" })).toString("base64url");
  return new TextEncoder().encode(`aaaaaaaaaaaa.${claims}.cccccccccccc`);
}

const TOKEN = tokenFor("identity.l5d.io");
const KNOWN: KnownPod = {
  uid: POD.uid,
  serviceAccount: POD.serviceAccount,
  isFinished: false,
  containers: [],
};
const EXTRA = {
  "authentication.kubernetes.io/pod-name": [POD.name],
  "authentication.kubernetes.io/pod-uid": [POD.uid],
};
const USER = { username: "system:serviceaccount:shop:web", extra: EXTRA };
const STATUS = { authenticated: true, audiences: ["identity.l5d.io"], user: USER };

interface World {
  readonly status?: unknown;
  readonly known?: KnownPod | undefined;
  readonly token?: Uint8Array;
  readonly fails?: boolean;
}

const status = (change: object): World => ({ status: { ...STATUS, ...change } });

async function verdictOf(world: World): Promise<{ readonly code: string; readonly asked: TokenReview[] }> {
  const asked: TokenReview[] = [];
  const reviewer: Reviewer = {
    review: async (review) => {
      asked.push(review);
      if (world.fails) throw new Error(`no answer to ${review.spec.token}`);
      return "status" in world ? world : { status: STATUS };
    },
    pod: async () => ("known" in world ? world.known : KNOWN),
  };
  const signal = new AbortController().signal;
  const verdict = await verifyByReview(world.token ?? TOKEN, { reviewer, domain: DOMAIN, signal });
  if (!verdict.ok) {
    assert.ok(!JSON.stringify(verdict).includes("cccccccccccc"), "a token is never repeated");
    return { code: verdict.refusal.code, asked };
  }
  assert.equal(verdict.workload.identity.dnsName, DNS);
  assert.deepEqual(verdict.workload.pod, POD);
  return { code: "proven", asked };
}

test("a token is reviewed for our own audience, and proves the service account and its pod", async () => {
  const { code, asked } = await verdictOf({});
  assert.equal(code, "proven");
  assert.deepEqual(
    asked.map(({ spec }) => spec.audiences),
    [["identity.l5d.io"]],
  );
});

test("whatever the API server does not confirm in full is refused (QUALITY §3, threat 1)", async () => {
  const user = (change: object): World => status({ user: { ...USER, ...change } });
  const extra = (change: object): World => user({ extra: { ...EXTRA, ...change } });
  const cases: readonly (readonly [string, World, string])[] = [
    ["not authenticated", status({ authenticated: false, error: "expired" }), "token_rejected"],
    ["nothing said of it", { status: {} }, "token_rejected"],
    ["no audience", status({ audiences: undefined }), "token_audience"],
    ["another audience", status({ audiences: ["https://kubernetes.default.svc"] }), "token_audience"],
    ["two audiences", status({ audiences: ["identity.l5d.io", "other"] }), "token_audience"],
    ["a person", user({ username: "admin" }), "token_claims"],
    ["a node", user({ username: "system:node:n1" }), "token_claims"],
    ["an account of four parts", user({ username: "system:serviceaccount:a:b:c" }), "token_claims"],
    ["a name that is none", user({ username: "system:serviceaccount:shop:We_b" }), "token_subject_disagrees"],
    ["no pod", user({ extra: {} }), "token_not_bound"],
    ["no extra", user({ extra: undefined }), "token_not_bound"],
    ["no UID", extra({ "authentication.kubernetes.io/pod-uid": [] }), "token_not_bound"],
    ["two UIDs", extra({ "authentication.kubernetes.io/pod-uid": ["a", "b"] }), "token_not_bound"],
    ["a pod that is gone", { known: undefined }, "token_pod_unknown"],
    ["a pod of that name made anew", { known: { ...KNOWN, uid: "other" } }, "token_pod_unknown"],
    ["a pod that is finished", { known: { ...KNOWN, isFinished: true } }, "token_pod_unknown"],
    ["a pod of another account", { known: { ...KNOWN, serviceAccount: "db" } }, "token_subject_disagrees"],
    ["no answer", { fails: true }, "token_review_failed"],
    ["an answer that is none", { status: "yes" }, "token_review_failed"],
  ];
  for (const [what, world, expected] of cases) {
    assert.equal((await verdictOf(world)).code, expected, what);
  }
});

test("a token for the server itself, or for others besides us, is not even reviewed", async () => {
  const others = [[], ["https://kubernetes.default.svc"], ["identity.l5d.io", "vault"]];
  for (const audiences of others) {
    const { code, asked } = await verdictOf({ token: tokenFor(...audiences) });
    assert.deepEqual([code, asked.length], ["token_audience", 0]);
  }
});

test("what is no token is not sent to the API server", async () => {
  const texts = ["", "a.b", "a.b.c d", "ü.ü.ü"].map((text) => new TextEncoder().encode(text));
  for (const token of [...texts, new Uint8Array(9000)]) {
    const { code, asked } = await verdictOf({ token });
    assert.match(code, /^token_(malformed|too_large)$/);
    assert.equal(asked.length, 0);
  }
});

const DIGEST = `sha256:${"a".repeat(64)}`;

async function approvalOf(imageId: string, approved: () => ReadonlySet<string>): Promise<string> {
  const containers = [{ name: "linkerd-proxy", imageId }];
  const reviewer: Reviewer = {
    review: async () => ({ status: STATUS }),
    pod: async () => ({ ...KNOWN, containers }),
  };
  const { signal } = new AbortController();
  const verdict = await verifyByReview(TOKEN, { reviewer, domain: DOMAIN, signal, approved });
  return verdict.ok ? "proven" : verdict.refusal.code;
}

function unread(): ReadonlySet<string> {
  throw new Error("not read yet");
}

test("B-01: a proxy that is not approved gets nothing, and one that is not known yet is told to come again", async () => {
  const approved = () => new Set([DIGEST]);
  assert.equal(await approvalOf(`images.test/proxy@${DIGEST}`, approved), "proven");
  assert.equal(
    await approvalOf(`images.test/proxy@sha256:${"b".repeat(64)}`, approved),
    "proxy_not_approved",
  );
  assert.equal(await approvalOf("", approved), "proxy_not_known_yet");
  assert.equal(await approvalOf(DIGEST, () => new Set()), "proxy_not_approved");
  assert.equal(await approvalOf(DIGEST, unread), "token_review_failed");
});
