/** What the filters of routes do to requests: the YAML is that of the guide. */
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { z } from "zod";
import type { Address, Place } from "../../pair/pair.ts";
import { frame } from "../frames.ts";
import { guideYaml } from "../guide.ts";
import { until, type TestMesh } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, type Response } from "../wire.ts";
import { Seen } from "./http1.ts";
import { begin, call, finished, session } from "./streams.ts";

/** What the tests run against: the guide's services `web`, `stable` and `canary`. */
export interface TrafficWorld {
  readonly mesh: TestMesh;
  readonly client: Place;
  readonly to: (service: string, port?: number) => Address;
}

const Lengthy = z.object({ bytes: z.number() });

type Asked = NonNullable<Parameters<typeof fetchOnce>[2]>;

/** Applies the guide's YAML under a heading, alone. */
export async function follow({ mesh }: TrafficWorld, heading: string): Promise<void> {
  await mesh.applyYaml("guide", guideYaml("traffic", heading));
}

export function ask(world: TrafficWorld, asked: Asked = {}, port: number = AppPort.http): Promise<Response> {
  return fetchOnce(world.client, world.to("web", port), asked);
}

export function seenBy(response: Response): ReturnType<typeof Seen.parse> {
  return Seen.parse(JSON.parse(response.body.toString()));
}

function preflight(origin: string): Asked {
  return { method: "OPTIONS", headers: { origin, "access-control-request-method": "PUT" } };
}

function says(name: string, value: string) {
  return ({ headers }: Response): boolean => headers.get(name) === value;
}

export function filters(world: () => TrafficWorld): void {
  /** The answer once it is as the route that was just written makes it. */
  const when = (what: string, asked: Asked, isSo: (response: Response) => boolean, port?: number) =>
    until(what, async () => {
      const response = await ask(world(), asked, port);
      return isSo(response) ? response : undefined;
    });

  describe("filters", () => {
    afterEach(() => world().mesh.withdraw("guide"));

    test("header modifiers of a rule and of its backend change request and response", async () => {
      await follow(world(), "Header modifiers");
      const headers = { "x-tenant": "other", "x-debug": "1" };
      const seen = seenBy(await when("the route holds", { headers }, says("x-served-by", "stable"))).headers;
      assert.deepEqual([seen["x-tenant"], seen["x-debug"]], ["shop", undefined]);
    });

    test("a server's own proxy changes headers and the target, and those of calls", async () => {
      await follow(world(), "Header modifiers on a Server");
      const framed = says("x-frame-options", "DENY");
      const answer = await when("the HTTP route holds", { path: "/a/b?c" }, framed, AppPort.guarded);
      const { headers, url } = seenBy(answer);
      assert.deepEqual([headers["x-by"], url], ["server", "/app/a/b?c"]);
      const client = await session(world().client, world().to("web", AppPort.guardedH2c));
      await until("the gRPC route holds", async () => {
        const stream = begin(client, "Unary");
        const outcome = finished(stream);
        stream.end(frame("hello"));
        const { headers: said, trailers } = await outcome;
        assert.equal(trailers["grpc-status"], "0");
        return said["x-answered"] === "calls";
      });
      client.destroy();
    });

    test("redirects have their status, and the parts that they do not name", async () => {
      await follow(world(), "Redirects");
      const old = await when("the route holds", { path: "/old/page?a=b" }, ({ status }) => status === 308);
      assert.equal(old.headers.get("location"), `http://${world().to("web").host}/new/page?a=b`);
      const away = await ask(world(), { path: "/away/x?y" });
      assert.deepEqual([away.status, away.headers.get("location")], [303, "https://example.com/here"]);
      assert.equal((await ask(world(), { path: "/older" })).status, 200);
    });

    test("a rewrite changes host and path after the request was judged, and what has no single reading is refused", async () => {
      await follow(world(), "Rewrites");
      const isSo = (response: Response): boolean => seenBy(response).url.startsWith("/api");
      const rewritten = seenBy(await when("the route holds", { path: "/v1/a?b=c" }, isSo));
      assert.deepEqual([rewritten.url, rewritten.headers["host"]], ["/api/legacy/a?b=c", "legacy.example"]);
      const rows: readonly (readonly [string, string])[] = [
        ["/v1", "/api/legacy"],
        ["/v1/", "/api/legacy/"],
        ["/%76%31/../v1//x", "/api/legacy/x"],
        ["/start?x=1", "/welcome?x=1"],
      ];
      for (const [path, url] of rows) assert.equal(seenBy(await ask(world(), { path })).url, url, path);
      for (const path of ["/v1/a%2Fb", "/v1/../../x", "/v1/a;b"])
        assert.equal((await ask(world(), { path })).status, 400, path);
      assert.equal((await ask(world(), { path: "/v10" })).status, 404);
    });

    test("a preflight is answered by the proxy, and only allowed origins are told so", async () => {
      await follow(world(), "CORS");
      const origin = "https://a.partner.example";
      const allowed = await when("the route holds", preflight(origin), ({ status }) => status === 204);
      const said = ["allow-origin", "allow-credentials", "allow-methods", "allow-headers", "max-age"];
      assert.deepEqual(
        said.map((name) => allowed.headers.get(`access-control-${name}`)),
        [origin, "true", "GET, PUT", "x-requested-with", "600"],
      );
      const other = await ask(world(), preflight("https://evil.example"));
      assert.deepEqual([other.status, other.headers.get("access-control-allow-origin")], [204, null]);
      const actual = await ask(world(), { headers: { origin: "https://shop.example" } });
      assert.equal(actual.status, 200);
      assert.equal(actual.headers.get("access-control-allow-origin"), "https://shop.example");
      assert.equal(actual.headers.get("access-control-expose-headers"), "x-replica");
      assert.equal(actual.headers.get("vary"), "origin");
      const stranger = await ask(world(), { headers: { origin: "https://evil.example" } });
      assert.deepEqual([stranger.status, stranger.headers.get("access-control-allow-origin")], [200, null]);
    });

    test("a filter that is not known fails its requests and no others, and the controller says why", async () => {
      const rules = [
        { matches: [{ path: { value: "/x" } }], filters: [{ type: "ExtensionRef" }] },
        { matches: [{ path: { type: "Glob", value: "/*" }, method: "DELETE" }] },
        {},
      ];
      await world().mesh.apply("guide", [
        {
          apiVersion: "gateway.networking.k8s.io/v1",
          kind: "HTTPRoute",
          metadata: { name: "unknown", namespace: "shop" },
          spec: { parentRefs: [{ group: "core", kind: "Service", name: "web" }], rules },
        },
      ]);
      const refused = await when("the route holds", { path: "/x" }, ({ status }) => status === 500);
      assert.match(refused.headers.get("l5d-proxy-error") ?? "", /filter ExtensionRef is not supported/);
      assert.equal((await ask(world(), { method: "DELETE" })).status, 500);
      assert.equal((await ask(world())).status, 200);
    });

    test("a mirror sees the request, its body and the rule's changes, and in its share of the requests", async () => {
      const { mesh } = world();
      await follow(world(), "Mirrors");
      const noted = async (pod: string, name: string): Promise<readonly string[]> =>
        (await mesh.events(pod)).filter((event) => event.startsWith(`noted ${name} `));
      const post = (path: string, note: string, body: string): Promise<Response> =>
        ask(world(), { method: "POST", path, headers: { "x-note": note }, body });
      await until("the route holds", async () => {
        await post("/all", "first", "");
        return (await noted("canary-0", "first")).length > 0;
      });
      const answer = await post("/all/of?it=1", "whole", "x".repeat(100_000));
      assert.match(answer.headers.get("x-replica") ?? "", /^stable-/);
      const { host } = world().to("web");
      const copy = await until("the copy came", async () => (await noted("canary-0", "whole"))[0]);
      assert.equal(copy, `noted whole /all/of?it=1 yes ${host} 100000`);
      for (let sent = 0; sent < 200; sent += 1) assert.equal((await post("/some", "share", "")).status, 200);
      const copies = (await noted("canary-0", "share")).length;
      // Six standard deviations about 50.
      assert.ok(copies > 13 && copies < 87, `${copies} of 200`);
      const sent = await mesh.sum("agent-0", "hauberk_mirrored_requests_total", 'outcome="sent"');
      assert.ok(sent >= copies, `${sent} of ${copies}`);
    });

    test("a mirror that is slow neither slows nor fails the request, and its copy is dropped", async () => {
      const { mesh } = world();
      await follow(world(), "Mirrors");
      const dropped = () => mesh.sum("agent-0", "hauberk_mirrored_requests_total", 'outcome="dropped"');
      await until("the route holds", async () => {
        await ask(world(), { path: "/all", headers: { "x-note": "held" } });
        return (await mesh.events("canary-0")).some((event) => event.startsWith("noted held "));
      });
      const before = await dropped();
      const body = "x".repeat(16 * 1024 * 1024);
      const headers = { "x-note": "late", "x-lag": "canary-0=8000" };
      const began = Date.now();
      const answer = await ask(world(), { method: "POST", path: "/all", headers, body });
      const took = Date.now() - began;
      assert.deepEqual(
        [answer.status, Lengthy.parse(JSON.parse(answer.body.toString())).bytes],
        [200, body.length],
      );
      assert.ok(took < 7_000, `took ${took} ms`);
      await until("the copy is dropped", async () => (await dropped()) > before);
    });

    test("no more than 64 copies of a proxy are on their way, and the requests beyond are answered all the same", async () => {
      const { mesh } = world();
      await follow(world(), "Mirrors");
      const dropped = () => mesh.sum("agent-0", "hauberk_mirrored_requests_total", 'outcome="dropped"');
      await until("the route holds", async () => {
        await ask(world(), { path: "/all", headers: { "x-note": "many" } });
        return (await mesh.events("canary-0")).some((event) => event.startsWith("noted many "));
      });
      const before = await dropped();
      // A mirror holds its copies for as long as this takes, so that 36 of 100 find no place.
      const headers = { "x-note": "crowd", "x-lag": "canary-0=12000" };
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => ask(world(), { path: "/all", headers })),
      );
      assert.deepEqual(
        answers.map(({ status }) => status).filter((status) => status !== 200),
        [],
      );
      assert.equal((await dropped()) - before, 36);
    });

    test("a fault strikes its share of the requests until its window ends, and then none", async () => {
      const { mesh } = world();
      const endMs = Date.now() + 15_000;
      await mesh.apply("guide", [
        {
          apiVersion: "policy.hauberk.io/v1alpha1",
          kind: "HTTPFaultInjection",
          metadata: { name: "share", namespace: "shop" },
          spec: {
            targetRef: { kind: "Service", name: "web" },
            percent: 40,
            window: { end: new Date(endMs).toISOString() },
            abort: { httpStatus: 418 },
          },
        },
      ]);
      const isStruck = async (): Promise<boolean> => (await ask(world())).status === 418;
      await until("the fault holds", isStruck);
      let [struck, spared] = [0, 0];
      // Whoever is asked within the window is judged by it; on a slow machine there are fewer of them.
      while (Date.now() < endMs - 1_000 && struck + spared < 100)
        if (await isStruck()) struck += 1;
        else spared += 1;
      assert.ok(struck + spared >= 20, `only ${struck + spared} were asked`);
      const share = struck / (struck + spared);
      // Six standard deviations about 0.4.
      const spread = 6 * Math.sqrt((0.4 * 0.6) / (struck + spared));
      assert.ok(Math.abs(share - 0.4) < spread, `${struck} of ${struck + spared}`);
      await until("the window is over", async () => Date.now() > endMs + 100);
      for (let sent = 0; sent < 30; sent += 1) assert.equal(await isStruck(), false);
    });

    test("a fault delays and fails what it names while its window is open, and is counted", async () => {
      const { mesh } = world();
      await follow(world(), "Faults");
      const drill: Asked = { headers: { "x-drill": "on" } };
      const failed = await when("the fault holds", drill, ({ status }) => status === 503);
      assert.match(failed.headers.get("l5d-proxy-error") ?? "", /outage drill/);
      const began = Date.now();
      assert.equal((await ask(world(), drill)).status, 503);
      assert.ok(Date.now() - began >= 300, "it came at once");
      assert.equal((await ask(world())).status, 200);
      const counted = (kind: string) =>
        mesh.sum("agent-0", "hauberk_faults_injected_total", 'fault_name="outage-drill"', `kind="${kind}"`);
      assert.ok((await counted("abort")) >= 2 && (await counted("delay")) >= 2);
      const client = await session(world().client, world().to("web", AppPort.h2c));
      assert.equal((await call(client, "Unary", ["1"])).status, "0");
      const refused = await call(client, "Unary", ["1"], { "x-drill": "on" });
      assert.deepEqual([refused.status, refused.message], ["14", "outage drill"]);
      client.destroy();
    });

    test("a rule's own retry asks again, at its pace", async () => {
      const { mesh } = world();
      await follow(world(), "Retries of a rule");
      const retried = () =>
        mesh.sum("agent-0", "outbound_http_route_retry_requests_total", 'route_name="retries"');
      await until("the route holds", async () => {
        await ask(world(), { path: "/status/503" });
        return (await retried()) > 0;
      });
    });

    test("a method that an expression matches goes elsewhere", async () => {
      await follow(world(), "Methods by expression");
      const client = await session(world().client, world().to("web", AppPort.h2c));
      const replicaOf = async (method: string): Promise<string> => {
        const stream = begin(client, method);
        const outcome = finished(stream);
        stream.end(frame("1"));
        return String((await outcome).headers["x-replica"]);
      };
      await until("the route holds", async () => (await replicaOf("ServerStream")) === "canary-0");
      assert.equal(await replicaOf("ClientStream"), "canary-0");
      assert.match(await replicaOf("Unary"), /^stable-/);
      client.destroy();
    });
  });
}
