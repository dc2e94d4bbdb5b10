import assert from "node:assert/strict";
import { test } from "node:test";
import { Told, join, tell } from "./story.ts";
import type { Record } from "./story.ts";

const ID = "00000000000000ab";
const route = { group: "g", kind: "HTTPRoute", namespace: "shop", name: "orders", port: null };
const endpoint = { addr: "10.0.0.3:80", identity: "orders", namespace: "shop", pod: "orders-0" };

function record(side: Record["side"], more: Partial<Record>): Record {
  return {
    id: ID,
    side,
    time: "2026-01-01T00:00:00.000000000Z",
    client: "10.0.0.2:4000",
    target: "10.96.0.1:80",
    method: "GET",
    authority: "orders.shop",
    path: "/orders",
    failed: true,
    ...more,
  };
}

const told = (records: readonly Record[], recent: string | null = null): Told =>
  Told.parse({ records, since: { recent, failed: null } });

test("the client's half comes first, and the code is the one given nearest to the server", () => {
  const story = join(ID, [
    {
      pod: "shop/orders-0",
      told: told([record("inbound", { code: "unauthorized", decision: "denied", route })]),
    },
    { pod: "shop/idle-0", told: told([]) },
    {
      pod: "shop/web-0",
      told: told([record("outbound", { endpoint, attempts: 1, status: 403, ended_us: 1_500 })]),
    },
  ]);
  assert.deepEqual(
    story.halves.map(({ pod }) => pod),
    ["shop/web-0", "shop/orders-0"],
  );
  assert.equal(story.code, "unauthorized");
  const text = tell(story);
  assert.match(text, /denied: no authorization admits this request/);
  assert.match(text, /10\.0\.0\.3:80 \(shop\/orders-0\)/);
  assert.match(text, /docs\/guide\/errors\.md#unauthorized$/);
});

test("skipped and tried endpoints say why", () => {
  const trouble = {
    tried: [{ endpoint, code: "connect-failed", after_us: 1_200 }],
    skipped: [{ endpoint, state: "breaker_open" as const, reason: "connection", time_us: 900_000 }],
    ready: 0,
    endpoints: 1,
  };
  const text = tell(join(ID, [{ pod: "shop/web-0", told: told([record("outbound", { trouble })]) }]));
  assert.match(text, /tried {5}10\.0\.0\.3:80 \(shop\/orders-0\): connect-failed after 1\.2ms/);
  assert.match(text, /breaker open for another 900\.0ms \(connection\)/);
  assert.match(text, /0 of 1 ready/);
});

test("what is not known is said, and why: overwritten, unreachable, or never seen", () => {
  const never = tell(join(ID, [{ pod: "a/b", told: told([]) }]));
  assert.match(never, /nothing was overwritten yet/);
  const gone = tell(join(ID, [{ pod: "a/b", told: told([], "2026-01-01T00:00:00Z") }]));
  assert.match(gone, /before 2026-01-01T00:00:00Z may be gone/);
  const silent = tell(join(ID, [{ pod: "a/b", silent: "frozen" }]));
  assert.match(silent, /a\/b did not answer: frozen/);
  const half = tell(join(ID, [{ pod: "a/b", told: told([record("outbound", { endpoint })]) }]));
  assert.match(half, /the server's proxy has no record/);
});
