/** Retries, budgets, deadlines and hedges: the YAML is that of the guide. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Address, Place } from "../../pair/pair.ts";
import { frame, Frames } from "../frames.ts";
import { guideYaml } from "../guide.ts";
import { until, type TestMesh } from "../mesh.ts";
import { AppPort } from "../ports.ts";
import { fetchOnce, type Response } from "../wire.ts";
import { begin, finished, session } from "./streams.ts";

/** What the tests run against: one pod `books-0`, two of `shelf`, and `near-0` and `far-0` in two zones. */
export interface ResilienceWorld {
  readonly mesh: TestMesh;
  readonly client: Place;
  readonly to: (service: string, port?: number) => Address;
}

type Asked = NonNullable<Parameters<typeof fetchOnce>[2]>;

/** Applies the guide's YAML under a heading, beside that of others; its services are its own. */
export async function follow({ mesh }: ResilienceWorld, heading: string): Promise<void> {
  await mesh.applyYaml(heading.toLowerCase().replaceAll(" ", "-"), guideYaml("resilience", heading));
}

/** Waits until a service is there. */
export async function there({ client, to }: ResilienceWorld, service: string): Promise<void> {
  await until(`${service} is there`, async () => (await fetchOnce(client, to(service))).status === 200);
}

/** What the application noted of requests for a path. */
export async function attempts(
  { mesh }: ResilienceWorld,
  pod: string,
  path: string,
): Promise<readonly string[]> {
  const events = await mesh.events(pod);
  return events.filter((event) => event.includes(` ${path} `));
}

export function counted(
  { mesh }: ResilienceWorld,
  metric: string,
  ...parts: readonly string[]
): Promise<number> {
  return mesh.sum("agent-0", metric, ...parts);
}

export function ask({ client, to }: ResilienceWorld, service: string, asked: Asked = {}): Promise<Response> {
  return fetchOnce(client, to(service), asked);
}

/** How long something takes, in milliseconds. */
export async function timed<T>(work: () => Promise<T>): Promise<readonly [T, number]> {
  const start = performance.now();
  const result = await work();
  return [result, performance.now() - start];
}

/** A slow request whose application leaves it so much time. */
function within(world: ResilienceWorld, time: string): Promise<readonly [Response, number]> {
  const headers = { "hauberk-timeout": time };
  return timed(() => ask(world, "deadlines", { path: "/slow/3000", headers }));
}

export function retries(world: () => ResilienceWorld): void {
  describe("retries", () => {
    before(async () => {
      await follow(world(), "Retries");
      await there(world(), "retries");
    });

    test("a failing status is retried, and each repetition says which it is", async () => {
      const answer = await ask(world(), "retries", { path: "/fail/twice/2/503" });
      assert.equal(answer.status, 200);
      const seen = await attempts(world(), "books-0", "/fail/twice/2/503");
      assert.deepEqual(
        seen.map((event) => /attempt=(\d)/.exec(event)?.[1]),
        ["1", "2", "3"],
      );
      const parent = 'parent_name="retries"';
      assert.equal(await counted(world(), "outbound_http_route_retry_requests_total", parent), 2);
      assert.equal(await counted(world(), "outbound_http_route_retry_successes_total", parent), 1);
    });

    test("a body is sent again", async () => {
      const asked = { method: "POST", path: "/fail/body/1/500", body: "all of it" };
      assert.equal((await ask(world(), "retries", asked)).status, 200);
      const seen = await attempts(world(), "books-0", asked.path);
      assert.deepEqual(
        seen.map((event) => /body=(.*)/.exec(event)?.[1]),
        ["all of it", "all of it"],
      );
    });

    test("more than the limit is not tried", async () => {
      const answer = await ask(world(), "retries", { path: "/fail/ever/99/503" });
      assert.equal(answer.status, 503);
      assert.equal((await attempts(world(), "books-0", "/fail/ever/99/503")).length, 4);
      const limited = await counted(world(), "outbound_http_route_retry_limit_exceeded_total", "retries");
      assert.equal(limited, 1);
    });

    test("what a proxy before this one repeats is tried once, and the mark goes on", async () => {
      const asked = { path: "/fail/marked/9/503", headers: { "hauberk-attempt": "2" } };
      assert.equal((await ask(world(), "retries", asked)).status, 503);
      const seen = await attempts(world(), "books-0", asked.path);
      assert.equal(seen.length, 1);
      assert.match(seen[0] ?? "", /attempt=2/);
    });

    test("retries of two hops add up and do not multiply", async () => {
      await there(world(), "front");
      const answer = await ask(world(), "front", { path: "/via/retries/fail/chain/99/503" });
      assert.equal(answer.status, 503);
      const seen = await attempts(world(), "books-0", "/fail/chain/99/503");
      // One, three retries of the second hop, and three of the first that the second does not repeat.
      assert.equal(seen.length, 7, seen.join("\n"));
    });

    test("a call that is refused with a code of the route is made again", async () => {
      const client = await session(world().client, world().to("front", AppPort.h2c));
      const stream = begin(client, "Flaky", { "x-id": "flaky", "x-times": "1" });
      const outcome = finished(stream);
      stream.end(frame("again"));
      const { trailers, body } = await outcome;
      assert.equal(trailers["grpc-status"], "0");
      assert.deepEqual([...new Frames().push(body)], ["again"]);
      const metric = "outbound_http_route_retry_successes_total";
      assert.ok((await counted(world(), metric, 'parent_name="front"', 'parent_port="8081"')) >= 1);
      client.destroy();
    });

    test("Retry-After sets the pause within its bounds", async () => {
      const [answer, ms] = await timed(() => ask(world(), "retries", { path: "/fail/later/1/503?60" }));
      assert.equal(answer.status, 200);
      assert.ok(ms >= 1_000 && ms < 4_000, `${ms} ms`);
    });

    test("an exhausted budget passes failures on", async () => {
      await follow(world(), "Retry budgets");
      await there(world(), "budget");
      const [, ms] = await timed(async () => {
        for (let sent = 0; sent < 30; sent += 1)
          assert.equal((await ask(world(), "budget", { path: "/fail/all/999/503" })).status, 503);
      });
      const seen = await attempts(world(), "books-0", "/fail/all/999/503");
      // A tenth, one per second, and the reserve of one second.
      const allowed = 30 + 3 + ms / 1_000 + 1;
      assert.ok(
        seen.length > 30 && seen.length <= allowed + 1,
        `${seen.length} attempts, ${allowed} allowed`,
      );
      assert.ok(
        (await counted(world(), "outbound_http_route_retry_overflow_total", 'parent_name="budget"')) > 20,
      );
    });
  });

  describe("deadlines", () => {
    before(async () => {
      await follow(world(), "Timeouts and deadlines");
      await there(world(), "deadlines");
    });

    test("what is left is told to the next hop, less with each try, and ends the tries", async () => {
      const [answer, ms] = await timed(() => ask(world(), "deadlines", { path: "/lag/books-0/5000" }));
      assert.equal(answer.status, 504);
      assert.ok(ms >= 900 && ms < 2_000, `${ms} ms`);
      const seen = await attempts(world(), "books-0", "/lag/books-0/5000");
      const left = seen.map((event) => Number(/left=(\d+)ms/.exec(event)?.[1]));
      // Tries of 400 ms within 1 s.
      assert.ok(left.length >= 2 && left.length <= 3, left.join());
      assert.ok(left.every((one) => one <= 400) && (left.at(-1) ?? 400) < 400, left.join());
    });

    test("a shorter time of the application's own counts, a longer one does not", async () => {
      const [short, shortMs] = await within(world(), "150ms");
      assert.equal(short.status, 504);
      assert.ok(shortMs < 900, `${shortMs} ms`);
      const [long, longMs] = await within(world(), "1h");
      assert.equal(long.status, 504);
      assert.ok(longMs < 2_000, `${longMs} ms`);
    });

    test("a call's grpc-timeout is lowered to what the route leaves", async () => {
      const client = await session(world().client, world().to("deadlines", AppPort.h2c));
      const stream = begin(client, "Deadline", { "grpc-timeout": "30S" });
      const outcome = finished(stream);
      stream.end(frame("now"));
      const { body } = await outcome;
      const [told = ""] = [...new Frames().push(body)];
      const [, amount, unit] = /^(\d+)([num])$/.exec(told) ?? [];
      const ms = Number(amount) * (unit === "n" ? 1e-6 : unit === "u" ? 1e-3 : 1);
      assert.ok(ms > 0 && ms <= 1_000, told);
      client.destroy();
    });

    test("silence ends an exchange with an idle timeout", async () => {
      await there(world(), "idle");
      const [, ms] = await timed(() => ask(world(), "idle", { path: "/hang/idle" }).catch(() => undefined));
      assert.ok(ms < 2_500, `${ms} ms`);
    });
  });

  describe("hedging", () => {
    before(async () => {
      await follow(world(), "Hedging");
      await there(world(), "hedged");
    });

    test("a slow endpoint is overtaken by another, and only with idempotent methods", async () => {
      await until("a hedge wins", async () => {
        // Whoever answered last is likely to be asked next.
        const likely = (await ask(world(), "hedged")).headers.get("x-replica") ?? "";
        const [answer, ms] = await timed(() => ask(world(), "hedged", { path: `/lag/${likely}/3000` }));
        assert.equal(answer.status, 200);
        assert.ok(ms < 2_500, `${ms} ms`);
        return (await counted(world(), "hauberk_route_hedge_wins_total", "hedged")) >= 1;
      });
      const before = await counted(world(), "hauberk_route_hedge_requests_total", "hedged");
      for (let sent = 0; sent < 4; sent += 1)
        await ask(world(), "hedged", { method: "POST", path: "/lag/shelf-0/400", body: "once" });
      assert.equal(await counted(world(), "hauberk_route_hedge_requests_total", "hedged"), before);
    });
  });
}
