import assert from "node:assert/strict";
import { request } from "node:https";
import { test, type TestContext } from "node:test";
import { mint } from "./certificate.ts";
import { REVIEW_BYTES_MAX, serveAdmission, type Handler } from "./server.ts";

const NAME = "webhook.test.svc";
const review = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "u",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    operation: "CREATE",
    object: {},
  },
});

async function start(context: TestContext, handlers: Record<string, Handler>) {
  const { certificates, privateKey, authority } = mint([NAME], Date.now());
  const errors: unknown[] = [];
  const server = await serveAdmission({
    host: "127.0.0.1",
    port: 0,
    certificate: { certificates, privateKey },
    handlers: new Map(Object.entries(handlers)),
    onError: (_path, error) => errors.push(error),
  });
  context.after(() => server.close());
  return { server, port: server.address.port, authority, errors };
}

interface Asked {
  readonly port: number;
  readonly authority: string;
  readonly path?: string;
  readonly method?: string;
  readonly body?: string;
}

function ask({ port, authority, path = "/", method = "POST", body = review }: Asked): Promise<{
  readonly status: number;
  readonly text: string;
}> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const options = { host: "127.0.0.1", port, ca: authority, servername: NAME, path, method, agent: false };
  const sent = request(options, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", reject);
    response.on("end", () =>
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
    );
  });
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

test("a review is answered by the handler of its path, and only there", async (context) => {
  const { port, authority, server } = await start(context, {
    "/": () => ({ type: "allow" }),
    "/deny": () => ({ type: "deny", reason: "no" }),
  });
  const allowed = await ask({ port, authority });
  assert.deepEqual([allowed.status, JSON.parse(allowed.text).response.allowed], [200, true]);
  assert.equal(
    JSON.parse((await ask({ port, authority, path: "/deny?timeout=5s" })).text).response.allowed,
    false,
  );
  assert.equal((await ask({ port, authority, path: "/else" })).status, 404);
  assert.equal((await ask({ port, authority, method: "PUT" })).status, 405);
  const [responses] = server.metrics();
  assert.deepEqual(
    responses?.series.map(({ labels, value }) => [labels["path"], labels["outcome"], value]),
    [
      ["/", "allowed", 1],
      ["/deny", "denied", 1],
    ],
  );
});

test("bad bodies, failures and silence are told apart, so that failurePolicy means what it says", async (context) => {
  const { port, authority, errors } = await start(context, {
    "/": () => {
      throw new Error("broken");
    },
    "/late": (_request, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  });
  assert.equal((await ask({ port, authority, body: "{}" })).status, 400);
  assert.equal((await ask({ port, authority })).status, 500);
  assert.equal(errors.length, 1);
  assert.equal((await ask({ port, authority, path: "/late?timeout=1s" })).status, 504);
});

test("a body over the limit is refused without being kept", async (context) => {
  const { port, authority } = await start(context, { "/": () => ({ type: "allow" }) });
  const body = " ".repeat(REVIEW_BYTES_MAX + 1);
  const outcome = await ask({ port, authority, body }).catch((error: unknown) => error);
  // The refusal may overtake the body: then the client sees its connection end while it still writes.
  assert.ok(outcome instanceof Error || (typeof outcome === "object" && outcome !== null));
  if (!(outcome instanceof Error)) assert.equal(JSON.stringify(outcome).includes("413"), true);
});

test("a renewed certificate is served to new connections without a restart", async (context) => {
  const { port, authority, server } = await start(context, { "/": () => ({ type: "allow" }) });
  const next = mint([NAME], Date.now());
  server.renew(next);
  await assert.rejects(ask({ port, authority }));
  assert.equal((await ask({ port, authority: next.authority })).status, 200);
});
