import type { Counts } from "./counts.ts";
import { NO_COUNTS, quantileMs, since, sum } from "./counts.ts";
import type { EdgeStat, ProxyStat, Report, RouteStat, WorkloadStat } from "./report.ts";
import type { Sample, TlsFact } from "./sample.ts";

/** Samples older than this are forgotten: the longest window that can be asked for. */
export const HISTORY_MS = 60_000;

/** A pod whose proxy is scraped. */
export interface ScrapedPod {
  readonly namespace: string;
  readonly pod: string;
  readonly workload: string;
  readonly identity: string;
}

/** What is remembered of one proxy, oldest first. */
export interface ProxyHistory {
  readonly pod: ScrapedPod;
  readonly samples: readonly Sample[];
  /** The last attempt's outcome. */
  readonly reachable: boolean;
}

/** By `namespace/pod`. */
export type History = ReadonlyMap<string, ProxyHistory>;

/** What one round of scrapes brought; `undefined`: that proxy did not answer. */
export interface Round {
  readonly atMs: number;
  readonly scrapes: readonly { readonly pod: ScrapedPod; readonly sample: Sample | undefined }[];
}

/** Takes one round in. Pods that were not in it are remembered while their samples are young. */
export function apply(before: History, { atMs, scrapes }: Round): History {
  const young = (samples: readonly Sample[]): readonly Sample[] =>
    samples.filter((sample) => atMs - sample.atMs <= HISTORY_MS);
  const after = new Map<string, ProxyHistory>();
  for (const [key, { pod, samples }] of before) {
    const kept = young(samples);
    if (kept.length > 0) after.set(key, { pod, samples: kept, reachable: false });
  }
  for (const { pod, sample } of scrapes) {
    const key = `${pod.namespace}/${pod.pod}`;
    const samples = after.get(key)?.samples ?? [];
    after.set(key, {
      pod,
      samples: sample === undefined ? samples : [...samples, sample],
      reachable: sample !== undefined,
    });
  }
  return after;
}

/** What happened in the last `windowMs` before `atMs`. */
export function report(
  history: History,
  { atMs, windowMs }: { readonly atMs: number; readonly windowMs: number },
): Report {
  const spans = [...history.values()].flatMap((proxy) => {
    const span = spanOf(proxy, atMs - windowMs);
    return span === undefined ? [] : [span];
  });
  return {
    at: new Date(atMs).toISOString(),
    windowMs,
    workloads: workloads(spans),
    routes: routes(spans),
    edges: edges(spans),
    proxies: [...history.values()]
      .map(proxyStat)
      .toSorted(byKey(({ namespace, pod }) => `${namespace}/${pod}`)),
  };
}

/** Two looks at one proxy, and the time between them. */
interface Span {
  readonly pod: ScrapedPod;
  readonly reachable: boolean;
  readonly first: Sample | undefined;
  readonly last: Sample;
  readonly seconds: number;
}

/** From the last sample before the window, so that the whole window is covered. */
function spanOf({ pod, samples, reachable }: ProxyHistory, fromMs: number): Span | undefined {
  const last = samples.at(-1);
  if (last === undefined || last.atMs < fromMs) return undefined;
  const first = samples.findLast(({ atMs }) => atMs <= fromMs) ?? samples[0];
  const seconds = first === undefined ? 0 : (last.atMs - first.atMs) / 1_000;
  return { pod, reachable, first, last, seconds };
}

/** A group's counts, and what they come to per second. */
interface Tally {
  readonly counts: Counts;
  readonly perSecond: number;
}

function tally(before: Tally | undefined, counts: Counts, seconds: number): Tally {
  const added = seconds > 0 ? (counts.success + counts.failure) / seconds : 0;
  return { counts: sum(before?.counts ?? NO_COUNTS, counts), perSecond: (before?.perSecond ?? 0) + added };
}

type Golden = Pick<WorkloadStat, "successRate" | "requestsPerSecond" | "p50Ms" | "p95Ms" | "p99Ms">;

function golden({ counts, perSecond }: Tally): Golden {
  const all = counts.success + counts.failure;
  const [p50Ms, p95Ms, p99Ms] = [0.5, 0.95, 0.99].map((q) => quantileMs(counts, q));
  return {
    requestsPerSecond: perSecond,
    ...(all === 0 ? {} : { successRate: counts.success / all }),
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p95Ms === undefined ? {} : { p95Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
  };
}

function workloads(spans: readonly Span[]): WorkloadStat[] {
  const groups = new Map<
    string,
    { readonly pod: ScrapedPod; readonly pods: number; readonly tally: Tally }
  >();
  for (const { pod, reachable, first, last, seconds } of spans) {
    const key = `${pod.namespace}/${pod.workload}`;
    const before = groups.get(key);
    const counts = since(last.inbound, first?.inbound ?? NO_COUNTS);
    groups.set(key, {
      pod,
      pods: (before?.pods ?? 0) + (reachable ? 1 : 0),
      tally: tally(before?.tally, counts, seconds),
    });
  }
  return sorted(groups).map(({ pod: { namespace, workload }, pods, tally }) => ({
    namespace,
    workload,
    meshedPods: pods,
    ...golden(tally),
  }));
}

function routes(spans: readonly Span[]): RouteStat[] {
  interface Group {
    readonly parent: string;
    readonly route: string;
    readonly tally: Tally;
    readonly backends: ReadonlyMap<string, number>;
  }
  const groups = new Map<string, Group>();
  for (const { first, last, seconds } of spans) {
    for (const [key, { parent, route, counts, backends }] of last.routes) {
      const earlier = first?.routes.get(key);
      const before = groups.get(key);
      const merged = new Map(before?.backends);
      for (const [backend, total] of backends) {
        const grown = total - (earlier?.backends.get(backend) ?? 0);
        merged.set(backend, (merged.get(backend) ?? 0) + (grown < 0 ? total : grown));
      }
      groups.set(key, {
        parent,
        route,
        tally: tally(before?.tally, since(counts, earlier?.counts ?? NO_COUNTS), seconds),
        backends: merged,
      });
    }
  }
  return sorted(groups).map(({ parent, route, tally, backends }) => {
    const all = [...backends.values()].reduce((total, requests) => total + requests, 0);
    return {
      parent,
      route,
      ...golden(tally),
      backends: [...backends]
        .map(([backend, requests]) => ({ backend, requests, share: all === 0 ? 0 : requests / all }))
        .toSorted(byKey(({ backend }) => backend)),
    };
  });
}

function edges(spans: readonly Span[]): EdgeStat[] {
  interface Group {
    readonly stat: Pick<EdgeStat, "source" | "destination" | "clientId" | "serverId">;
    readonly tally: Tally;
    readonly connections: number;
    readonly tls: ReadonlyMap<string, EdgeStat["tls"][number]>;
  }
  const groups = new Map<string, Group>();
  for (const { pod, first, last, seconds } of spans) {
    for (const [key, edge] of last.edges) {
      const groupKey = JSON.stringify([pod.namespace, pod.workload, key]);
      const before = groups.get(groupKey);
      const earlier = first?.edges.get(key);
      const opened = Math.max(0, edge.connections - (earlier?.connections ?? 0));
      groups.set(groupKey, {
        stat: {
          source: { namespace: pod.namespace, workload: pod.workload },
          destination: { namespace: edge.namespace, workload: edge.workload },
          clientId: pod.identity,
          serverId: edge.serverId,
        },
        tally: tally(before?.tally, since(edge.counts, earlier?.counts ?? NO_COUNTS), seconds),
        connections: (before?.connections ?? 0) + (seconds > 0 ? opened / seconds : 0),
        tls: withFacts(before?.tls, last.tls, edge.serverId),
      });
    }
  }
  return sorted(groups).map(({ stat, tally, connections, tls }) => ({
    ...stat,
    ...golden(tally),
    connectionsPerSecond: connections,
    tls: [...tls.values()],
  }));
}

/** What was negotiated with one server. */
function withFacts(
  before: ReadonlyMap<string, EdgeStat["tls"][number]> | undefined,
  facts: readonly TlsFact[],
  serverId: string,
): ReadonlyMap<string, EdgeStat["tls"][number]> {
  const tls = new Map(before);
  for (const { direction, serverId: server, version, cipher, group, total, open } of facts) {
    if (direction !== "outbound" || server !== serverId || serverId === "") continue;
    const key = JSON.stringify([version, cipher, group]);
    const known = tls.get(key);
    tls.set(key, {
      version,
      cipher,
      group,
      total: (known?.total ?? 0) + total,
      open: (known?.open ?? 0) + open,
    });
  }
  return tls;
}

function proxyStat({ pod, samples, reachable }: ProxyHistory): ProxyStat {
  const proxy = samples.at(-1)?.proxy;
  const expires = proxy?.certificateExpiresS;
  return {
    ...pod,
    reachable,
    version: proxy?.version ?? "",
    certificateRefreshes: proxy?.certificateRefreshes ?? 0,
    ejections: proxy?.ejections ?? 0,
    ...(expires === undefined ? {} : { certificateExpiresAt: new Date(expires * 1_000).toISOString() }),
    ...(proxy?.connected === undefined ? {} : { connected: proxy.connected }),
    ...(proxy?.residentBytes === undefined ? {} : { residentBytes: proxy.residentBytes }),
  };
}

function sorted<T>(groups: ReadonlyMap<string, T>): readonly T[] {
  return [...groups].toSorted(byKey(([key]) => key)).map(([, group]) => group);
}

function byKey<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}
