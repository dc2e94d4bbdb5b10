/** ServiceProfiles on the one engine: the YAML is that of the guide. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { until } from "../mesh.ts";
import { ask, attempts, counted, follow, there, timed, type ResilienceWorld } from "./resilience.ts";

export function profiles(world: () => ResilienceWorld): void {
  describe("ServiceProfiles", () => {
    before(async () => {
      await follow(world(), "ServiceProfiles");
      await there(world(), "profiled");
      // The service may be there before its profile is.
      await until(
        "the profile holds",
        async () => (await ask(world(), "profiled", { path: "/slow/2000" })).status === 504,
      );
    });

    test("a retryable route is retried by its response classes, and a negated condition holds", async () => {
      assert.equal((await ask(world(), "profiled", { path: "/fail/class/1/429" })).status, 200);
      assert.equal((await attempts(world(), "books-0", "/fail/class/1/429")).length, 2);
      const post = { method: "POST", path: "/fail/post/1/503", body: "x" };
      assert.equal((await ask(world(), "profiled", post)).status, 503);
      const route = 'route_kind="ServiceProfile",';
      assert.ok(
        (await counted(world(), "outbound_http_route_retry_requests_total", 'route_name="reads"')) >= 1,
      );
      assert.ok((await counted(world(), "outbound_http_route_request_duration_seconds_count", route)) >= 1);
    });

    test("what the profile's classes call a failure is one in the metrics", async () => {
      const failures = () =>
        counted(
          world(),
          "response_total",
          'direction="outbound"',
          'status_code="429"',
          'classification="failure"',
        );
      const before = await failures();
      await ask(world(), "profiled", { path: "/fail/metric/1/429" });
      assert.equal(await failures(), before + 1);
      const of = ['dst="profiled.shop.svc.cluster.local:8080"', 'rt_route="reads"'];
      const effective = await counted(world(), "route_request_total", ...of);
      const actual = await counted(world(), "route_actual_request_total", ...of);
      assert.ok(effective > 0 && actual > effective, `${effective} requests, ${actual} attempts`);
      const failed = [...of, 'classification="failure"'];
      assert.equal(await counted(world(), "route_response_total", ...failed), 0);
      assert.ok((await counted(world(), "route_actual_response_total", ...failed)) > 0);
    });

    test("a route's timeout ends its requests, and only its", async () => {
      const [answer, ms] = await timed(() => ask(world(), "profiled", { path: "/slow/2000" }));
      assert.equal(answer.status, 504);
      assert.ok(ms < 1_500, `${ms} ms`);
      assert.equal((await ask(world(), "profiled", { path: "/lag/books-0/500" })).status, 200);
    });

    test("the service's breaker stays on", async () => {
      const before = await counted(world(), "hauberk_endpoint_ejections_total", 'backend_name="profiled"');
      for (let sent = 0; sent < 4; sent += 1) {
        assert.equal((await ask(world(), "profiled", { path: "/as/books-0/500" })).status, 500);
      }
      const reason = 'reason="consecutive_failures"';
      const after = await counted(
        world(),
        "hauberk_endpoint_ejections_total",
        'backend_name="profiled"',
        reason,
      );
      assert.ok(after > before, `${after} ejections`);
    });

    test("overrides send requests elsewhere", async () => {
      await follow(world(), "Overrides of a ServiceProfile");
      await until("the split holds", async () => {
        const { status, headers } = await ask(world(), "split");
        return status === 200 && headers.get("x-replica")?.startsWith("shelf-") === true;
      });
      for (let sent = 0; sent < 10; sent += 1)
        assert.match((await ask(world(), "split")).headers.get("x-replica") ?? "", /^shelf-/);
    });
  });
}
