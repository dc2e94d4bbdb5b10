/** The page of results. Pure. */

/** What was measured with one number of services. */
export interface Row {
  readonly services: number;
  readonly endpoints: number;
  readonly streams: number;
  readonly readyMs: number;
  /** After the first lists, before any proxy. */
  readonly loadedMiB: number;
  /** While endpoints change. */
  readonly rssMiB: number;
  readonly peakMiB: number;
  /** Updates that reached streams. */
  readonly updates: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of one core. */
  readonly cpuShare: number;
  readonly microsPerUpdate: number;
  /** The same beside readers that read nothing. */
  readonly stalledP99Ms: number;
  readonly stalledRssMiB: number;
}

interface Conditions {
  readonly machine: string;
  readonly command: string;
  readonly connections: number;
  readonly streams: number;
  readonly rate: number;
  readonly seconds: number;
  readonly stalled: number;
}

const COLUMNS: readonly (readonly [string, (row: Row) => string])[] = [
  ["services", ({ services }) => String(services)],
  ["endpoints", ({ endpoints }) => String(endpoints)],
  ["ready after, s", ({ readyMs }) => (readyMs / 1_000).toFixed(1)],
  ["memory when ready, MiB", ({ loadedMiB }) => loadedMiB.toFixed(0)],
  ["with streams and changes, MiB", ({ rssMiB }) => rssMiB.toFixed(0)],
  ["peak, MiB", ({ peakMiB }) => peakMiB.toFixed(0)],
  ["p50, ms", ({ p50Ms }) => p50Ms.toFixed(1)],
  ["p99, ms", ({ p99Ms }) => p99Ms.toFixed(1)],
  ["slowest, ms", ({ maxMs }) => maxMs.toFixed(0)],
  ["CPU of one core", ({ cpuShare }) => `${(cpuShare * 100).toFixed(0)} %`],
  ["CPU µs per update × subscriber", ({ microsPerUpdate }) => microsPerUpdate.toFixed(0)],
  ["p99 beside stalled readers, ms", ({ stalledP99Ms }) => stalledP99Ms.toFixed(1)],
  ["memory beside them, MiB", ({ stalledRssMiB }) => stalledRssMiB.toFixed(0)],
];

function table(rows: readonly Row[]): string {
  return [
    `| ${COLUMNS.map(([title]) => title).join(" | ")} |`,
    `| ${COLUMNS.map(() => "---:").join(" | ")} |`,
    ...rows.map((row) => `| ${COLUMNS.map(([, cell]) => cell(row)).join(" | ")} |`),
  ].join("\n");
}

/** What was aimed at, with 10 000 services. */
const MEMORY_MIB_MAX = 250;
const P99_MS_MAX = 100;

function verdict(rows: readonly Row[]): string {
  const missed = [
    ["Memory", ({ peakMiB }: Row) => peakMiB > MEMORY_MIB_MAX],
    ["The p99", ({ p99Ms, stalledP99Ms }: Row) => Math.max(p99Ms, stalledP99Ms) > P99_MS_MAX],
  ] as const;
  return missed
    .map(([what, isMissed]) => {
      const where = rows.filter(isMissed).map(({ services }) => services);
      return where.length === 0
        ? `${what} is met.`
        : `${what} is **missed** at ${where.join(", ")} services.`;
    })
    .join(" ");
}

/** Markdown. */
export function render(rows: readonly Row[], conditions: Conditions): string {
  const { machine, command, connections, streams, rate, seconds, stalled } = conditions;
  return `# The control plane at scale

Written by the measurement itself; do not edit. To repeat it:

    node conformance/scale/main.ts ${command}

${machine}. The role \`destination\` in its own process against a store that serves lists and watches as an API server does: services
of ten endpoints, a meshed pod of about 4 KiB each. ${connections} connections with ${streams} streams of \`Destination.Get\` each, spread evenly
over the services. For ${seconds} s, ${rate} endpoints a second are replaced: a pod comes, a slice changes, a pod goes. Times are from the
store's write to the arrival in the client, for every stream that follows the service; CPU is all of the process's, lists and garbage
collection too. Stalled readers: ${stalled} more connections whose process is stopped.

${table(rows)}

Aims: at most ${MEMORY_MIB_MAX} MiB and a p99 of at most ${P99_MS_MAX} ms on one core. ${verdict(rows)}
`;
}
