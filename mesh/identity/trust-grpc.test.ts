import assert from "node:assert/strict";
import test from "node:test";
import { create } from "@bufbuild/protobuf";
import { generateKeyPair, signWith, type KeyPair } from "@hauberk/crypto/algorithms.ts";
import { issueLeaf, randomSerial } from "@hauberk/crypto/issue.ts";
import { GrpcClient, RpcFailure } from "../api/client.ts";
import { Trust, TrustReportSchema, type TrustReported } from "../api/gen/hauberk/proxy/v1/trust_pb.ts";
import { serve } from "../api/grpc.ts";
import { Methods } from "../api/methods.ts";
import { Code } from "../api/status.ts";
import type { Pod } from "../model/workload.ts";
import { apply, emptySnapshot, type Snapshot } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import type { Issuer } from "./issuer.ts";
import { DNS, DOMAIN, newIssuer, NOW_MS, POD } from "./service-fixture.ts";
import { trustMethods, type TrustInForce } from "./trust-grpc.ts";
import { trustBundle } from "./trust.ts";

const WORKLOAD = JSON.stringify({ ns: POD.namespace, pod: POD.name });
const SPREAD_MS = 60_000;
const [OLD, NEW] = [newIssuer(), newIssuer()];
const BOTH = trustBundle([...OLD.anchors, ...NEW.anchors]);
const inForce = (issuer: Issuer, bundle = trustBundle(issuer.anchors)): TrustInForce => ({
  bundle,
  issuer: issuer.authority.certificate.fingerprint,
});

function podNamed(uid: string): Pod {
  return {
    meta: {
      namespace: POD.namespace,
      name: POD.name,
      uid,
      labels: {},
      annotations: {},
      createdMs: 0,
      isDeleting: false,
      owner: undefined,
    },
    serviceAccount: POD.serviceAccount,
    nodeName: undefined,
    hostNetwork: false,
    hostname: undefined,
    subdomain: undefined,
    ips: ["10.0.0.1"],
    isReady: true,
    isFinished: false,
    isTerminating: false,
    ports: [],
    hostIps: [],
    probes: [],
  };
}

interface Said {
  readonly below?: Issuer;
  readonly bundle?: string;
  readonly name?: string;
  readonly keys?: KeyPair;
  readonly signedBy?: KeyPair;
  readonly workload?: string;
}

/** A report as a proxy makes it, but for what a case changes. */
function report({ below = OLD, bundle, name = DNS, workload = WORKLOAD, ...keys }: Said) {
  const own = keys.keys ?? generateKeyPair("ecdsa-p256-sha256");
  const leaf = issueLeaf(below.authority, {
    publicKey: own.publicKey,
    names: [{ kind: "dns", value: name }],
    serial: randomSerial(),
    nowMs: NOW_MS,
    lifeMs: 3_600_000,
  });
  const digest = Buffer.from(bundle ?? trustBundle(below.anchors).digest, "hex");
  const signed = Buffer.concat([Buffer.from("hauberk trust report v1\n"), digest, Buffer.from(workload)]);
  return create(TrustReportSchema, {
    workload,
    bundle: digest,
    chain: [leaf.der, ...below.chain.map(({ der }) => der)],
    signature: signWith(keys.signedBy ?? own, signed),
  });
}

async function inService(
  use: (service: {
    readonly client: GrpcClient;
    readonly trust: Latest<TrustInForce>;
    readonly snapshots: Latest<Snapshot>;
    readonly reports: () => readonly {
      readonly bundle: string;
      readonly issuer: string;
      readonly atMs: number;
    }[];
    readonly say: (said: Said) => Promise<TrustReported | number>;
    readonly pass: (ms: number) => void;
  }) => Promise<void>,
): Promise<void> {
  let nowMs = NOW_MS;
  const trust = new Latest(inForce(OLD));
  const snapshots = new Latest(
    apply(emptySnapshot(), { type: "upsert", kind: "Pod", object: podNamed(POD.uid) }),
  );
  const methods = new Methods();
  const { reports, stop } = trustMethods(methods, {
    inForce: trust,
    snapshots,
    domain: DOMAIN,
    nowMs: () => nowMs,
    spreadMs: SPREAD_MS,
  });
  const server = await serve(methods, { host: "127.0.0.1", port: 0 });
  const client = new GrpcClient(`http://127.0.0.1:${server.address.port}`);
  const say = async (said: Said): Promise<TrustReported | number> => {
    try {
      return await client.unary(Trust.method.report, report(said), new AbortController().signal);
    } catch (error) {
      assert.ok(error instanceof RpcFailure, String(error));
      return error.code;
    }
  };
  try {
    await use({ client, trust, snapshots, reports, say, pass: (ms) => void (nowMs += ms) });
  } finally {
    stop();
    client.close();
    await server.close(0);
  }
}

test("a changed bundle is pushed to whoever follows, and nothing is pushed that did not change", () =>
  inService(async ({ client, trust }) => {
    const stop = new AbortController();
    const stream = client.stream(Trust.method.watch, { workload: WORKLOAD }, stop.signal);
    const next = async () => Buffer.from((await stream.next()).value?.anchors ?? []).toString();
    assert.equal(await next(), trust.value.bundle.pem);
    trust.set({ ...trust.value });
    trust.set(inForce(OLD, BOTH));
    assert.equal(await next(), BOTH.pem);
    stop.abort();
  }));

test("a report is proven by the key of a certificate of the mesh, for the pod that the certificate is for", () =>
  inService(async ({ say, reports }) => {
    const cases: readonly (readonly [string, Said])[] = [
      ["another key's signature", { signedBy: generateKeyPair("ecdsa-p256-sha256") }],
      ["another identity", { name: "db.shop.serviceaccount.identity.linkerd.cluster.local" }],
      ["half a digest", { bundle: "00" }],
    ];
    for (const [what, said] of cases) assert.equal(await say(said), Code.InvalidArgument, what);
    const elsewhere = JSON.stringify({ ns: "shop", pod: "none" });
    assert.equal(await say({ workload: elsewhere }), Code.NotFound);
    assert.equal(await say({ workload: "?" }), Code.InvalidArgument);
    assert.deepEqual(reports(), []);
    await say({});
    const issuer = OLD.authority.certificate.fingerprint;
    const [proven] = reports();
    assert.deepEqual([proven?.bundle, proven?.issuer], [trustBundle(OLD.anchors).digest, issuer]);
  }));

test("a certificate of another issuer than the one in force is to be renewed", () =>
  inService(async ({ say, trust, reports }) => {
    trust.set(inForce(NEW, BOTH));
    const answer = await say({ below: OLD, bundle: BOTH.digest });
    assert.ok(typeof answer === "object" && answer.renew && answer.renewWithinMs > 0);
    assert.equal(reports().length, 1);
    // The root is gone: the proof is worth nothing, and the certificate is to be renewed all the same.
    trust.set(inForce(NEW));
    const late = await say({ below: OLD });
    assert.ok(typeof late === "object" && late.renew);
    assert.deepEqual(reports(), []);
  }));

test("what is said soon after a change, or after a start, is to be said again when the change is everywhere", () =>
  inService(async ({ say, trust, pass }) => {
    const again = async () => {
      const answer = await say({ bundle: BOTH.digest });
      return typeof answer === "object" ? answer.againMs : answer;
    };
    assert.ok((await again()) >= SPREAD_MS);
    pass(SPREAD_MS);
    assert.equal(await again(), 0);
    trust.set(inForce(OLD, BOTH));
    assert.ok((await again()) >= SPREAD_MS);
  }));

test("a report dies with its pod, also when another takes its name", () =>
  inService(async ({ say, snapshots, reports }) => {
    await say({});
    assert.equal(reports().length, 1);
    snapshots.set(apply(snapshots.value, { type: "upsert", kind: "Pod", object: podNamed("another") }));
    assert.deepEqual(reports(), []);
  }));
