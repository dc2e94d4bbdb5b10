import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect, type Access, type ClientOptions, type KubeClient } from "./client.ts";
import { podCredentials } from "./credentials.ts";
import { KUBE_REASON, KubeError, isStatus } from "./error.ts";
import { RESOURCES } from "./resource.ts";

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

type Answer = (asked: Asked, response: ServerResponse, count: number) => void;

async function fixture(
  t: TestContext,
  answer: Answer,
  options: Partial<ClientOptions> = {},
): Promise<{ readonly client: KubeClient; readonly asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += String(chunk)));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const one = { method, path: url, headers, body };
      asked.push(one);
      answer(one, response, asked.length);
    });
  });
  t.after(() => server.close());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const dir = mkdtempSync(join(tmpdir(), "kube-client-"));
  const file = join(dir, "config");
  const named = {
    name: "c",
    cluster: { server: `http://127.0.0.1:${address.port}/`, "insecure-skip-tls-verify": true },
  };
  const user = { name: "u", user: { token: "sesame" } };
  const contexts = [{ name: "here", context: { cluster: "c", user: "u", namespace: "shop" } }];
  writeFileSync(
    file,
    JSON.stringify({ apiVersion: "v1", kind: "Config", clusters: [named], users: [user], contexts }),
  );
  const client = await connect({ kubeconfig: file, context: "here", ...options });
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    rmSync(dir, { recursive: true });
  });
  return { client, asked };
}

function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

const status = (code: number, reason: string, message: string) => ({
  kind: "Status",
  apiVersion: "v1",
  code,
  reason,
  message,
});
const pod = (name: string, version: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop", resourceVersion: version },
  spec: { x: 1 },
});

test("an object is read at its path with the context's credentials, and its unknown fields are kept", async (t) => {
  const { client, asked } = await fixture(t, (_, response) => json(response, pod("web", "7")));
  const got = await client.get({ type: RESOURCES.pods, namespace: "shop", name: "web" });
  assert.equal(got.metadata.resourceVersion, "7");
  assert.deepEqual(got["spec"], { x: 1 });
  assert.equal(client.namespace, "shop");
  assert.equal(asked[0]?.path, "/api/v1/namespaces/shop/pods/web");
  assert.equal(asked[0]?.headers.authorization, "Bearer sesame");
});

test("a refusal carries the server's status, reason and message", async (t) => {
  const { client } = await fixture(t, (_, response) =>
    json(response, status(404, "NotFound", 'pods "web" not found'), 404),
  );
  const ref = { type: RESOURCES.pods, namespace: "shop", name: "web" };
  await assert.rejects(client.get(ref), (error) => {
    assert.ok(error instanceof KubeError && isStatus(error, 404));
    assert.equal(error.reason, "NotFound");
    assert.match(error.message, /pods "web" not found/);
    return true;
  });
  assert.equal(await client.find(ref), undefined);
});

test("a list is read page by page and its items know their kind", async (t) => {
  const { client, asked } = await fixture(t, (_, response, count) => {
    const { apiVersion, kind, ...item } = pod(`p${count}`, String(count));
    assert.equal(`${apiVersion}${kind}`, "v1Pod");
    const metadata = { resourceVersion: "9", ...(count === 1 ? { continue: "more" } : {}) };
    json(response, { apiVersion: "v1", kind: "PodList", metadata, items: [item] });
  });
  const pods = await client.list({ type: RESOURCES.pods }, { labelSelector: "a=b" });
  assert.deepEqual(
    pods.map(({ apiVersion, kind, metadata }) => `${apiVersion} ${kind} ${metadata.name}`),
    ["v1 Pod p1", "v1 Pod p2"],
  );
  assert.match(asked[0]?.path ?? "", /^\/api\/v1\/pods\?labelSelector=a%3Db&limit=\d+$/);
  assert.match(asked[1]?.path ?? "", /continue=more/);
});

test("a watch yields its events in order and throws the error that ends it", async (t) => {
  const { client } = await fixture(t, (_, response) => {
    const lines = [
      { type: "ADDED", object: pod("a", "1") },
      { type: "BOOKMARK", object: { metadata: { resourceVersion: "5" } } },
      { type: "ERROR", object: status(410, "Expired", "too old resource version") },
    ];
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    response.writeHead(200);
    response.write(text.slice(0, 40));
    setImmediate(() => response.end(text.slice(40)));
  });
  const seen: string[] = [];
  const { signal } = new AbortController();
  await assert.rejects(
    async () => {
      for await (const { type } of client.watch({ type: RESOURCES.pods }, { signal })) seen.push(type);
    },
    (error) => error instanceof KubeError && error.isExpired && error.status === 410,
  );
  assert.deepEqual(seen, ["ADDED", "BOOKMARK"]);
});

test("a watch that falls silent is an error that may be repeated", async (t) => {
  const { client } = await fixture(t, (_, response) => {
    response.writeHead(200);
    response.write(`${JSON.stringify({ type: "ADDED", object: pod("a", "1") })}\n`);
  });
  const { signal } = new AbortController();
  await assert.rejects(
    async () => {
      const events = client.watch({ type: RESOURCES.pods }, { signal, silenceMsMax: 50 });
      for await (const { type } of events) assert.equal(type, "ADDED");
    },
    (error) => error instanceof KubeError && error.reason === KUBE_REASON.silent && error.isTransient,
  );
});

test("a call that the server is too busy for is repeated", async (t) => {
  const { client, asked } = await fixture(t, (_, response, count) => {
    if (count > 1) return json(response, pod("web", "7"));
    response.setHeader("retry-after", "0");
    json(response, status(429, "TooManyRequests", "later"), 429);
  });
  await client.get({ type: RESOURCES.pods, namespace: "shop", name: "web" });
  assert.equal(asked.length, 2);
});

test("server-side apply sends the wanted fields with name, version and field manager", async (t) => {
  const { client, asked } = await fixture(t, (_, response) => json(response, pod("web", "8")));
  const ref = { type: RESOURCES.configMaps, namespace: "shop", name: "web" };
  await client.apply(ref, { kind: "ConfigMap", data: { a: "b" } }, { fieldManager: "me", force: true });
  assert.equal(asked[0]?.method, "PATCH");
  assert.equal(asked[0].path, "/api/v1/namespaces/shop/configmaps/web?fieldManager=me&force=true");
  assert.equal(asked[0].headers["content-type"], "application/apply-patch+yaml");
  assert.deepEqual(JSON.parse(asked[0].body), {
    apiVersion: "v1",
    kind: "ConfigMap",
    data: { a: "b" },
    metadata: { name: "web", namespace: "shop" },
  });
});

test("a guard sees each call as RBAC does and can forbid it", async (t) => {
  const seen: Access[] = [];
  const guard = (access: Access) => {
    seen.push(access);
    if (access.verb === "delete") throw new KubeError({ status: 0, reason: "OutsideAccess" }, "no");
  };
  const { client, asked } = await fixture(t, (_, response) => json(response, pod("web", "7")), { guard });
  const ref = { type: RESOURCES.deployments, namespace: "shop", name: "web", subresource: "status" };
  await client.get(ref);
  await assert.rejects(client.delete({ type: RESOURCES.pods, namespace: "shop", name: "web" }));
  assert.deepEqual(seen[0], {
    verb: "get",
    group: "apps",
    resource: "deployments/status",
    namespace: "shop",
    name: "web",
  });
  assert.equal(asked.length, 1);
});

test("impersonation travels with every call", async (t) => {
  const options = { as: "jane", asGroups: ["dev", "ops"] };
  const { client, asked } = await fixture(t, (_, response) => json(response, pod("web", "7")), options);
  await client.get({ type: RESOURCES.pods, namespace: "shop", name: "web" });
  assert.equal(asked[0]?.headers["impersonate-user"], "jane");
  assert.equal(asked[0].headers["impersonate-group"], "dev, ops");
});

test("a server that is not there, and a context that does not exist, are said as such", async (t) => {
  const { client } = await fixture(t, (_, response) => response.destroy());
  const ref = { type: RESOURCES.pods, namespace: "shop", name: "web" };
  await assert.rejects(client.get(ref), (error) => {
    assert.ok(error instanceof KubeError && error.isTransient);
    assert.equal(error.reason, KUBE_REASON.unreachable);
    return true;
  });
  await assert.rejects(
    fixture(t, () => undefined, { context: "nowhere" }),
    /no context nowhere; it has here/,
  );
});

test("a pod's account is its token, its authority and its namespace", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "kube-account-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const environment = { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" };
  await assert.rejects(podCredentials(environment, dir), /service account cannot be read/);
  writeFileSync(join(dir, "token"), "t1\n");
  writeFileSync(join(dir, "namespace"), "linkerd");
  writeFileSync(join(dir, "ca.crt"), "");
  const credentials = await podCredentials(environment, dir);
  t.after(() => credentials.close());
  assert.equal(credentials.server, "https://[fd00::1]:443");
  assert.equal(credentials.namespace, "linkerd");
  assert.deepEqual((await credentials.authorize()).headers, { authorization: "Bearer t1" });
  await assert.rejects(podCredentials({}, dir), /not in a pod/);
});
