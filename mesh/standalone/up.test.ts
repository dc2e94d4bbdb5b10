import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MeshClient } from "./control-client.ts";
import type { MeshStatus, PodStatus } from "./control-protocol.ts";
import { UpError, up } from "./up.ts";
import type { Up, UpOptions } from "./up.ts";

const SETTLE_MS_MAX = 60_000;
const NODE = process.execPath;
/** A server that says its name; a client's pod that only exists. */
const SERVER = "require('node:http').createServer((q,r)=>r.end(process.env.NAME)).listen(8080)";
const PAGE = "http://server.shop/";

function workload(name: string, container: string, annotations = "{}"): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}, annotations: ${annotations}}
    spec:
      containers:
      - ${container}
---
`;
}

const MANIFEST = `apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {linkerd.io/inject: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: shop}
spec: {selector: {app: server}, ports: [{port: 80, targetPort: http}]}
---
${workload(
  "server",
  `{name: server, command: [${NODE}, -e, "${SERVER}"], env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {port: http}, periodSeconds: 1}}`,
)}${workload("client", "{name: client, command: [sleep, infinity]}")}${workload("plain", "{name: plain, command: [sleep, infinity]}", "{linkerd.io/inject: disabled}")}`;

async function options(t: TestContext, manifest: string): Promise<UpOptions & { readonly said: string[] }> {
  const dir = await mkdtemp(join(tmpdir(), "hauberk-up-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, "manifests"));
  await writeFile(join(dir, "manifests", "app.yaml"), manifest);
  const said: string[] = [];
  return {
    name: "test",
    state: join(dir, "state"),
    manifests: [join(dir, "manifests")],
    rootless: false,
    version: "0.1.0",
    logLevel: "info",
    proxyEnvironment: {},
    controllerArgs: [],
    viz: undefined,
    environment: process.env,
    say: (text) => said.push(text),
    said,
  };
}

async function start(t: TestContext, wishes: UpOptions): Promise<Up> {
  const running = await up(wishes);
  t.after(() => running.close());
  return running;
}

async function until(client: MeshClient, what: (status: MeshStatus) => boolean): Promise<MeshStatus> {
  const deadline = Date.now() + SETTLE_MS_MAX;
  for (;;) {
    const status = await client.status();
    if (what(status)) return status;
    assert.ok(Date.now() < deadline, JSON.stringify(status, undefined, 1));
    await sleep(100);
  }
}

function podOf({ pods }: MeshStatus, workload: string): PodStatus {
  const pod = pods.find(({ owner }) => owner === `Deployment/${workload}`);
  assert.ok(pod, `there is no pod of ${workload}`);
  return pod;
}

async function fetchFrom(client: MeshClient, pod: PodStatus): Promise<string> {
  const script = `fetch("${PAGE}").then(async (r) => console.log(r.status, await r.text()), (e) => console.log(String(e)))`;
  return (await client.exec(pod, [NODE, "-e", script], 10_000)).stdout.trim();
}

test("a mesh of two pods carries requests, obeys edits and leaves nothing behind", async (t) => {
  const wishes = await options(t, MANIFEST);
  const running = await start(t, wishes);
  const client = new MeshClient(running.paths.upSocket);
  const status = await until(client, ({ settled, pods }) => settled && pods.length === 4);
  const server = podOf(status, "server");
  for (const name of ["client", "plain"])
    assert.equal(await fetchFrom(client, podOf(status, name)), `200 ${server.name}`, name);
  assert.equal(podOf(status, "plain").identity, undefined);
  const { chain, protocol } = await client.certificate(server);
  assert.deepEqual([chain.length > 0, protocol], [true, "TLSv1.3"]);

  const file = join(wishes.manifests[0] ?? "", "app.yaml");
  await writeFile(file, MANIFEST.replaceAll("8080", "8081"));
  const edited = await until(
    client,
    (now) => now.settled && now.pods.length === 4 && podOf(now, "server").name !== server.name,
  );
  assert.equal(await fetchFrom(client, podOf(edited, "client")), `200 ${podOf(edited, "server").name}`);

  await writeFile(
    file,
    MANIFEST.replaceAll("8080", "8081").replace("command: [sleep, infinity]", "image: nginx"),
  );
  const broken = await until(client, ({ problems }) => problems.some(({ severity }) => severity === "error"));
  assert.equal(podOf(broken, "client").ready, true, "what was accepted before keeps working");

  await running.close();
  assert.equal(existsSync(running.paths.dir), false);
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    // A process that ends while we look is not left.
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    assert.ok(!command.includes(running.paths.dir), `process ${pid} is left: ${command}`);
  }
});

test("a killed pod comes back, and what it held is found again", async (t) => {
  const running = await start(t, await options(t, MANIFEST));
  const client = new MeshClient(running.paths.upSocket);
  const status = await until(client, ({ settled }) => settled);
  const server = podOf(status, "server");
  await client.act(server, { act: "kill", downMs: 300 });
  await until(client, (now) => !podOf(now, "server").ready);
  const back = await until(client, ({ settled }) => settled);
  assert.ok(podOf(back, "server").restarts > 0);
  assert.equal(await fetchFrom(client, podOf(back, "client")), `200 ${server.name}`);
});

test("manifests that cannot be run are refused with file, line, object and field", async (t) => {
  const wishes = await options(t, workload("web", "{name: web, image: nginx}"));
  await assert.rejects(
    () => up(wishes),
    (error: unknown) =>
      error instanceof UpError &&
      /app\.yaml:10: Deployment shop\/web: spec\.template\.spec\.containers\[0\]\.command: container web has no command/.test(
        error.message,
      ),
  );
  assert.equal(existsSync(wishes.state), false);
});
