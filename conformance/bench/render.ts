/** The results as a page of Markdown. Pure: the same results give the same page. */

import { SCENARIOS } from "./results.ts";
import type { Estimate } from "./statistics.ts";
import type { Result, ScenarioName, Setting } from "./results.ts";
import { TARGETS } from "./targets.ts";
import type { Target } from "./targets.ts";
import { DIRECT, of, ratio, rounds, shown, shownRatio } from "./comparison.ts";

/** The peer that is ours, and the one ratios are told against. */
const OURS = "hauberk";
const AGAINST = "envoy";
/** Beyond this movement of the direct connections' median, latencies of a run say little. */
const UNSTEADY = 0.15;
/** The least and greatest of fewer rounds hold the median less often than 95 times in 100 (1 - 2^(1-n)). */
const ROUNDS_ENOUGH = 6;

/** The page. */
export function render(setting: Setting, results: readonly Result[]): string {
  const scenarios = Object.keys(SCENARIOS).filter((name): name is ScenarioName =>
    results.some((one) => one.scenario === name),
  );
  return [
    head(setting),
    targets(results),
    losses(results),
    ...scenarios.map((scenario) =>
      section(
        scenario,
        results.filter((one) => one.scenario === scenario),
      ),
    ),
    failures(results),
    HOW,
  ]
    .filter((part) => part !== "")
    .join("\n");
}

function head(setting: Setting): string {
  const versions = Object.entries(setting.versions).map(([name, version]) => `${name} ${version}`);
  return `# Performance

Written by the benchmark itself; do not edit. To repeat it, as root:

    ${setting.command}

${setting.date}, ${setting.machine}, Linux ${setting.kernel}; ${versions.join(", ")}. ${setting.rounds} rounds of ${setting.seconds} s,
interleaved in random order (seed ${setting.seed}), scheduling ${setting.scheduling}. Figures are medians over the rounds; in brackets, the 95 %
confidence interval of the median (bootstrap)${setting.rounds < ROUNDS_ENOUGH ? `; with fewer than ${ROUNDS_ENOUGH} rounds that is only about their range` : ""}. Ratios are taken within each round.
`;
}

type Measured = { readonly text: string; readonly estimate: Estimate; readonly of: number };

function measured(
  { scenario, of: kind, figure, against = AGAINST }: Target,
  results: readonly Result[],
): Measured | undefined {
  const within = results.filter((one) => one.scenario === scenario);
  if (kind === "value") {
    const found = of(within, OURS, figure);
    return found === undefined ? undefined : { text: shown(found), estimate: found, of: found.count };
  }
  const found = ratio(within, OURS, against, figure, kind === "added ratio");
  return found === undefined ? undefined : { text: shownRatio(found), ...found };
}

/** Never "met" on fewer rounds than an interval needs, or where rounds had to be left out. */
function verdict({ estimate: found, of: all }: Measured, atMost: number): string {
  if (found.median > atMost) return "**missed**";
  if (found.count < all) return `below in the rounds that count: ${found.count} of ${all}`;
  if (found.count < ROUNDS_ENOUGH) return `below, but ${found.count} rounds decide nothing`;
  return found.high <= atMost ? "met" : "below by the median only";
}

function targets(results: readonly Result[]): string {
  if (!results.some((one) => one.peer === OURS)) return "";
  const rows = TARGETS.map((target) => {
    const found = measured(target, results);
    if (found === undefined) return `| ${target.text} | ${target.atMost} | not measured | |`;
    return `| ${target.text} | ${target.atMost} | ${found.text} | ${verdict(found, target.atMost)} |`;
  });
  return ["## Targets\n", "| what | at most | measured | |", "| --- | ---: | ---: | --- |", ...rows, ""].join(
    "\n",
  );
}

/** Figures of which less is better, and in which peers are told apart. */
const COSTS = [
  "CPU µs/request",
  "CPU s/GiB",
  "CPU µs/connection",
  "RSS MiB outbound idle",
  "KiB/HTTP/1 connection outbound",
  "KiB/opaque mTLS connection outbound",
  "first answer ms",
] as const;

/** Where a peer's median is better than ours, whether or not the interval says that it is no chance. */
function losses(results: readonly Result[]): string {
  const peers = [...new Set(results.map((one) => one.peer))].filter(
    (peer) => peer !== OURS && peer !== DIRECT,
  );
  if (peers.length === 0) return "";
  const lost = Object.keys(SCENARIOS).flatMap((scenario) => {
    const within = results.filter((one) => one.scenario === scenario);
    return COSTS.flatMap((figure) =>
      peers.flatMap((peer) => {
        const found = ratio(within, OURS, peer, figure);
        if (found === undefined || found.estimate.median <= 1) return [];
        return [`- ${scenario}, ${figure}: × ${shownRatio(found)} of ${peer}'s`];
      }),
    );
  });
  const told = lost.length === 0 ? ["Nowhere, by the medians of the costs that are compared."] : lost;
  return ["## Where we lose\n", ...told, ""].join("\n");
}

function section(scenario: ScenarioName, results: readonly Result[]): string {
  const peers = [...new Set(results.map((one) => one.peer))].toSorted((a, b) => rank(a) - rank(b));
  const names = [...new Set(results.flatMap((one) => Object.keys(one.figures)))].filter(
    (name) => name !== "errors" || results.some((one) => (one.figures["errors"] ?? 0) > 0),
  );
  const rows = names.map((name) => {
    const cells = peers.map((peer) => {
      const found = of(results, peer, name);
      return found === undefined ? "" : shown(found);
    });
    return `| ${name} | ${cells.join(" | ")} |`;
  });
  const lines = [
    `## ${SCENARIOS[scenario]}\n`,
    `| | ${peers.join(" | ")} |`,
    `| --- |${" ---: |".repeat(peers.length)}`,
    ...rows,
    "",
  ];
  const others = peers.filter((peer) => peer !== OURS && peer !== DIRECT);
  const ratios = peers.includes(OURS) ? others.flatMap((other) => compared(results, other, names)) : [];
  return [
    ...lines,
    ...(ratios.length === 0 ? [] : ["Ours in relation to others:", "", ...ratios, ""]),
    unsteady(results),
  ].join("\n");
}

function rank(peer: string): number {
  const order = [DIRECT, OURS, AGAINST].indexOf(peer);
  return order === -1 ? 3 : order;
}

function compared(results: readonly Result[], other: string, names: readonly string[]): readonly string[] {
  const cost = [
    "CPU µs/request",
    "CPU s/GiB",
    "CPU µs/connection",
    "instructions/request HTTP/1.1",
    "instructions/request gRPC",
    "first answer ms",
  ].filter((name) => names.includes(name));
  const plain = cost.map((name) => [name, ratio(results, OURS, other, name)] as const);
  const latency = ["p50 µs", "p99 µs"].filter((name) => names.includes(name));
  const added = latency.map(
    (name) => [`added ${name.replace(" µs", "")}`, ratio(results, OURS, other, name, true)] as const,
  );
  const parts = [...plain, ...added].flatMap(([name, found]) =>
    found === undefined ? [] : [`${name} × ${shownRatio(found)}`],
  );
  return parts.length === 0 ? [] : [`- ${other}: ${parts.join(", ")}`];
}

/** A warning when the direct connections themselves moved. */
function unsteady(results: readonly Result[]): string {
  const values = [...rounds(results, DIRECT).values()]
    .map((figures) => figures["p50 µs"])
    .filter((value) => value !== undefined);
  if (values.length < 2) return "";
  const moved = Math.max(...values) / Math.min(...values) - 1;
  if (moved <= UNSTEADY) return "";
  return `The machine was unsteady: the median of direct connections moved by ${Math.round(moved * 100)} % between rounds.\n`;
}

function failures(results: readonly Result[]): string {
  const failed = results.flatMap((one) =>
    one.error === undefined ? [] : [`- ${one.peer}, ${one.scenario}, round ${one.round}: ${one.error}`],
  );
  return failed.length === 0 ? "" : ["## Not measured\n", ...failed, ""].join("\n");
}

const HOW = `## What is known to be weak

- Memory of connections that have closed is given back but for about half a MiB: of each size of objects the allocator keeps a page
  (docs/decisions/0008-allocator.md).
- Functions that run lie together, and still 3 MiB of them and 1 MiB of libraries around are resident. On arm64 they are not ordered.
- HTTP/2 framing and header compression are a general library's: with TLS they are more than half of a request's instructions.
- A table of routes looks up whole hosts, whole paths and prefixes; regular expressions, and rules that differ by method, headers
  or query alone, are tried one by one among those of the same host and path.

## How it is measured

Two pods on one machine: the load generator and an outbound proxy in one, an inbound proxy and the backend in the other, mutual TLS 1.3 between
them, one worker thread each, no session resumption. Connections are redirected transparently (\`hauberk-proxy init\`) and without proxies go straight.
HAProxy, nginx and Envoy have static configuration and certificates; ours has its control plane, policy and metrics. HAProxy and
nginx use the OpenSSL of their packages, whose key exchange may lack ML-KEM; Envoy and ours use X25519MLKEM768.

- At a constant rate a request is due whether or not earlier ones were answered, and its latency counts from then.
- CPU is the processor time of both proxies over exactly the measured run, from \`/proc/PID/task/*/schedstat\`.
- Added latency is a peer's quantile minus that of direct connections in the same round; a round without any is left out, and said to be.
- RSS counts mapped program text; anonymous memory does not.
- Cold start counts from the \`execve\` of the outbound proxy; the median of three starts, while a client tries every 0.3 ms.
- Instructions are those of 2200 requests minus those of 200, one after the other on one connection, so that start-up cancels
  out. A proxy that has several requests at once spends fewer on each.
- Of policy evaluation, instructions are those of 3000 evaluations minus those of 1000, by \`hpolicy\`: a route found among so many
  (ten to a host), an endpoint chosen among so many and given back.
- Memory after closing is read 5 s and 30 s after 1000 connections have closed, less what the proxy had before them.
- Budgets of instructions and bytes are part of \`npm test\` (\`conformance/bench/budgets.test.ts\`); times are not.
- Compare peers of one page, never figures of two pages: a machine's neighbours change.
`;
