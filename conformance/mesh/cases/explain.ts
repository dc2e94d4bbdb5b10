/** Why a request went as it did: codes, ids, and the story that both proxies tell of it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import type { Address } from "../../pair/pair.ts";
import { frame } from "../frames.ts";
import { until, type TestMesh } from "../mesh.ts";
import { deny, identity } from "../policy-objects.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, Wire, type Response } from "../wire.ts";
import { Seen } from "./http1.ts";
import { begin, finished, session } from "./streams.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const HAUBERK = join(ROOT, "mesh", "cli", "bin", "hauberk.ts");
const COMMAND_MS_MAX = 20_000;
const ID = /^[0-9a-f]{16}$/;

/** What the tests run against. Callers: `alice-0` meshed, `outside-0` not. */
export interface ExplainWorld {
  readonly mesh: TestMesh;
  readonly server: string;
  readonly app: string;
  /** Through the service for meshed callers, to the pod for others. */
  readonly to: (caller: string, port: number) => Address;
  /** A port of the service on which nothing listens. */
  readonly silentPort: number;
}

const Half = z.object({
  pod: z.string(),
  record: z.looseObject({
    side: z.enum(["outbound", "inbound"]),
    path: z.string(),
    code: z.string().optional(),
    decision: z.string().optional(),
    peer: z.string().optional(),
    status: z.number().optional(),
    attempts: z.number().optional(),
    endpoint: z.object({ addr: z.string(), pod: z.string().nullable() }).optional(),
    trouble: z.object({ tried: z.array(z.object({ code: z.string() })) }).optional(),
  }),
});
const Story = z.object({
  code: z.string().optional(),
  docs: z.string().optional(),
  halves: z.array(Half),
});
type Story = z.infer<typeof Story>;
const Recent = z.object({ records: z.array(z.object({ id: z.string(), path: z.string() })) });

interface Ended {
  readonly code: number;
  readonly stdout: string;
}

function explain(mesh: TestMesh, ...words: readonly string[]): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const command = [HAUBERK, "explain", ...words, "--state", mesh.state];
  execFile(process.execPath, command, { timeout: COMMAND_MS_MAX }, (error, stdout) =>
    resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout }),
  );
  return promise;
}

async function storyOf(mesh: TestMesh, id: string): Promise<Story> {
  return Story.parse(JSON.parse((await explain(mesh, id, "-o", "json")).stdout));
}

function told(response: Response): { readonly code: string; readonly id: string } {
  const id = response.headers.get("hauberk-request-id") ?? "";
  assert.match(id, ID);
  return { code: response.headers.get("hauberk-error") ?? "", id };
}

export function explained(world: () => ExplainWorld): void {
  const ask = (caller: string, port: number, path = "/"): Promise<Response> =>
    fetchOnce(world().mesh.place(caller), world().to(caller, port), { path });

  describe("explanations", () => {
    before(async () => {
      const { mesh, app } = world();
      await mesh.apply("explain", [
        deny("closed", { app, port: AppPort.guarded, proxyProtocol: "HTTP/1" }),
        deny("closed-grpc", { app, port: AppPort.guardedH2c, proxyProtocol: "gRPC" }),
      ]);
      await until("the servers refuse", async () => (await ask("alice-0", AppPort.guarded)).status === 403);
    });
    after(() => world().mesh.withdraw("explain"));

    test("a denied request has a code and an id, and both proxies tell its story under that id", async () => {
      const { mesh, server } = world();
      const { code, id } = told(await ask("alice-0", AppPort.guarded, "/orders?token=secret"));
      assert.equal(code, "unauthorized");
      const story = await storyOf(mesh, id);
      assert.equal(story.code, code);
      assert.deepEqual(
        story.halves.map(({ pod, record }) => [pod, record.side, record.path, record.status]),
        [
          ["callers/alice-0", "outbound", "/orders", 403],
          [`servers/${server}`, "inbound", "/orders", 403],
        ],
      );
      const [client, judge] = story.halves;
      assert.equal(client?.record.endpoint?.pod, server);
      assert.deepEqual([judge?.record.decision, judge?.record.peer], ["denied", identity("alice")]);
      const { stdout, code: exit } = await explain(mesh, id);
      assert.equal(exit, 0);
      assert.match(stdout, /denied: no authorization admits this request/);
      assert.doesNotMatch(stdout, /secret/);
    });

    test("gRPC clients are told in the metadata of the response", async () => {
      const client = await session(world().mesh.place("alice-0"), world().to("alice-0", AppPort.guardedH2c));
      try {
        const stream = begin(client, "Unary");
        stream.end(frame("1"));
        const { headers } = await finished(stream);
        assert.equal(headers["grpc-status"], "7");
        assert.equal(headers["hauberk-error"], "unauthorized");
        assert.match(String(headers["hauberk-request-id"]), ID);
      } finally {
        client.destroy();
      }
    });

    test("who is not in the mesh is told neither code nor id", async () => {
      const { status, headers } = await ask("outside-0", AppPort.guarded);
      assert.equal(status, 403);
      const names = ["hauberk-error", "hauberk-request-id", "l5d-proxy-error"];
      assert.deepEqual(
        names.filter((name) => headers.has(name)),
        [],
      );
    });

    test("an endpoint that takes no connection is named with what was tried", async () => {
      const { mesh, silentPort } = world();
      const { code, id } = told(await ask("alice-0", silentPort));
      const { halves } = await storyOf(mesh, id);
      const [client, server] = halves;
      assert.equal(client?.record.code, code);
      assert.ok((client?.record.trouble?.tried.length ?? 0) > 0, JSON.stringify(client));
      assert.equal(server?.record.code, "connect-failed");
    });

    test("a head that is no request is answered with a code and has a record, too", async () => {
      const { mesh, to } = world();
      const wire = await Wire.to(mesh.place("alice-0"), to("alice-0", AppPort.http));
      wire.write("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
      const { code, id } = told(await wire.response());
      wire.close();
      assert.equal(code, "bad-request");
      const { halves } = await storyOf(mesh, id);
      assert.deepEqual(
        halves.map(({ record }) => [record.side, record.code, record.status]),
        [["outbound", "bad-request", 400]],
      );
      assert.match((await explain(mesh, id)).stdout, /a head that is no request/);
    });

    test("an answered request has a story too, the id stays between the proxies, and none can be forged", async () => {
      const { mesh } = world();
      const forged = "ffffffffffffffff";
      const path = "/quiet";
      const response = await fetchOnce(mesh.place("alice-0"), world().to("alice-0", AppPort.http), {
        path,
        headers: { "hauberk-request-id": forged, "Hauberk-Error": "loop" },
      });
      assert.equal(response.headers.has("hauberk-request-id"), false);
      const seen = Seen.parse(JSON.parse(response.body.toString())).headers;
      assert.deepEqual([seen["hauberk-request-id"], seen["hauberk-error"]], [undefined, undefined]);
      const body = (await mesh.admin("alice-0", "/explain/recent?max=50")).split("\r\n\r\n")[1] ?? "";
      const own = Recent.parse(JSON.parse(body)).records.find((one) => one.path === path);
      assert.ok(own !== undefined && own.id !== forged);
      const { halves, code } = await storyOf(mesh, own.id);
      assert.equal(code, undefined);
      assert.deepEqual(
        halves.map(({ record }) => [record.side, record.status]),
        [
          ["outbound", 200],
          ["inbound", 200],
        ],
      );
    });

    test("a stranger's id is not taken over by the server's proxy", async () => {
      const { mesh, to } = world();
      const headers = { "hauberk-request-id": "00000000000000aa" };
      await fetchOnce(mesh.place("outside-0"), to("outside-0", AppPort.http), { headers });
      assert.deepEqual((await storyOf(mesh, "00000000000000aa")).halves, []);
    });

    test("an id that nobody knows is said to be unknown, and why that may be", async () => {
      const { code, stdout } = await explain(world().mesh, "0123456789abcdef");
      assert.equal(code, 1);
      assert.match(stdout, /no proxy has a record of 0123456789abcdef/);
    });

    test("records are shown to the proxy's own machine only", async () => {
      const { mesh, server } = world();
      const admin = { host: await mesh.ip(server), port: 4191 };
      const { status } = await fetchOnce(mesh.place("outside-0"), admin, { path: "/explain/recent" });
      assert.equal(status, 403);
    });

    test("every code that was seen is explained in the guide", async () => {
      const page = readFileSync(join(ROOT, "docs", "guide", "errors.md"), "utf8");
      const { code } = told(await ask("alice-0", AppPort.guarded));
      for (const one of [code, "connect-failed", "request-refused"]) assert.ok(page.includes(`### ${one}\n`));
    });
  });
}
