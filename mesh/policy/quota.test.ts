/** A simulated cluster under one limit: proxies report with delays, restart, fall silent and come back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LEASE_MS, PERIOD_MS, QuotaPool } from "./quota.ts";

const LIMIT = 100_000;

/** A proxy as the pool knows it: what it enforces is what it heard last. */
interface Proxy {
  readonly name: string;
  held: number;
}

function proxies(count: number, held = 0): readonly Proxy[] {
  return Array.from({ length: count }, (_, at) => ({ name: `p${at}`, held }));
}

function report(pool: QuotaPool, proxy: Proxy, asked: number, nowMs: number): void {
  proxy.held = pool.lease({ holder: proxy.name, asked, held: proxy.held }, nowMs);
}

const sumOf = (all: readonly Proxy[]): number => all.reduce((sum, { held }) => sum + held, 0);

const demand = fc.integer({ min: 0, max: 2 * LIMIT });

/** For each period, what each proxy is asked for, and whether its report or the answer to it is lost. */
const history = fc.integer({ min: 1, max: 8 }).chain((count) =>
  fc.array(
    fc.array(fc.record({ asked: demand, fate: fc.constantFrom("heard", "heard", "lost", "unanswered") }), {
      minLength: count,
      maxLength: count,
    }),
    { minLength: 1, maxLength: 20 },
  ),
);

test("shares in force never exceed the limit, whatever reports and answers are lost for less than a lease", () => {
  fc.assert(
    fc.property(history, (periods) => {
      const pool = new QuotaPool(LIMIT);
      const all = proxies(periods[0]?.length ?? 0);
      const heardAt = all.map(() => 0);
      for (const [at, fates] of periods.entries()) {
        for (const [index, proxy] of all.entries()) {
          const nowMs = at * PERIOD_MS + index;
          const { asked = 0, fate = "heard" } = fates[index] ?? {};
          // Nobody is lost for as long as a lease: that is the next rule's matter.
          const isDue = nowMs - (heardAt[index] ?? 0) >= LEASE_MS - PERIOD_MS;
          if (fate === "lost" && !isDue) continue;
          heardAt[index] = nowMs;
          if (fate === "unanswered" && !isDue)
            pool.lease({ holder: proxy.name, asked, held: proxy.held }, nowMs);
          else report(pool, proxy, asked, nowMs);
          assert.ok(sumOf(all) <= LIMIT, `${sumOf(all)} in force`);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test("without the control plane all keep what they had; of those cut off by themselves the excess is their share", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 0, max: 8 }),
      demand,
      (count, cut, asked) => {
        const pool = new QuotaPool(LIMIT);
        const all = proxies(count);
        const step = (some: readonly Proxy[], at: number) => {
          for (const proxy of some) report(pool, proxy, asked, at * PERIOD_MS);
        };
        for (let at = 0; at < 5; at += 1) step(all, at);
        const lost = all.slice(0, Math.min(cut, count));
        const excess = sumOf(lost);
        for (let at = 5; at < 20; at += 1) step(all.slice(lost.length), at);
        assert.ok(sumOf(all) <= LIMIT + excess);
        assert.ok(excess <= LIMIT);
        // Back again: within three periods the limit holds as before.
        for (let at = 20; at < 23; at += 1) step(all, at);
        assert.ok(sumOf(all) <= LIMIT, `${sumOf(all)} in force`);
      },
    ),
  );
});

test("a control plane that restarted learns the shares from their holders and exceeds nothing", () => {
  fc.assert(
    fc.property(
      fc.array(demand, { minLength: 1, maxLength: 8 }),
      fc.array(demand, { minLength: 8, maxLength: 8 }),
      (before, after) => {
        const first = new QuotaPool(LIMIT);
        const all = proxies(before.length);
        for (let at = 0; at < 5; at += 1)
          for (const [index, proxy] of all.entries())
            report(first, proxy, before[index] ?? 0, at * PERIOD_MS);
        const most = sumOf(all);
        const second = new QuotaPool(LIMIT);
        for (let at = 5; at < 8; at += 1) {
          for (const [index, proxy] of all.entries()) {
            report(second, proxy, after[index] ?? 0, at * PERIOD_MS);
            // Until all have reported, one that asks may be given what one that has not yet reported still holds.
            assert.ok(sumOf(all) <= LIMIT + (at === 5 ? most : 0), `${sumOf(all)} in force`);
          }
          if (at > 6) assert.ok(sumOf(all) <= LIMIT);
        }
      },
    ),
  );
});

test("everybody has what they ask for or an even part in four periods, and in time all", () => {
  const change = fc.record({ was: demand, is: demand });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
      const pool = new QuotaPool(LIMIT);
      const all = proxies(changes.length);
      const run = (from: number, to: number, of: "was" | "is") => {
        for (let at = from; at < to; at += 1)
          for (const [index, proxy] of all.entries())
            report(pool, proxy, changes[index]?.[of] ?? 0, at * PERIOD_MS);
      };
      run(0, 10, "was");
      run(10, 14, "is");
      const even = Math.floor(LIMIT / all.length);
      for (const [index, { held }] of all.entries()) {
        assert.ok(held >= Math.min(changes[index]?.is ?? 0, even) - 1, `${index}: ${held}`);
      }
      // The demand of before has halved away by then.
      run(14, 30, "is");
      const asked = changes.reduce((sum, { is }) => sum + is, 0);
      assert.ok(
        sumOf(all) >= Math.min(asked, (LIMIT * 31) / 32) - 2 * all.length,
        `${sumOf(all)} of ${asked}`,
      );
    }),
    { numRuns: 300 },
  );
});

test("a newcomer to a limit that is used up has its even part within two periods", () => {
  const pool = new QuotaPool(LIMIT);
  const all = proxies(4);
  const step = (some: readonly Proxy[], at: number) => {
    for (const proxy of some) report(pool, proxy, LIMIT, at * PERIOD_MS);
  };
  for (let at = 0; at < 5; at += 1) step(all.slice(0, 3), at);
  for (let at = 5; at < 8; at += 1) step([...all].toReversed(), at);
  assert.deepEqual(
    all.map(({ held }) => held),
    [25_000, 25_000, 25_000, 25_000],
  );
});

test("who does not report for the time of a lease is taken for gone", () => {
  const pool = new QuotaPool(LIMIT);
  const [one, other] = proxies(2);
  assert.ok(one !== undefined && other !== undefined);
  report(pool, one, LIMIT, 0);
  report(pool, other, LIMIT, LEASE_MS - 1);
  assert.equal(other.held, 0);
  report(pool, other, LIMIT, LEASE_MS);
  assert.equal(other.held, LIMIT);
  assert.equal(pool.size, 1);
});
