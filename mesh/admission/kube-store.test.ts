import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect } from "../source/kube/client.ts";
import { kubeStore } from "./kube-store.ts";
import type { CertificateStore } from "./keeper.ts";

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

function send(response: ServerResponse, [code, value]: readonly [number, unknown]): void {
  response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(value));
}

async function fixture(
  t: TestContext,
  answer: (asked: Asked) => readonly [number, unknown],
): Promise<{ readonly store: CertificateStore; readonly asked: readonly Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += String(chunk)));
    request.on("end", () => {
      const one = { method: request.method ?? "", path: (request.url ?? "").split("?", 1)[0] ?? "", body };
      asked.push(one);
      send(response, answer(one));
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const dir = mkdtempSync(join(tmpdir(), "kube-store-"));
  const file = join(dir, "config");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "c",
        cluster: { server: `http://127.0.0.1:${address.port}`, "insecure-skip-tls-verify": true },
      },
    ],
    users: [{ name: "u", user: { token: "t" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  writeFileSync(file, JSON.stringify(config));
  const client = await connect({ kubeconfig: file });
  t.after(async () => {
    await client.close();
    server.close();
    server.closeAllConnections();
    rmSync(dir, { recursive: true });
  });
  const store = kubeStore({
    client,
    namespace: "linkerd",
    secret: "s-k8s-tls",
    configurations: [{ kind: "mutating", name: "m" }],
  });
  return { store, asked };
}

const signal = AbortSignal.timeout(30_000);
const base64 = (text: string) => Buffer.from(text).toString("base64");
const refused = (code: number, reason: string) => ({ kind: "Status", apiVersion: "v1", code, reason });
const secret = (annotations: object) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "s-k8s-tls", resourceVersion: "7", annotations },
  data: { "tls.crt": base64("PEM") },
});

test("a Secret is ours only with our mark, and one that is missing is absent", async (t) => {
  const answers: (readonly [number, unknown])[] = [
    [404, refused(404, "NotFound")],
    [200, secret({})],
    [200, secret({ "hauberk.io/webhook-certificate": "kept" })],
  ];
  const { store } = await fixture(t, () => answers.shift() ?? [500, {}]);
  assert.equal((await store.secret(signal)).found.type, "absent");
  assert.deepEqual((await store.secret(signal)).found, { type: "foreign", text: { "tls.crt": "PEM" } });
  const { found, version } = await store.secret(signal);
  assert.deepEqual([found.type, version], ["ours", "7"]);
});

test("a write carries the version that was read, and losing the race is no error", async (t) => {
  const answers: (readonly [number, unknown])[] = [
    [200, secret({})],
    [409, refused(409, "Conflict")],
    [409, refused(409, "AlreadyExists")],
    [422, refused(422, "Invalid")],
    [403, refused(403, "Forbidden")],
  ];
  const { store, asked } = await fixture(t, () => answers.shift() ?? [500, {}]);
  const configuration = { name: "mutating/m", version: "3", isKeptElsewhere: false, bundles: ["", ""] };
  assert.equal(await store.writeSecret({ "tls.crt": "a" }, "7", signal), true);
  assert.equal(await store.writeSecret({ "tls.crt": "a" }, "7", signal), false);
  assert.equal(await store.writeSecret({ "tls.crt": "a" }, undefined, signal), false);
  assert.equal(await store.writeBundle(configuration, "CA", signal), false);
  await assert.rejects(store.writeSecret({}, "7", signal), /Forbidden|403/);
  assert.deepEqual(
    asked.map(({ method }) => method),
    ["PUT", "PUT", "POST", "PATCH", "PUT"],
  );
  assert.equal(JSON.parse(asked[0]?.body ?? "").metadata.resourceVersion, "7");
  const steps = JSON.parse(asked[3]?.body ?? "");
  assert.deepEqual(steps[0], { op: "test", path: "/metadata/resourceVersion", value: "3" });
  assert.equal(steps[2].path, "/webhooks/1/clientConfig/caBundle");
});

test("a configuration that cert-manager fills is known as such, and one that is gone is not there", async (t) => {
  const webhooks = [{ clientConfig: { caBundle: base64("CA") } }, { clientConfig: {} }];
  const annotations = { "cert-manager.io/inject-ca-from": "linkerd/x" };
  const answers: (readonly [number, unknown])[] = [
    [
      200,
      { apiVersion: "v1", kind: "C", metadata: { name: "m", resourceVersion: "1", annotations }, webhooks },
    ],
    [404, refused(404, "NotFound")],
  ];
  const { store } = await fixture(t, () => answers.shift() ?? [500, {}]);
  assert.deepEqual(await store.configurations(signal), [
    { name: "mutating/m", version: "1", isKeptElsewhere: true, bundles: ["CA", ""] },
  ]);
  assert.deepEqual(await store.configurations(signal), []);
});
