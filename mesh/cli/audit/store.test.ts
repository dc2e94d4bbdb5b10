import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect, type KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { verifyChain } from "@hauberk/release/audit/record.ts";
import { z } from "zod";
import { readExport, writeExport } from "./export.ts";
import { keysFromPem } from "./keys.ts";
import { AuditStore } from "./store.ts";

const Named = z.looseObject({
  metadata: z.looseObject({ name: z.string(), labels: z.record(z.string(), z.string()).optional() }),
});
type Named = z.infer<typeof Named>;

function answerJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** As much of an API server as a record needs: objects by path, created once. */
async function server(
  t: TestContext,
): Promise<{ readonly client: KubeClient; readonly objects: Map<string, Named> }> {
  const objects = new Map<string, Named>();
  const http = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += String(chunk)));
    request.on("end", () => {
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://api");
      const refuse = (code: number, reason: string) =>
        answerJson(response, code, { kind: "Status", code, reason, message: reason });
      if (request.method === "POST") {
        const object = Named.parse(JSON.parse(body));
        const path = `${pathname}/${object.metadata.name}`;
        if (objects.has(path)) return refuse(409, "AlreadyExists");
        objects.set(path, object);
        return answerJson(response, 201, object);
      }
      if (request.method === "PATCH") {
        const object = Named.parse(JSON.parse(body));
        if (object["kind"] !== "ConfigMap") return refuse(400, "BadRequest");
        objects.set(pathname, object);
        return answerJson(response, 200, object);
      }
      const [key = "", value = ""] = (searchParams.get("labelSelector") ?? "").split("=");
      if (key !== "") {
        const items = [...objects]
          .filter(([path, { metadata }]) => path.startsWith(pathname) && metadata.labels?.[key] === value)
          .map(([, object]) => object);
        return answerJson(response, 200, { apiVersion: "v1", kind: "ConfigMapList", metadata: {}, items });
      }
      const found = objects.get(pathname);
      return found === undefined ? refuse(404, "NotFound") : answerJson(response, 200, found);
    });
  });
  t.after(() => http.close());
  await new Promise<void>((resolve) => void http.listen(0, "127.0.0.1", resolve));
  const address = http.address();
  assert.ok(address !== null && typeof address === "object");
  const dir = mkdtempSync(join(tmpdir(), "audit-"));
  const kubeconfig = join(dir, "config");
  const config = {
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
  writeFileSync(kubeconfig, JSON.stringify(config));
  const client = await connect({ kubeconfig });
  t.after(async () => {
    await client.close();
    http.closeAllConnections();
    rmSync(dir, { recursive: true });
  });
  return { client, objects };
}

const act = { kind: "install", to: "1.0.0" } as const;
const write = (store: AuditStore) => store.append({ actor: "ada", act, at: new Date() });

async function faultOf(store: AuditStore): Promise<string> {
  const [stored, keys] = [await store.load(), await store.keys()];
  assert.ok(keys !== undefined);
  const chain = verifyChain(stored.entries, stored.head, keys);
  return chain.ok ? `whole, ${chain.contents.length}` : chain.fault;
}

void test("D-03: what is written is read back, proven, and stands alone as a file", async (t) => {
  const store = new AuditStore((await server(t)).client, "linkerd");
  await write(store);
  await write(store);
  assert.equal(await faultOf(store), "whole, 2");
  const keys = await store.keys();
  assert.ok(keys !== undefined);
  const file = readExport(JSON.stringify(writeExport(await store.load(), keys)));
  assert.equal(verifyChain(file.entries, file.head, keysFromPem(file.keys)).ok, true);
});

void test("operators at once write one after the other, and nothing is lost", async (t) => {
  const { client } = await server(t);
  const store = new AuditStore(client, "linkerd");
  await write(store);
  const others = [1, 2, 3].map(() => new AuditStore(client, "linkerd"));
  await Promise.all(others.map(write));
  assert.equal(await faultOf(store), "whole, 4");
});

void test("a writer that was cut off before it moved the head is overtaken", async (t) => {
  const { client, objects } = await server(t);
  const store = new AuditStore(client, "linkerd");
  await write(store);
  const path = "/api/v1/namespaces/linkerd/configmaps/hauberk-audit-head";
  const head = objects.get(path);
  assert.ok(head !== undefined);
  await write(store);
  objects.set(path, head);
  assert.equal(await faultOf(store), "whole, 2");
  await write(store);
  assert.equal(await faultOf(store), "whole, 3");
});

void test("an entry that somebody deleted from the cluster is missed", async (t) => {
  const { client, objects } = await server(t);
  const store = new AuditStore(client, "linkerd");
  for (let count = 0; count < 3; count += 1) await write(store);
  const path = "/api/v1/namespaces/linkerd/configmaps/hauberk-audit-0000000";
  objects.delete(`${path}3`);
  assert.equal(await faultOf(store), "end-missing");
  objects.delete(`${path}2`);
  assert.equal(await faultOf(store), "end-missing");
  objects.delete(`${path}1`);
  assert.equal(await faultOf(store), "end-missing");
});
