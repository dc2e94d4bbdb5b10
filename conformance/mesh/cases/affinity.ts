/** Requests that belong together: sessions and hashed keys, as the guide writes them. */
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { guideYaml } from "../guide.ts";
import { until } from "../mesh.ts";
import { fetchOnce, head, Wire, type Response } from "../wire.ts";
import { ask, follow, type TrafficWorld } from "./filters.ts";

const ROUNDS = 12;
const CLIENTS = 12;
/** Longer than a proxy waits for a client before it asks the server. */
const SILENT_MS = 200;
const UNDISTURBED_MS_MAX = 60_000;

function replicaOf(response: Response): string {
  return response.headers.get("x-replica") ?? "none";
}

/** The token in a `Set-Cookie` of the cookie `cart`. */
function cartOf({ headers }: Response): string | undefined {
  return /^cart=([0-9a-f]{80}); Path=\/; HttpOnly; SameSite=Lax; Max-Age=\d+$/.exec(
    headers.get("set-cookie") ?? "",
  )?.[1];
}

function given({ headers }: Response): string | undefined {
  return headers.get("x-session") ?? undefined;
}

/**
 * What `work` finds while all endpoints of a service are there and stay: on a busy machine a probe may miss a pod for a
 * moment, or a connection to it come late, and then keys move as they should.
 */
async function undisturbed<T>(
  { mesh }: TrafficWorld,
  { service, endpoints }: { readonly service: string; readonly endpoints: number },
  work: () => Promise<T>,
): Promise<T> {
  const sum = (metric: string, ...parts: readonly string[]): Promise<number> =>
    mesh.sum("agent-0", metric, `backend_name="${service}"`, ...parts);
  const look = async () => ({
    ready: await sum("outbound_http_balancer_endpoints", 'endpoint_state="ready"'),
    updates: await sum("outbound_http_balancer_p2c_updates_total"),
    ejections: await sum("hauberk_endpoint_ejections_total"),
  });
  const [found] = await until(
    `the endpoints of ${service} stay the same`,
    async () => {
      const before = await look();
      const result = await work();
      const isSame = JSON.stringify(await look()) === JSON.stringify(before);
      return isSame && before.ready === endpoints ? [result] : undefined;
    },
    UNDISTURBED_MS_MAX,
  );
  if (found === undefined) throw new Error("there is no result");
  return found;
}

export function affinity(world: () => TrafficWorld): void {
  describe("affinity", () => {
    afterEach(() => world().mesh.withdraw("guide"));

    test("a cookie leads back to the same endpoint, over backends, and each client has its own", async () => {
      await follow(world(), "Sessions");
      const cart = (token?: string): Promise<Response> =>
        ask(world(), { path: "/cart", headers: token === undefined ? {} : { cookie: `a=b; cart=${token}` } });
      await until("the route holds", async () => cartOf(await cart()) !== undefined);
      const homes = new Set<string>();
      for (let client = 0; client < CLIENTS; client += 1) {
        const first = await cart();
        const token = cartOf(first);
        assert.ok(token !== undefined, "a token is given");
        homes.add(replicaOf(first));
        for (let round = 0; round < ROUNDS; round += 1) {
          const again = await cart(token);
          assert.deepEqual([replicaOf(again), again.headers.get("set-cookie")], [replicaOf(first), null]);
        }
      }
      assert.ok(homes.size > 1, `all went to ${[...homes].join()}`);
    });

    test("a token that was made up or changed begins a new session", async () => {
      await follow(world(), "Sessions");
      const asked = (cookie: string): Promise<Response> =>
        ask(world(), { path: "/cart", headers: { cookie } });
      const token = await until("the route holds", async () => cartOf(await asked("")));
      const changed = `${token.slice(0, -1)}${token.endsWith("0") ? "1" : "0"}`;
      for (const cookie of ["cart=10.0.0.1", `cart=${"0".repeat(80)}`, `cart=${changed}`])
        assert.notEqual(cartOf(await asked(cookie)), undefined, cookie);
    });

    test("a header leads back, is renewed while it is used, and ends when it was silent for too long", async () => {
      await follow(world(), "Sessions");
      const api = (token?: string): Promise<Response> =>
        ask(world(), { path: "/api", headers: token === undefined ? {} : { "x-session": token } });
      let token = await until("the route holds", async () => given(await api()));
      const home = replicaOf(await api(token));
      // Longer than the idle timeout in all, but never silent for so long.
      for (let round = 0; round < 6; round += 1) {
        await sleep(700);
        const again = await api(token);
        assert.equal(replicaOf(again), home);
        token = given(again) ?? token;
      }
      await sleep(3_100);
      assert.notEqual(given(await api(token)), undefined, "a silent session begins anew");
    });

    test("a session survives its client's proxy, and begins anew where its endpoint is none of the rule's any more", async () => {
      const { mesh } = world();
      await follow(world(), "Sessions");
      const cart = (token?: string): Promise<Response> =>
        ask(world(), { path: "/cart", headers: token === undefined ? {} : { cookie: `cart=${token}` } });
      const first = await until("the route holds, and one came to stable", async () => {
        const response = await cart();
        const isHome = cartOf(response) !== undefined && replicaOf(response).startsWith("stable-");
        return isHome ? response : undefined;
      });
      const token = cartOf(first);
      const pid = await mesh.proxyPid("agent-0");
      process.kill(pid, "SIGKILL");
      await until("another proxy serves", async () => (await mesh.proxyPid("agent-0")) !== pid);
      const again = await until("it answers", () => cart(token));
      assert.deepEqual([replicaOf(again), again.headers.get("set-cookie")], [replicaOf(first), null]);
      const counted = (outcome: string): Promise<number> =>
        mesh.sum("agent-0", "hauberk_session_requests_total", `outcome="${outcome}"`);
      assert.ok((await counted("kept")) >= 1);
      const stable = "        - { name: stable, port: 8080, weight: 1 }\n";
      await mesh.applyYaml("guide", guideYaml("traffic", "Sessions").replace(stable, ""));
      const moved = await until("the session moves", async () => {
        const response = await cart(token);
        return replicaOf(response) === "canary-0" ? response : undefined;
      });
      assert.notEqual(cartOf(moved), undefined);
      assert.ok((await counted("lost")) >= 1);
    });

    test("a key goes to one endpoint, the keys go to all of them, and a crowd of one key is spread within its bound", async () => {
      await follow(world(), "Consistent hashing");
      const of = async (user: string): Promise<string> =>
        replicaOf(
          await fetchOnce(world().client, world().to("hashed"), {
            headers: user === "" ? {} : { "x-user": user },
          }),
        );
      await until("the service is there", async () => (await of("first")).startsWith("stable-"));
      const seen = await undisturbed(world(), { service: "hashed", endpoints: 3 }, async () => {
        const homes = new Map<string, string>();
        const moved: string[] = [];
        for (let user = 0; user < 30; user += 1) homes.set(`user-${user}`, await of(`user-${user}`));
        for (const [user, home] of homes)
          for (let round = 0; round < 3; round += 1)
            if ((await of(user)) !== home) moved.push(`${user} from ${home}`);
        return { homeOf: Object.fromEntries(homes), homes: new Set(homes.values()).size, moved };
      });
      assert.deepEqual([seen.homes, seen.moved], [3, []]);
      // While a client is silent its proxy connects early, for a server that may speak first. That must not count later.
      const slow = await Wire.to(world().client, world().to("hashed"));
      await sleep(SILENT_MS);
      slow.write(head("GET", "/", { Host: "hashed" }));
      assert.equal((await slow.response()).status, 200);
      const beside = await undisturbed(world(), { service: "hashed", endpoints: 3 }, async () => {
        const moved: string[] = [];
        for (let user = 0; user < 30; user += 1) {
          const home = await of(`user-${user}`);
          if (home !== seen.homeOf[`user-${user}`]) moved.push(`user-${user} to ${home}`);
        }
        return moved;
      });
      slow.close();
      assert.deepEqual(beside, []);
      // With nine at once and a factor of 1.5, no endpoint gets more than five; the rest goes on along the ring.
      const crowd = await undisturbed(world(), { service: "hashed", endpoints: 3 }, async () => {
        const home = await of("user-0");
        const answers = await Promise.all(
          Array.from({ length: 9 }, () =>
            fetchOnce(world().client, world().to("hashed"), {
              path: "/slow/1500",
              headers: { "x-user": "user-0" },
            }),
          ),
        );
        const shares = Map.groupBy(answers, replicaOf);
        const most = Math.max(...[...shares.values()].map(({ length }) => length));
        return { home, after: await of("user-0"), places: shares.size, most };
      });
      assert.ok(crowd.places > 1 && crowd.most <= 5, JSON.stringify(crowd));
      assert.equal(crowd.after, crowd.home, "the key is at home again");
      const plain = new Set<string>();
      for (let round = 0; round < 40; round += 1) plain.add(await of(""));
      assert.ok(plain.size > 1, "requests without the key are balanced");
    });
  });
}
