/** Traces: what the collector was sent, read by OpenTelemetry's own code, and what the application saw. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { z } from "zod";
import type { Address } from "../../pair/pair.ts";
import { until, type TestMesh } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce } from "../wire.ts";

const READER = join(import.meta.dirname, "..", "otlp_reader.py");
const READ_MS_MAX = 10_000;
const SERVER_SPAN = 2;
const CLIENT_SPAN = 3;

/** What the tests run against: `alice-0` traces what is sampled, `chooser-0` begins a trace with every request. */
export interface TracingWorld {
  readonly mesh: TestMesh;
  readonly python: string;
  /** What the collector has taken. */
  readonly spans: string;
  readonly server: string;
  readonly to: (port: number) => Address;
}

const Attributes = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
const Span = z.object({
  resource: Attributes,
  trace: z.string(),
  id: z.string(),
  parent: z.string(),
  state: z.string(),
  name: z.string(),
  kind: z.number(),
  ns: z.number(),
  attributes: Attributes,
  status: z.number(),
});
type Span = z.infer<typeof Span>;
const Seen = z.object({ headers: z.record(z.string(), z.string()) });

const hex = (bytes: number): string => randomBytes(bytes).toString("hex");

export function traced(world: () => TracingWorld): void {
  const read = (): readonly Span[] => {
    const { python, spans } = world();
    if (!existsSync(spans)) return [];
    const text = execFileSync(python, [READER], { input: readFileSync(spans), timeout: READ_MS_MAX });
    return z.array(Span).parse(JSON.parse(text.toString("utf8")));
  };
  const ask = async (
    headers: Readonly<Record<string, string>>,
    { client = "alice-0", path = "/orders?secret=1" } = {},
  ): Promise<Readonly<Record<string, string>>> => {
    const { mesh, to } = world();
    const response = await fetchOnce(mesh.place(client), to(AppPort.http), { path, headers });
    assert.equal(response.status, 200);
    return Seen.parse(JSON.parse(response.body.toString("utf8"))).headers;
  };
  /** Both spans of a trace, the client's first. */
  const pair = (trace: string): Promise<readonly [Span, Span]> =>
    until(`spans of ${trace}`, async () => {
      const of = read().filter((span) => span.trace === trace);
      const client = of.find(({ kind }) => kind === CLIENT_SPAN);
      const server = of.find(({ kind }) => kind === SERVER_SPAN);
      return client === undefined || server === undefined ? undefined : ([client, server] as const);
    });

  describe("tracing", () => {
    test("a sampled W3C context gets a span of each proxy, each the child of the one before", async () => {
      const [trace, parent] = [hex(16), hex(8)];
      const seen = await ask({
        traceparent: `00-${trace}-${parent}-01`,
        tracestate: "vendor=1",
        Authorization: "Bearer secret",
      });
      const [client, server] = await pair(trace);
      assert.deepEqual([client.parent, server.parent], [parent, client.id]);
      assert.equal(seen["traceparent"], `00-${trace}-${server.id}-01`);
      assert.equal(seen["tracestate"], "vendor=1");
      assert.deepEqual([client.state, client.name, client.status], ["vendor=1", "GET", 0]);
      for (const span of [client, server]) {
        assert.equal(span.attributes["url.path"], "/orders");
        assert.equal(span.attributes["http.response.status_code"], 200);
        assert.ok(span.ns > 0);
        assert.doesNotMatch(JSON.stringify(span), /secret/);
      }
      assert.equal(client.attributes["hauberk.request.id"], server.attributes["hauberk.request.id"]);
      assert.match(String(client.attributes["hauberk.parent"]), /^Service\/traced\/web:/);
      assert.match(String(server.attributes["hauberk.peer.identity"]), /^traced\.traced\./);
      assert.deepEqual(
        [client.resource["k8s.pod.name"], client.resource["service.name"]],
        ["alice-0", "shop"],
        "by the guide's annotations",
      );
    });

    test("B3 contexts are traced alike and keep their form", async () => {
      const [one, many, parent] = [hex(16), hex(16), hex(8)];
      const single = await ask({ b3: `${one}-${parent}-1` });
      const [client, server] = await pair(one);
      assert.deepEqual([client.parent, server.parent], [parent, client.id]);
      assert.equal(single["b3"], `${one}-${server.id}-1-${client.id}`);
      assert.equal(single["traceparent"], undefined);
      const multiple = await ask({ "x-b3-traceid": many, "x-b3-spanid": parent, "x-b3-sampled": "1" });
      const [first, second] = await pair(many);
      assert.deepEqual([first.parent, second.parent], [parent, first.id]);
      assert.deepEqual(
        [multiple["x-b3-traceid"], multiple["x-b3-spanid"], multiple["x-b3-parentspanid"]],
        [many, second.id, first.id],
      );
    });

    test("what is not sampled, malformed or absent is passed on as it came, and has no span", async () => {
      const [trace, last] = [hex(16), hex(16)];
      for (const headers of [
        { traceparent: `00-${trace}-${hex(8)}-00` },
        { b3: `${trace}-${hex(8)}-0` },
        { traceparent: `00-${trace}-${"0".repeat(16)}-01` },
        { traceparent: `00-${"0".repeat(32)}-${hex(8)}-01` },
      ]) {
        const seen = await ask(headers);
        for (const [name, value] of Object.entries(headers)) assert.equal(seen[name], value);
      }
      assert.equal((await ask({}))["traceparent"], undefined);
      await ask({ traceparent: `00-${last}-${hex(8)}-01` });
      await pair(last);
      assert.deepEqual(
        read().filter((span) => span.trace === trace || /^0+$/.test(span.trace)),
        [],
      );
    });

    test("a proxy may begin traces itself, and the server's proxy follows", async () => {
      const seen = await ask({}, { client: "chooser-0" });
      const [, trace = "", id = ""] =
        /^00-([0-9a-f]{32})-([0-9a-f]{16})-03$/.exec(seen["traceparent"] ?? "") ?? [];
      const [client, server] = await pair(trace);
      assert.deepEqual([client.parent, server.parent, server.id], ["", client.id, id]);
    });

    test("a collector that dies and comes back costs no request, and gets what waited", async () => {
      const { mesh, spans, server } = world();
      const [first, second] = [hex(16), hex(16)];
      await ask({ traceparent: `00-${first}-${hex(8)}-01` });
      process.kill(collectorPid(spans), "SIGKILL");
      await ask({ traceparent: `00-${second}-${hex(8)}-01` });
      await pair(second);
      await pair(first);
      assert.ok((await mesh.sum(server, "opentelemetry_span_exports")) > 0);
      assert.ok((await mesh.sum(server, "opentelemetry_span_export_requests")) > 0);
      assert.ok((await mesh.sum(server, "opentelemetry_span_export_streams")) > 0);
      assert.equal(await mesh.sum(server, "hauberk_spans_dropped_total"), 0);
    });
  });
}

function collectorPid(file: string): number {
  const pid = readdirSync("/proc").find((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const [, script = "", ...args] = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      return script.endsWith("/collector.ts") && args.includes(file);
    } catch {
      // It ended while we looked.
      return false;
    }
  });
  if (pid === undefined) throw new Error("no collector runs");
  return Number(pid);
}
