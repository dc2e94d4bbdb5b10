import { z } from "zod";

const Golden = {
  /** From 0 to 1; absent: there was no request. */
  successRate: z.number().optional(),
  requestsPerSecond: z.number(),
  p50Ms: z.number().optional(),
  p95Ms: z.number().optional(),
  p99Ms: z.number().optional(),
};

/** What a workload answered. */
export const WorkloadStat = z.object({
  namespace: z.string(),
  workload: z.string(),
  meshedPods: z.number().int(),
  ...Golden,
});
/** What was sent by one route of one service, by all clients together. */
export const RouteStat = z.object({
  /** `namespace/name` of the Service or EgressNetwork. */
  parent: z.string(),
  route: z.string(),
  ...Golden,
  /** Where the requests went; shares add up to 1. */
  backends: z.array(z.object({ backend: z.string(), share: z.number(), requests: z.number() })),
});
/** What one workload sent to another, and how the connections between them are protected. */
export const EdgeStat = z.object({
  source: z.object({ namespace: z.string(), workload: z.string() }),
  destination: z.object({ namespace: z.string(), workload: z.string() }),
  ...Golden,
  connectionsPerSecond: z.number(),
  clientId: z.string(),
  serverId: z.string(),
  tls: z.array(
    z.object({
      version: z.string(),
      cipher: z.string(),
      group: z.string(),
      total: z.number(),
      open: z.number(),
    }),
  ),
});
/** One proxy, as its last scrape shows it. */
export const ProxyStat = z.object({
  namespace: z.string(),
  pod: z.string(),
  workload: z.string(),
  reachable: z.boolean(),
  identity: z.string(),
  version: z.string(),
  certificateExpiresAt: z.string().optional(),
  certificateRefreshes: z.number(),
  connected: z.boolean().optional(),
  ejections: z.number(),
  residentBytes: z.number().optional(),
});

/** Everything that viz knows, over one window. */
export const Report = z.object({
  at: z.string(),
  windowMs: z.number(),
  workloads: z.array(WorkloadStat),
  routes: z.array(RouteStat),
  edges: z.array(EdgeStat),
  proxies: z.array(ProxyStat),
});

export type WorkloadStat = z.infer<typeof WorkloadStat>;
export type RouteStat = z.infer<typeof RouteStat>;
export type EdgeStat = z.infer<typeof EdgeStat>;
export type ProxyStat = z.infer<typeof ProxyStat>;
export type Report = z.infer<typeof Report>;
