import assert from "node:assert/strict";
import test from "node:test";
import { ratio, shown } from "./comparison.ts";
import { render } from "./render.ts";
import { parseResults } from "./results.ts";
import type { Result, ScenarioName } from "./results.ts";

const SETTING = {
  date: "2026-11-21",
  command: "npm run bench",
  machine: "2 × a processor",
  kernel: "6.18",
  seed: 1,
  rounds: 2,
  seconds: 8,
  scheduling: "none",
  versions: { envoy: "1.40.0" },
};

function result(
  peer: string,
  round: number,
  figures: Record<string, number>,
  scenario: ScenarioName = "rate",
): Result {
  return { peer, scenario, round, load: 0, figures };
}

function idle(mebibytes: readonly number[]): string {
  const results = mebibytes.map((value, round) =>
    result("hauberk", round, { "RSS MiB outbound idle": value }, "idle"),
  );
  return render(SETTING, results);
}

function shownAlone(median: number): string {
  return shown({ median, low: median, high: median, count: 1 });
}

test("a ratio is taken within each round, and what is added is told apart from what was there", () => {
  const results = [
    result("direct", 0, { "p99 µs": 100 }),
    result("hauberk", 0, { "p99 µs": 200 }),
    result("envoy", 0, { "p99 µs": 300 }),
    result("direct", 1, { "p99 µs": 1000 }),
    result("hauberk", 1, { "p99 µs": 1100 }),
    result("envoy", 1, { "p99 µs": 1200 }),
    result("hauberk", 2, { "p99 µs": 9000 }),
  ];
  assert.equal(ratio(results, "hauberk", "envoy", "p99 µs", true)?.estimate.median, 0.5);
  assert.equal(ratio(results, "hauberk", "envoy", "p99 µs", true)?.of, 2);
  assert.equal(ratio(results, "hauberk", "haproxy", "p99 µs"), undefined);
});

test("a target that was not measured is not met", () => {
  const page = render(SETTING, [result("hauberk", 0, { "p99 µs": 200 })]);
  assert.match(page, /added p99 at 2000 requests\/s, against Envoy \| 0\.5 \| not measured/);
});

test("a target is met only when the whole interval is, over enough rounds", () => {
  assert.match(idle([4, 5, 6, 5, 5, 5]), /idle RSS outbound, MiB \| 8 \| [^|]+ \| met \|/);
  assert.match(idle([4, 5, 6]), /below, but 3 rounds decide nothing/);
  assert.match(idle([4, 5, 5, 16, 16, 16]), /missed|below by the median only/);
  assert.match(idle([14, 15, 16]), /\*\*missed\*\*/);
});

test("a round with nothing to divide by is left out in the open, and no target is met on the others", () => {
  const results = [0, 1, 2, 3, 4, 5, 6].flatMap((round) => [
    result("direct", round, { "p99 µs": round === 0 ? 1319 : 200 }),
    result("hauberk", round, { "p99 µs": 400 }),
    result("envoy", round, { "p99 µs": 900 }),
  ]);
  const page = render(SETTING, results);
  assert.match(
    page,
    /against Envoy \| 0\.5 \| 0\.29 \(0\.29–0\.29\) in 6 of 7 rounds \| below in the rounds that count: 6 of 7/,
  );
});

test("where a peer is better is told first, in the terms of the round", () => {
  const results = [0, 1].flatMap((round) => [
    result("hauberk", round, { "CPU µs/request": 22 }, "h1"),
    result("haproxy", round, { "CPU µs/request": 20 }, "h1"),
    result("envoy", round, { "CPU µs/request": 40 }, "h1"),
  ]);
  const page = render(SETTING, results);
  assert.match(page, /## Where we lose\n\n- h1, CPU µs\/request: × 1\.10[^\n]* of haproxy's\n\n/);
});

test("what failed is listed, and a machine that moved is named", () => {
  const results: Result[] = [
    result("direct", 0, { "p50 µs": 100 }),
    result("direct", 1, { "p50 µs": 140 }),
    { ...result("nginx", 0, {}), error: "it ended" },
  ];
  const page = render(SETTING, results);
  assert.match(page, /- nginx, rate, round 0: it ended/);
  assert.match(page, /moved by 40 %/);
});

test("results are read back as they were written, and nonsense is refused", () => {
  const line = result("envoy", 0, { "p50 µs": 1 });
  const text = `${JSON.stringify({ setting: SETTING })}\n${JSON.stringify(line)}\n`;
  assert.deepEqual(parseResults(text), { setting: SETTING, results: [line] });
  assert.throws(() =>
    parseResults(
      `${JSON.stringify({ setting: SETTING })}\n${JSON.stringify({ ...line, scenario: "fly" })}\n`,
    ),
  );
});

test("a number has the digits it deserves", () => {
  assert.deepEqual([0.123, 12.34, 123.4, 12345].map(shownAlone), ["0.12", "12.3", "123", "12 345"]);
});
