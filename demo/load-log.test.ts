import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLoadLog, seen } from "./load-log.ts";
import { renderSummary, success } from "./promise.ts";

function line(at: number, ok: number, failed: number): string {
  const page = {
    ok,
    failed,
    slowestMs: at,
    versions: { stable: ok },
    errors: failed > 0 ? { "502 x": failed } : {},
  };
  return JSON.stringify({
    at: new Date(at).toISOString(),
    inFlight: 0,
    pages: { "/checkout": page, "/risk": { ...page, versions: {} } },
    prices: { messages: 4, disconnects: 0 },
  });
}

const log = parseLoadLog(
  `node: warning\n${line(1_000, 5, 0)}\n${line(2_000, 6, 1)}\n${line(3_000, 7, 0)}\n{"at":`,
);

test("only the seconds asked for are added up", () => {
  const two = seen(log, { fromMs: 1_000, toMs: 3_000 }, "/checkout");
  assert.deepEqual(two, {
    ok: 13,
    failed: 1,
    slowestMs: 3_000,
    versions: new Map([["stable", 13]]),
    errors: ["502 x"],
    priceMessages: 8,
    priceDisconnects: 0,
    seconds: 2,
  });
  assert.equal(seen(log, { fromMs: 1_000, toMs: 3_000 }).ok, 26);
  assert.equal(seen(log, { fromMs: 3_000, toMs: 9_000 }).seconds, 0);
});

test("a summary says what was measured and whether all promises were kept", () => {
  const kept = {
    promise: "nothing fails",
    measured: success({ ok: 10, failed: 0, errors: [] }),
    passed: true,
  };
  const broken = { promise: "no", measured: success({ ok: 1, failed: 1, errors: ["502"] }), passed: false };
  assert.equal(
    renderSummary([kept], 61.2),
    "√ nothing fails  100% of 10 requests\n\nAll 1 promises were kept, in 61 s.",
  );
  assert.match(
    renderSummary([kept, broken], 1),
    /× no {13}50\.00% of 2 requests \(1 failed: 502\)\n\n1 of 2 promises were broken\.$/,
  );
});
