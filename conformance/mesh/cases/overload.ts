/** Breakers, limits, refusals and zones: the YAML is that of the guide. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { until } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { Wire } from "../wire.ts";
import { ask, counted, follow, there, timed, type ResilienceWorld } from "./resilience.ts";

/** How often each replica answered. */
async function spread(
  world: ResilienceWorld,
  service: string,
  asked: { readonly path?: string; readonly requests: number },
): Promise<ReadonlyMap<string, number>> {
  const seen = new Map<string, number>();
  for (let sent = 0; sent < asked.requests; sent += 1) {
    const replica =
      (await ask(world, service, { path: asked.path ?? "/" })).headers.get("x-replica") ?? "none";
    seen.set(replica, (seen.get(replica) ?? 0) + 1);
  }
  return seen;
}

export function limitsAndZones(world: () => ResilienceWorld): void {
  describe("overload", () => {
    test("a breaker takes an endpoint out after failures in a row", async () => {
      await follow(world(), "Circuit breaking");
      await there(world(), "breaker");
      await until("the endpoint is out", async () => {
        await ask(world(), "breaker", { path: "/as/shelf-0/500" });
        const parts = ['backend_name="breaker"', 'reason="consecutive_failures"'];
        return (await counted(world(), "hauberk_endpoint_ejections_total", ...parts)) === 1;
      });
      const seen = await spread(world(), "breaker", { requests: 20 });
      assert.deepEqual([...seen], [["shelf-1", 20]]);
    });

    test("a breaker takes an endpoint out whose success rate is low, but never the last ones that are to stay", async () => {
      await follow(world(), "Breaking by success rate");
      await there(world(), "rated");
      const out = (): Promise<number> =>
        counted(world(), "hauberk_endpoint_ejections_total", 'backend_name="rated"', 'reason="success_rate"');
      // Every other answer of one endpoint is good: it never fails twice in a row for long.
      await until("the endpoint is out", async () => {
        for (const path of ["/as/shelf-0/500", "/"])
          for (let sent = 0; sent < 4; sent += 1) await ask(world(), "rated", { path });
        return (await out()) === 1;
      });
      assert.deepEqual([...(await spread(world(), "rated", { requests: 20 }))], [["shelf-1", 20]]);
      // The other one is all that is left: however it answers, it stays.
      for (let sent = 0; sent < 30; sent += 1) await ask(world(), "rated", { path: "/as/shelf-1/500" });
      assert.equal(await out(), 1);
      assert.deepEqual([...(await spread(world(), "rated", { requests: 5 }))], [["shelf-1", 5]]);
    });

    test("requests beyond those that run wait, and beyond those that wait are refused with a reason", async () => {
      await follow(world(), "Limits of a service");
      await there(world(), "limited");
      // On a busy machine a probe may find the pod not ready for a moment; then others are refused, for another reason.
      await until("three are served and one is refused", async () => {
        const burst = Array.from({ length: 4 }, () =>
          timed(() => ask(world(), "limited", { path: "/slow/900" })),
        );
        const done = await Promise.all(burst);
        const ok = done.filter(([{ status }]) => status === 200).map(([, ms]) => ms);
        const [refused] = done.find(([{ status }]) => status === 503) ?? [];
        const reason = refused?.headers.get("l5d-proxy-error");
        return (
          ok.length === 3 && Math.max(...ok) >= 1_700 && reason === "service takes no more pending requests"
        );
      });
      const parts = ['backend_name="limited"', 'limit="requests"'];
      assert.ok((await counted(world(), "hauberk_service_limit_reached_total", ...parts)) >= 1);
    });

    test("a service of two pods that takes one connection is served over one", async () => {
      await there(world(), "one-connection");
      const seen = await spread(world(), "one-connection", { requests: 12 });
      assert.equal(
        [...seen.keys()].filter((replica) => replica.startsWith("shelf-")).length,
        1,
        [...seen].join(),
      );
    });

    test("a connection beyond the limit is closed, and one after it is taken", async () => {
      const to = world().to("connections", AppPort.opaque);
      const greet = async (): Promise<readonly [Wire, string]> => {
        const wire = await Wire.to(world().client, to);
        const closed = once(wire.socket, "close").then(() => "closed");
        return [wire, await Promise.race([wire.through("\n").catch(() => "closed"), closed])];
      };
      const [first, hello] = await until("the service is there", async () => {
        const [wire, line] = await greet();
        return line.startsWith("220") ? ([wire, line] as const) : undefined;
      });
      assert.match(hello, /^220/);
      assert.equal((await greet())[1], "closed");
      first.close();
      const [again] = await until("the place is free", async () => {
        const [wire, line] = await greet();
        return line.startsWith("220") ? [wire] : undefined;
      });
      again?.close();
    });

    test("an endpoint that answers 429 gets little until it wants more", async () => {
      await follow(world(), "Endpoints that refuse work");
      await there(world(), "penalised");
      const asked = { path: "/as/shelf-0/429?30", requests: 40 };
      const seen = await spread(world(), "penalised", asked);
      assert.ok((seen.get("shelf-0") ?? 0) <= 2, [...seen].join());
    });

    test("the own zone has everything, others help when it is loaded, and it all returns", async () => {
      await follow(world(), "Zones");
      await there(world(), "zoned");
      assert.deepEqual([...(await spread(world(), "zoned", { requests: 20 }))], [["near-0", 20]]);
      const overflow = () => counted(world(), "hauberk_balancer_zone_overflow_percent", "zoned");
      let far = 0;
      const enough = new AbortController();
      const load = Array.from({ length: 16 }, async () => {
        while (!enough.signal.aborted) {
          const { headers } = await ask(world(), "zoned", { path: "/slow/500" });
          if (headers.get("x-replica") === "far-0") far += 1;
        }
      });
      await until("others help", async () => far > 0 && (await overflow()) > 0).finally(() => enough.abort());
      await Promise.all(load);
      await until("everything returns", async () => {
        const seen = await spread(world(), "zoned", { requests: 10 });
        return seen.get("near-0") === 10 && (await overflow()) === 0;
      });
      const local = ['dst_zone_locality="local"', 'dst_zone="a"'];
      assert.ok((await counted(world(), "response_total", ...local)) > 0);
    });
  });
}
