/** Rate limits, with the YAML of the guide. Counts are compared with what the rate allows in the time that it took. */
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../../pair/pair.ts";
import { guideYaml } from "../guide.ts";
import { until, type TestMesh } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { head, Wire } from "../wire.ts";
import { call, session } from "./streams.ts";

const PAGE = "rate-limits";
const RESOURCE_EXHAUSTED = "8";

/** What the tests run against: `payments-0` and `api-0` to `api-2`; `alice-0` and `bob-0` meshed, `outside-0` not. */
export interface LimitWorld {
  readonly mesh: TestMesh;
  readonly to: (caller: string, app: string, port: number) => Address;
}

interface Asked {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A count of admitted requests, and the seconds in which they were asked for. */
interface Count {
  readonly admitted: number;
  readonly seconds: number;
}

/** Asks `times` times on one connection. */
async function ask(world: LimitWorld, caller: string, times: number, asked: Asked = {}): Promise<Count> {
  return askAt(world, caller, world.to(caller, "payments", AppPort.guarded), times, asked);
}

async function askAt(
  world: LimitWorld,
  caller: string,
  address: Address,
  times: number,
  asked: Asked = {},
): Promise<Count> {
  const { path = "/", headers = {} } = asked;
  const wire = await Wire.to(world.mesh.place(caller), address);
  const began = performance.now();
  let admitted = 0;
  try {
    for (let at = 0; at < times; at += 1) {
      wire.write(head("GET", path, { Host: address.host, ...headers }));
      const { status } = await wire.response();
      assert.ok(status === 200 || status === 429, `${status}`);
      if (status === 200) admitted += 1;
    }
  } finally {
    wire.close();
  }
  return { admitted, seconds: (performance.now() - began) / 1_000 };
}

/** Whether as many were admitted as a bucket that was full gives, and no more than it gives in the time. */
function assertFull({ admitted, seconds }: Count, rate: number, burst: number): void {
  const most = burst + rate * seconds + 1;
  assert.ok(admitted >= burst && admitted <= most, `${admitted} of ${burst} to ${most}`);
}

/** Applies the guide's sections, and waits until the caller meets a limit. */
async function follow(
  world: LimitWorld,
  headings: readonly string[],
  caller = "bob-0",
  asked: Asked = {},
): Promise<void> {
  await world.mesh.applyYaml("guide", headings.map((heading) => guideYaml(PAGE, heading)).join("---\n"));
  await until("a limit is met", async () => (await ask(world, caller, 40, asked)).admitted < 40);
}

export function limits(world: () => LimitWorld): void {
  const refusals = (...labels: readonly string[]): Promise<number> =>
    world().mesh.sum("payments-0", "inbound_http_local_ratelimit_total", ...labels);

  /** Asks on several connections at once for some seconds: each caller at the addresses given. */
  const hammer = async (from: readonly (readonly [caller: string, address: Address])[], seconds: number) => {
    const began = performance.now();
    const counts = await Promise.all(
      from.map(async ([caller, address]) => {
        let [asked, admitted] = [0, 0];
        while (performance.now() - began < seconds * 1_000) {
          const one = await askAt(world(), caller, address, 25);
          asked += 25;
          admitted += one.admitted;
        }
        return { asked, admitted };
      }),
    );
    const sum = (of: (count: { asked: number; admitted: number }) => number): number =>
      counts.reduce((total, count) => total + of(count), 0);
    return {
      asked: sum(({ asked }) => asked),
      admitted: sum(({ admitted }) => admitted),
      seconds: (performance.now() - began) / 1_000,
    };
  };

  describe("rate limits", () => {
    afterEach(() => world().mesh.withdraw("guide"));

    test("Linkerd's policy counts identities apart, names some, and counts clients without one as one", async () => {
      await follow(world(), ["The Server", "Linkerd's policy"]);
      await sleep(1_500);
      assertFull(await ask(world(), "bob-0", 30), 10, 10);
      assertFull(await ask(world(), "outside-0", 30), 10, 10);
      assertFull(await ask(world(), "alice-0", 50), 20, 20);
      for (const scope of ["identity", "override"]) {
        assert.ok((await refusals('ratelimit_name="payments"', `scope="${scope}"`)) > 0, scope);
      }
    });

    test("a burst is admitted at once after a pause, and not again before another", async () => {
      await follow(world(), ["The Server", "Burst"]);
      await sleep(3_500);
      assertFull(await ask(world(), "bob-0", 60), 10, 30);
      const soon = await ask(world(), "alice-0", 20);
      assert.ok(soon.admitted <= 10 * (soon.seconds + 1) + 1, `${soon.admitted}`);
    });

    test("a client gains nothing by more connections", async () => {
      await follow(world(), ["The Server", "Burst"]);
      const to = ["bob-0", world().to("bob-0", "payments", AppPort.guarded)] as const;
      const { admitted, seconds } = await hammer(
        Array.from({ length: 8 }, () => to),
        3,
      );
      assert.ok(admitted <= 30 + 10 * seconds + 1, `${admitted} in ${seconds} s`);
    });

    test("a limit of a route leaves the other routes of its Server alone", async () => {
      await follow(world(), ["The Server", "A limit of one route"], "bob-0", { path: "/orders/1" });
      await sleep(1_500);
      assertFull(await ask(world(), "bob-0", 20, { path: "/orders/1" }), 5, 5);
      assert.equal((await ask(world(), "bob-0", 40, { path: "/else" })).admitted, 40);
      assert.ok((await refusals('route_name="orders"', 'scope="total"')) > 0);
    });

    test("each value of a header has its own bucket, and those beyond the bound share one", async () => {
      await follow(world(), ["The Server", "A limit for each value of a header"]);
      await sleep(2_500);
      const of = (tenant: string): Promise<Count> =>
        ask(world(), "bob-0", 10, { headers: { "x-tenant": tenant } });
      for (const tenant of ["a", "b"]) assertFull(await of(tenant), 5, 5);
      const late: Count[] = [];
      const began = performance.now();
      for (let at = 0; at < 10; at += 1) late.push(await of(`late-${at}`));
      // Three buckets apart and the shared one; a bucket that makes room was full, as is the one that comes for it.
      const most = 4 * (5 + 5 * ((performance.now() - began) / 1_000) + 1);
      const admitted = late.reduce((sum, one) => sum + one.admitted, 0);
      assert.ok(admitted <= most, `${admitted} of at most ${most}`);
      assert.ok((await refusals('ratelimit_name="tenants"', 'scope="header"')) > 0);
    });

    test("one limit holds for three servers together, and follows the demand to one of them", async () => {
      const { mesh } = world();
      await mesh.applyYaml("guide", guideYaml(PAGE, "A limit of the whole cluster"));
      const [rate, burst, pods] = [30, 30, 3];
      const shares = async (): Promise<readonly number[]> =>
        Promise.all(["api-0", "api-1", "api-2"].map((pod) => mesh.sum(pod, "hauberk_quota_share")));
      await until("all have a share", async () => {
        for (const pod of ["api-0", "api-1", "api-2"])
          assert.ok((await mesh.metrics(pod)).some(({ name }) => name === "hauberk_quota_age_seconds"));
        return true;
      });
      const to = (caller: string) => [caller, world().to(caller, "api", AppPort.guarded)] as const;
      const all = await hammer([to("alice-0"), to("alice-0"), to("bob-0"), to("bob-0")], 6);
      assert.ok(all.asked > 2 * rate * all.seconds, `only ${all.asked} were asked`);
      const most = rate * all.seconds + burst + pods;
      assert.ok(all.admitted <= most, `${all.admitted} of ${most}`);
      assert.ok(all.admitted >= (rate * all.seconds) / 2, `${all.admitted} in ${all.seconds} s`);
      // Now one server gets all the requests, and in time most of the limit.
      const address = { host: await mesh.ip("api-0"), port: AppPort.guarded };
      const one = [["outside-0", address] as const, ["outside-0", address] as const];
      const moving = hammer(one, 12);
      await until("the share follows", async () => ((await shares())[0] ?? 0) >= 0.8 * rate);
      assert.ok((await shares()).reduce((sum, share) => sum + share, 0) <= rate + 0.001);
      const { admitted, seconds } = await moving;
      assert.ok(admitted <= rate * seconds + burst + pods, `${admitted} in ${seconds} s`);
      assert.ok((await mesh.sum("api-0", "inbound_http_local_ratelimit_total", 'scope="cluster"')) > 0);
    });

    test("without the control plane the shares stay, and together keep the limit", async () => {
      const { mesh } = world();
      await mesh.applyYaml("guide", guideYaml(PAGE, "A limit of the whole cluster"));
      const to = (caller: string) => [caller, world().to(caller, "api", AppPort.guarded)] as const;
      // Shares follow demand, and are kept as they are at the stop: each server has its part by then.
      const before = hammer([to("alice-0"), to("bob-0")], 8);
      await until("all have an even share", async () => {
        for (const pod of ["api-0", "api-1", "api-2"])
          assert.ok((await mesh.sum(pod, "hauberk_quota_share")) > 6);
        return true;
      });
      await before;
      const pid = mesh.controllerPid();
      process.kill(pid, "SIGSTOP");
      try {
        // Longer than a lease lasts.
        const { asked, admitted, seconds } = await hammer([to("alice-0"), to("alice-0"), to("bob-0")], 8);
        assert.ok(asked > 60 * seconds, `only ${asked} were asked`);
        assert.ok(admitted <= 30 * seconds + 30 + 3, `${admitted} in ${seconds} s`);
        assert.ok(admitted >= 15 * seconds, `${admitted} in ${seconds} s`);
        const ages = await Promise.all(
          ["api-0", "api-1"].map((pod) => mesh.sum(pod, "hauberk_quota_age_seconds")),
        );
        assert.ok(
          ages.every((age) => age > 5),
          ages.join(", "),
        );
      } finally {
        process.kill(pid, "SIGCONT");
      }
      await until(
        "shares are leased again",
        async () => (await mesh.sum("api-0", "hauberk_quota_age_seconds")) < 3,
      );
    });

    test("at a gRPC port a call above the limit ends with RESOURCE_EXHAUSTED", async () => {
      const server = guideYaml(PAGE, "The Server").replace("8084", "8085").replace("HTTP/1", "gRPC");
      await world().mesh.applyYaml("guide", `${server}---\n${guideYaml(PAGE, "Linkerd's policy")}`);
      const address = world().to("bob-0", "payments", AppPort.guardedH2c);
      const client = await session(world().mesh.place("bob-0"), address);
      const said = await until("a call is refused", async () => {
        const ended = await call(client, "Unary", ["1"]);
        return ended.status === RESOURCE_EXHAUSTED && ended;
      });
      assert.match(said.message, /rate limit exceeded/);
      client.destroy();
    });
  });
}
