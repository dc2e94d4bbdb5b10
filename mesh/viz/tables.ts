import type { EdgeStat, Report, RouteStat, WorkloadStat } from "./report.ts";
import { millis, perSecond, percent, renderTable } from "./table.ts";
import type { Column } from "./table.ts";

type Golden = Pick<WorkloadStat, "successRate" | "requestsPerSecond" | "p50Ms" | "p95Ms" | "p99Ms">;

function golden<Row extends Golden>(): readonly Column<Row>[] {
  return [
    { title: "SUCCESS", value: ({ successRate }) => percent(successRate), align: "right" },
    { title: "RPS", value: ({ requestsPerSecond }) => perSecond(requestsPerSecond), align: "right" },
    { title: "P50", value: ({ p50Ms }) => millis(p50Ms), align: "right" },
    { title: "P95", value: ({ p95Ms }) => millis(p95Ms), align: "right" },
    { title: "P99", value: ({ p99Ms }) => millis(p99Ms), align: "right" },
  ];
}

/** What workloads answered. */
export function workloadTable(workloads: readonly WorkloadStat[]): string {
  return renderTable<WorkloadStat>(
    [
      { title: "NAMESPACE", value: ({ namespace }) => namespace },
      { title: "WORKLOAD", value: ({ workload }) => workload },
      { title: "MESHED", value: ({ meshedPods }) => String(meshedPods), align: "right" },
      ...golden<WorkloadStat>(),
    ],
    workloads,
  );
}

/** What was sent by routes, and to which backends. */
export function routeTable(routes: readonly RouteStat[]): string {
  return renderTable<RouteStat>(
    [
      { title: "SERVICE", value: ({ parent }) => parent },
      { title: "ROUTE", value: ({ route }) => (route === "" ? "default" : route) },
      ...golden<RouteStat>(),
      {
        title: "BACKENDS",
        value: ({ backends }) =>
          backends
            .filter(({ requests }) => requests > 0)
            .map(
              ({ backend, share }) => `${backend.split("/").at(-1) ?? backend} ${Math.round(share * 100)}%`,
            )
            .join(", "),
      },
    ],
    routes,
  );
}

/** `TLSv1.3` and the like; empty where nothing was negotiated. */
function facts(edge: EdgeStat, fact: "version" | "cipher" | "group"): string {
  const values = new Set(edge.tls.map((one) => one[fact]));
  return values.size === 0 ? "-" : [...values].join(", ");
}

const NODES: readonly Column<EdgeStat>[] = [
  { title: "SOURCE", value: ({ source }) => `${source.namespace}/${source.workload}` },
  { title: "DESTINATION", value: ({ destination }) => `${destination.namespace}/${destination.workload}` },
];

/** What one workload sent to another. */
export function edgeStatTable(edges: readonly EdgeStat[]): string {
  return renderTable<EdgeStat>(
    [
      ...NODES,
      ...golden<EdgeStat>(),
      {
        title: "CONN/S",
        value: ({ connectionsPerSecond }) => perSecond(connectionsPerSecond),
        align: "right",
      },
    ],
    edges,
  );
}

/** Who is at both ends of each edge, and what protects it. */
export function edgeTable(edges: readonly EdgeStat[]): string {
  return renderTable<EdgeStat>(
    [
      ...NODES,
      { title: "CLIENT", value: ({ clientId }) => shortIdentity(clientId) },
      { title: "SERVER", value: ({ serverId }) => shortIdentity(serverId) },
      { title: "TLS", value: (edge) => facts(edge, "version") },
      { title: "CIPHER", value: (edge) => facts(edge, "cipher") },
      { title: "GROUP", value: (edge) => facts(edge, "group") },
    ],
    edges,
  );
}

/** `web.frontend` of `web.frontend.serviceaccount.identity.linkerd.cluster.local`, as Linkerd's `edges` writes it. */
export function shortIdentity(identity: string): string {
  return identity === "" ? "-" : (identity.split(".serviceaccount.identity.")[0] ?? identity);
}

/** Edges with traffic: the rest only says that somebody once asked. */
export function activeEdges({ edges }: Report): readonly EdgeStat[] {
  return edges.filter(
    (edge) =>
      edge.requestsPerSecond > 0 || edge.connectionsPerSecond > 0 || edge.tls.some(({ open }) => open > 0),
  );
}
