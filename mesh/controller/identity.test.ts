import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { writeRequest } from "@hauberk/crypto/csr.ts";
import { GrpcClient, RpcFailure } from "../api/client.ts";
import { Identity } from "../api/gen/identity_pb.ts";
import { ANCHOR_LIFE_MS, createAuthority, ISSUER_LIFE_MS } from "../identity/issuer.ts";
import { joinKey, mintJoinToken } from "../identity/token.ts";
import { parseConfig } from "./config.ts";
import { startController } from "./controller.ts";
import { joinTrustOf } from "./identity.ts";

const DNS = "web.shop.serviceaccount.identity.linkerd.cluster.local";

const POD = JSON.stringify({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web-0", namespace: "shop", uid: "uid-0" },
  spec: { serviceAccountName: "web", containers: [] },
  status: { phase: "Running", podIP: "10.1.0.1" },
});

test("a pod that runs gets a certificate for its token, and none once it is gone", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-identity-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const domain = { trustDomain: "cluster.local", controlPlaneNamespace: "linkerd" };
  const life = { nowMs: Date.now(), anchorLifeMs: ANCHOR_LIFE_MS, issuerLifeMs: ISSUER_LIFE_MS };
  const { issuer } = createAuthority(domain, life);
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const pair = joinKey(privateKey);
  assert.ok(pair);
  const publicPem = publicKey.export({ format: "pem", type: "spki" });
  assert.equal(joinTrustOf(publicPem).id, pair.key.id);
  const pod = join(dir, "web-0.json");
  for (const [name, text] of [
    ["issuer.crt", issuer.certificates],
    ["issuer.key", issuer.privateKey],
    ["ca.crt", issuer.anchors],
    ["join.pem", publicPem],
    ["web-0.json", POD],
  ] as const) {
    await writeFile(join(dir, name), text);
  }
  const listen = ["destination", "policy", "identity", "admin"].flatMap((role) => [
    `--${role}-listen`,
    "127.0.0.1:0",
  ]);
  const args = [
    "--manifests",
    dir,
    "--issuer-dir",
    dir,
    "--join-token-key",
    join(dir, "join.pem"),
    ...listen,
  ];
  const controller = await startController(parseConfig(args, {}), () => undefined);
  const client = new GrpcClient(`http://127.0.0.1:${controller.ports.identity}`);
  t.after(async () => {
    client.close();
    await controller.close(0);
  });
  const bound = { namespace: "shop", name: "web-0", uid: "uid-0", serviceAccount: "web" };
  const token = await mintJoinToken(pair.key, bound, { nowMs: Date.now(), lifeMs: 3_600_000 });
  const ask = () =>
    client.unary(
      Identity.method.certify,
      {
        identity: DNS,
        token: new TextEncoder().encode(token),
        certificateSigningRequest: writeRequest(generateKeyPair("ecdsa-p256-sha256"), {
          names: [{ kind: "dns", value: DNS }],
        }),
      },
      AbortSignal.timeout(10_000),
    );
  const reply = await ask();
  assert.ok(reply.leafCertificate.length > 100);
  await unlink(pod);
  const refusal = async (): Promise<number> => {
    const deadline = Date.now() + 10_000;
    while (Date.now() < deadline) {
      try {
        await ask();
      } catch (error) {
        // 8: asked too often, which is answered only to a proven pod.
        if (!(error instanceof RpcFailure) || error.code !== 8)
          return error instanceof RpcFailure ? error.code : -1;
      }
    }
    return 0;
  };
  assert.equal(await refusal(), 16);
});
