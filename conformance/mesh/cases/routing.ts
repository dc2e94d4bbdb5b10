/** Where requests go: HTTPRoutes on a Service, edited live. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { z } from "zod";
import type { Address, Place } from "../../pair/pair.ts";
import { until, type TestMesh } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, head, Wire, type Response } from "../wire.ts";
import { Seen } from "./http1.ts";

const SPLIT_REQUESTS = 300;
const ROUTE = "gateway.networking.k8s.io/v1";

/** What the routing tests run against: a service whose own pods are `stable-0`, and another whose are `canary-0`. */
export interface RoutingWorld {
  readonly mesh: TestMesh;
  readonly client: Place;
  readonly web: Address;
  readonly namespace: string;
}

interface Asked {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const canary = [{ name: "canary", port: AppPort.http }];
const Location = z.string();

function match(one: object): object {
  return { matches: [one], backendRefs: canary };
}

/** A rule that divides what it gets. */
function weighted(stable: number, other: number): object {
  return {
    backendRefs: [
      { name: "stable", port: AppPort.http, weight: stable },
      { name: "canary", port: AppPort.http, weight: other },
    ],
  };
}

export function routing(world: () => RoutingWorld): void {
  const ask = (asked: Asked = {}): Promise<Response> => fetchOnce(world().client, world().web, asked);
  const replica = async (asked: Asked = {}): Promise<string> =>
    (await ask(asked)).headers.get("x-replica") ?? "none";
  const apply = (rules: readonly object[]): Promise<void> =>
    world().mesh.apply("routes", [
      {
        apiVersion: ROUTE,
        kind: "HTTPRoute",
        metadata: { name: "web", namespace: world().namespace },
        spec: {
          parentRefs: [{ group: "core", kind: "Service", name: "web", port: AppPort.http }],
          rules,
        },
      },
    ]);

  describe("outbound routes", () => {
    describe("matches", () => {
      before(async () => {
        assert.equal(await replica(), "stable-0");
        await apply([
          match({ path: { type: "Exact", value: "/exact" } }),
          match({ path: { type: "PathPrefix", value: "/pre/" } }),
          match({ path: { type: "RegularExpression", value: "/r[0-9]+x" } }),
          match({ headers: [{ name: "x-who", value: "tester" }] }),
          match({ headers: [{ type: "RegularExpression", name: "x-when", value: "2[0-9]{3}" }] }),
          match({ queryParams: [{ name: "v", value: "2" }] }),
          match({ method: "DELETE" }),
          { backendRefs: [{ name: "stable", port: AppPort.http }] },
        ]);
        await until("the route holds", async () => (await replica({ path: "/exact" })) === "canary-0");
      });

      const rows: readonly (readonly [string, Asked, string])[] = [
        ["the exact path", { path: "/exact" }, "canary-0"],
        ["the exact path with a query", { path: "/exact?a=b" }, "canary-0"],
        ["a longer path", { path: "/exact/more" }, "stable-0"],
        ["the prefix alone", { path: "/pre" }, "canary-0"],
        ["a path below the prefix", { path: "/pre/fix" }, "canary-0"],
        ["a path that only begins like the prefix", { path: "/prefix" }, "stable-0"],
        ["a path of the expression", { path: "/r42x" }, "canary-0"],
        ["a path that has it in the middle", { path: "/a/r42x/b" }, "stable-0"],
        ["the header", { headers: { "X-Who": "tester" } }, "canary-0"],
        ["another value of the header", { headers: { "X-Who": "testers" } }, "stable-0"],
        ["the header's expression", { headers: { "x-when": "2026" } }, "canary-0"],
        ["a header that only contains it", { headers: { "x-when": "20261" } }, "stable-0"],
        ["the query", { path: "/?a=1&v=2" }, "canary-0"],
        ["another query", { path: "/?v=22" }, "stable-0"],
        ["the method", { method: "DELETE" }, "canary-0"],
        ["nothing of it", {}, "stable-0"],
      ];
      for (const [what, asked, expected] of rows)
        test(`${what} goes to ${expected}`, async () => assert.equal(await replica(asked), expected));
    });

    test("weights divide the requests of one connection, and an edit of them holds at once", async () => {
      const wire = await Wire.to(world().client, world().web);
      const share = async (requests: number): Promise<number> => {
        let hits = 0;
        for (let sent = 0; sent < requests; sent += 1) {
          wire.write(head("GET", "/", { Host: world().web.host }));
          if ((await wire.response()).headers.get("x-replica") === "canary-0") hits += 1;
        }
        return hits / requests;
      };
      await apply([weighted(0, 1)]);
      await until("everything goes to the canary", async () => (await share(10)) === 1);
      await apply([weighted(70, 30)]);
      await until("something goes to the stable version again", async () => (await share(10)) < 1);
      const got = await share(SPLIT_REQUESTS);
      // Six standard deviations about 0.3.
      assert.ok(got > 0.14 && got < 0.46, `the canary got ${got}`);
      wire.close();
    });

    test("header filters change requests and responses", async () => {
      await apply([
        {
          filters: [
            {
              type: "RequestHeaderModifier",
              requestHeaderModifier: {
                set: [{ name: "x-set", value: "ours" }],
                add: [{ name: "x-add", value: "more" }],
                remove: ["x-gone"],
              },
            },
            {
              type: "ResponseHeaderModifier",
              responseHeaderModifier: {
                set: [{ name: "x-answer", value: "changed" }],
                remove: ["content-type"],
              },
            },
          ],
          backendRefs: [{ name: "stable", port: AppPort.http }],
        },
      ]);
      const headers = { "x-set": "theirs", "x-add": "first", "x-gone": "here" };
      const changed = await until("the filter holds", async () => {
        const response = await ask({ headers });
        return response.headers.get("x-answer") === "changed" ? response : undefined;
      });
      assert.equal(changed.headers.get("content-type"), null);
      const seen = Seen.parse(JSON.parse(changed.body.toString())).headers;
      assert.deepEqual([seen["x-set"], seen["x-add"], seen["x-gone"]], ["ours", "first, more", undefined]);
    });

    test("a redirect is answered by the proxy", async () => {
      const requestRedirect = {
        scheme: "https",
        hostname: "elsewhere.example",
        path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/new" },
        statusCode: 302,
      };
      await apply([
        {
          matches: [{ path: { type: "PathPrefix", value: "/old" } }],
          filters: [{ type: "RequestRedirect", requestRedirect }],
        },
        { backendRefs: [{ name: "stable", port: AppPort.http }] },
      ]);
      const answer = await until("the redirect holds", async () => {
        const response = await ask({ path: "/old/page?x=1" });
        return response.status === 302 ? response : undefined;
      });
      const location = new URL(Location.parse(answer.headers.get("location")));
      assert.deepEqual(
        [location.protocol, location.hostname, location.pathname],
        ["https:", "elsewhere.example", "/new/page"],
      );
    });

    test("a request that takes longer than its route allows ends with 504 and the reason", async () => {
      await apply([
        { timeouts: { request: "300ms" }, backendRefs: [{ name: "stable", port: AppPort.http }] },
      ]);
      const late = await until("the timeout holds", async () => {
        const response = await ask({ path: "/slow/2000" });
        return response.status === 200 ? undefined : response;
      });
      assert.equal(late.status, 504);
      assert.notEqual(late.headers.get("l5d-proxy-error"), null);
      assert.equal((await ask({ path: "/slow/20" })).status, 200);
    });

    test("a route to a backend that does not exist ends with 500 and the reason", async () => {
      await apply([{ backendRefs: [{ name: "nowhere", port: AppPort.http }] }]);
      const answer = await until("the route holds", async () => {
        const response = await ask();
        return response.status === 200 ? undefined : response;
      });
      assert.equal(answer.status, 500);
      assert.notEqual(answer.headers.get("l5d-proxy-error"), null);
    });

    test("deleting a route rolls everything back to the service's own pods", async () => {
      await apply([{ backendRefs: canary }]);
      await until("the canary gets everything", async () => (await replica()) === "canary-0");
      await world().mesh.withdraw("routes");
      await until("the service's own pods get everything", async () => (await replica()) === "stable-0");
      for (let round = 0; round < 20; round += 1) assert.equal(await replica(), "stable-0");
    });

    test("an endpoint that presents another identity than its own is refused, and hears nothing", async () => {
      const { mesh, client, namespace } = world();
      const ip = await mesh.ip("stable-0");
      const address = { host: `impostor.${namespace}.svc.cluster.local`, port: AppPort.http };
      const workload = (identity: string): readonly object[] => [
        {
          apiVersion: "workload.linkerd.io/v1beta1",
          kind: "ExternalWorkload",
          metadata: { name: "impostor", namespace, labels: { app: "impostor" } },
          spec: {
            meshTLS: {
              identity,
              serverName: "servers.servers.serviceaccount.identity.linkerd.cluster.local",
            },
            ports: [{ name: "http", port: AppPort.http }],
            workloadIPs: [{ ip }],
          },
          status: { conditions: [{ type: "Ready", status: "True" }] },
        },
        {
          apiVersion: "v1",
          kind: "Service",
          metadata: { name: "impostor", namespace },
          spec: { selector: { app: "impostor" }, ports: [{ port: AppPort.http, targetPort: AppPort.http }] },
        },
      ];
      await mesh.apply("impostor", workload("spiffe://cluster.local/ns/servers/sa/impostor"));
      const refused = await until("the name exists", () =>
        fetchOnce(client, address, { path: "/hang/impostor" }),
      );
      assert.ok(refused.status >= 502 && refused.status <= 504, `answered ${refused.status}`);
      const seen = await mesh.events("stable-0");
      assert.ok(!seen.some((event) => event.includes("impostor")), "the request reached the wrong pod");
      await mesh.apply("impostor", workload("servers.servers.serviceaccount.identity.linkerd.cluster.local"));
      await until(
        "with the right identity it is served",
        async () => (await fetchOnce(client, address)).status === 200,
      );
    });
  });
}
