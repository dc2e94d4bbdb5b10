/** Who watches requests pass: the access log and taps. The annotations are those of the guide. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { z } from "zod";
import type { Address } from "../../pair/pair.ts";
import { until, type TestMesh } from "../mesh.ts";
import { identity } from "../policy-objects.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, head, Wire } from "../wire.ts";

const HAUBERK = join(import.meta.dirname, "..", "..", "..", "mesh", "cli", "bin", "hauberk.ts");
const TAP_MS_MAX = 30_000;
const TAP_PORT = 4_190;
/** Series of one family. */
const SERIES_MAX = 1_000;
/** Heads that are sent before the first answer is read. */
const PIPELINED = 50;

/** What the tests run against. Callers: `alice-0` meshed, `outside-0` not. */
export interface WatchingWorld {
  readonly mesh: TestMesh;
  /** Logs as JSON. */
  readonly server: string;
  /** Logs as Apache. */
  readonly apache: string;
  readonly namespace: string;
  readonly to: (caller: string, port: number) => Address;
  readonly toApache: Address;
}

const Line = z.record(z.string(), z.union([z.string(), z.number()]));
type Line = z.infer<typeof Line>;
const Event = z.looseObject({
  pod: z.string(),
  event: z.string(),
  id: z.string(),
  path: z.string().optional(),
  status: z.number().optional(),
  peer: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
});
type Event = z.infer<typeof Event>;

/** Taps until interrupted or done. */
function tap(
  mesh: TestMesh,
  words: readonly string[],
): { readonly events: Event[]; readonly stop: () => void } {
  const command = [HAUBERK, "viz", "tap", ...words, "-o", "json", "--state", mesh.state];
  const child = spawn(process.execPath, command, {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: TAP_MS_MAX,
  });
  const events: Event[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => events.push(Event.parse(JSON.parse(line))));
  return { events, stop: () => child.kill() };
}

export function watched(world: () => WatchingWorld): void {
  const log = async (pod: string): Promise<readonly string[]> => {
    const { mesh, namespace } = world();
    const file = join(mesh.state, "pods", `${namespace}_${pod}`, "linkerd-proxy.log");
    return (await readFile(file, "utf8")).split("\n");
  };
  const jsonLine = (uri: string): Promise<Line> =>
    until(`a line of ${uri}`, async () => {
      const lines = (await log(world().server)).filter((line) => line.startsWith("{"));
      return lines.map((line) => Line.parse(JSON.parse(line))).find((line) => line["uri"] === uri);
    });

  describe("access log", () => {
    test("each request to the pod has a JSON line with Linkerd's fields and those that were asked for", async () => {
      const { mesh, to } = world();
      const path = "/logged?a=b";
      const headers = { "User-Agent": 'curl "7"', "X-Request-Id": "trace-1" };
      await fetchOnce(mesh.place("alice-0"), to("alice-0", AppPort.http), { path, headers });
      const line = await jsonLine(path);
      assert.deepEqual(
        [
          line["method"],
          line["status"],
          line["client.id"],
          line["user_agent"],
          line["trace_id"],
          line["version"],
        ],
        ["GET", 200, identity("alice"), 'curl "7"', "trace-1", "HTTP/1.1"],
      );
      assert.match(String(line["request_id"]), /^[0-9a-f]{16}$/);
      assert.equal(line["code"], "");
      assert.ok(Number(line["total_ns"]) >= Number(line["processing_ns"]));
      assert.ok((await mesh.sum(world().server, "hauberk_access_log_lines_total")) > 0);
    });

    test("the Apache format names the client, and no header can end the line or a field of it", async () => {
      const { mesh, apache, toApache } = world();
      const headers = { "User-Agent": 'x" 200 1 "forged', Referer: "back\\slash" };
      await fetchOnce(mesh.place("alice-0"), toApache, { path: "/apache", headers });
      const line = await until("a line", async () =>
        (await log(apache)).find((one) => one.includes("GET /apache ")),
      );
      assert.match(line, /^\S+ alice\.callers\.\S+ - \[[^\]]+\] "GET \/apache HTTP\/1\.1" 200 \S+ "/);
      assert.ok(line.endsWith('"back\\\\slash" "x\\" 200 1 \\"forged"'), line);
    });
  });

  describe("metrics", () => {
    test("labels that a client makes up fill a thousand series, and share one beyond", async () => {
      const { mesh, server, to } = world();
      const wire = await Wire.to(mesh.place("alice-0"), to("alice-0", AppPort.http));
      for (let sent = 0; sent < SERIES_MAX + 2 * PIPELINED; sent += PIPELINED) {
        for (let nth = 0; nth < PIPELINED; nth += 1)
          wire.write(head("GET", "/", { Host: `made-up-${sent + nth}.example` }));
        for (let nth = 0; nth < PIPELINED; nth += 1) assert.equal((await wire.response()).status, 200);
      }
      wire.close();
      const samples = await mesh.metrics(server);
      const series = samples.filter(({ name }) => name === "request_total");
      assert.ok(series.length <= SERIES_MAX + 1, `${series.length} series`);
      const beyond = series.find(({ labels }) => labels.includes('overflow="true"'));
      assert.ok((beyond?.value ?? 0) >= PIPELINED, `${beyond?.value ?? "nothing"} beyond`);
      const refused = 'family="request_total"';
      assert.ok((await mesh.sum(server, "hauberk_metrics_series_refused_total", refused)) > 0);
      const sum = series.reduce((all, { value }) => all + value, 0);
      assert.ok(sum >= SERIES_MAX + 2 * PIPELINED, "nothing is lost");
    });
  });

  describe("tap", () => {
    test("requests are shown as they pass, with redacted headers, and only those that match", async () => {
      const { mesh, namespace, server, to } = world();
      const { events, stop } = tap(mesh, [namespace, server, "--path", "/tapped", "--headers"]);
      try {
        const ask = (path: string): Promise<unknown> =>
          fetchOnce(mesh.place("alice-0"), to("alice-0", AppPort.http), {
            path,
            headers: { Authorization: "Bearer secret", "X-Session": "secret", "X-Plain": "seen" },
          });
        const [request] = await until("something is tapped", async () => {
          await ask("/other");
          await ask("/tapped/1?q=2");
          return events.some(({ event }) => event === "end") ? events : undefined;
        });
        assert.ok(request !== undefined);
        assert.deepEqual(
          [request.event, request.pod, request.path, request.peer],
          ["req", `${namespace}/${server}`, "/tapped/1?q=2", identity("alice")],
        );
        assert.ok(events.every(({ path }) => path === undefined || path.startsWith("/tapped")));
        const of = events.filter(({ id }) => id === request.id).map(({ event, status }) => [event, status]);
        assert.deepEqual(of, [
          ["req", undefined],
          ["rsp", 200],
          ["end", undefined],
        ]);
        const { authorization, "x-session": session, "x-plain": plain } = request.headers ?? {};
        assert.deepEqual([authorization, session, plain], ["[redacted]", "[redacted]", "seen"]);
        assert.doesNotMatch(JSON.stringify(events), /secret/);
      } finally {
        stop();
      }
    });

    test("a limit ends the tap after so many requests", async () => {
      const { mesh, namespace, server, to } = world();
      const { events, stop } = tap(mesh, [namespace, server, "--path", "/few", "--limit", "2"]);
      try {
        await until("the limit is reached", async () => {
          await fetchOnce(mesh.place("alice-0"), to("alice-0", AppPort.http), { path: "/few" });
          return events.filter(({ event }) => event === "end").length >= 2;
        });
        await fetchOnce(mesh.place("alice-0"), to("alice-0", AppPort.http), { path: "/few" });
        assert.equal(events.filter(({ event }) => event === "req").length, 2);
      } finally {
        stop();
      }
    });

    test("who proves no identity hears nothing on the tap port", async () => {
      const { mesh, server } = world();
      const host = await mesh.ip(server);
      const socket = await mesh.place("outside-0").dial({ host, port: TAP_PORT });
      socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
      const parts: Buffer[] = [];
      socket.on("error", () => undefined);
      for await (const part of socket) parts.push(z.instanceof(Buffer).parse(part));
      assert.ok(!Buffer.concat(parts).includes("grpc"));
    });
  });
}
