import type { Counts } from "./counts.ts";
import { NO_COUNTS, sum } from "./counts.ts";
import type { Series } from "./exposition.ts";

/** What one proxy said at one moment, arranged by what it is about. Values are totals since the proxy's start. */
export interface Sample {
  readonly atMs: number;
  readonly inbound: Counts;
  /** By {@link routeKey}. */
  readonly routes: ReadonlyMap<string, RouteSample>;
  /** By {@link edgeKey}. */
  readonly edges: ReadonlyMap<string, EdgeSample>;
  readonly tls: readonly TlsFact[];
  readonly proxy: ProxyFacts;
}

/** Requests that a proxy sent by one route. */
export interface RouteSample {
  readonly parent: string;
  readonly route: string;
  readonly counts: Counts;
  /** Requests by backend. */
  readonly backends: ReadonlyMap<string, number>;
}

/** What a proxy sent to one workload. */
export interface EdgeSample {
  readonly namespace: string;
  readonly workload: string;
  readonly serverId: string;
  readonly counts: Counts;
  /** Connections opened. */
  readonly connections: number;
}

/** Connections with one set of negotiated facts. */
export interface TlsFact {
  readonly direction: "inbound" | "outbound";
  readonly clientId: string;
  readonly serverId: string;
  readonly version: string;
  readonly cipher: string;
  readonly group: string;
  readonly total: number;
  readonly open: number;
}

/** What a proxy says of itself. */
export interface ProxyFacts {
  readonly version: string;
  readonly certificateExpiresS: number | undefined;
  readonly certificateRefreshes: number;
  /** Answers of the control plane that arrive; false: the last known ones are in use. */
  readonly connected: boolean | undefined;
  readonly ejections: number;
  readonly residentBytes: number | undefined;
}

const PREFIXES = [
  "response_",
  "tcp_open_total",
  "outbound_",
  "hauberk_",
  "identity_cert_",
  "proxy_build_info",
  "process_resident",
];

/** Whether a metric says something that is shown. */
export function isWanted(name: string): boolean {
  return PREFIXES.some((prefix) => name.startsWith(prefix)) && !name.endsWith("_sum");
}

const OWNERS = ["deployment", "statefulset", "daemonset", "k8s_job", "replicaset", "pod"] as const;

/** The workload that an outbound series' `dst_*` labels name; `undefined`: none of the mesh. */
function destination(
  labels: Readonly<Record<string, string>>,
): { namespace: string; workload: string } | undefined {
  const owner = OWNERS.find((kind) => (labels[`dst_${kind}`] ?? "") !== "");
  const namespace = labels["dst_namespace"] ?? "";
  if (owner === undefined || namespace === "") return undefined;
  return { namespace, workload: labels[`dst_${owner}`] ?? "" };
}

/** Arranges one scrape. */
export function sampleOf(series: readonly Series[], atMs: number): Sample {
  let inbound = NO_COUNTS;
  const routes = new Map<string, RouteSample>();
  const edges = new Map<string, EdgeSample>();
  for (const one of series) {
    if (isProbe(one.labels)) continue;
    if (one.labels["direction"] === "inbound" && one.name.startsWith("response_"))
      inbound = sum(inbound, legacyCounts(one));
    else if (one.name.startsWith("outbound_") && one.name.includes("_route_")) addRoute(routes, one);
    else if (one.labels["direction"] === "outbound") addEdge(edges, one);
  }
  return { atMs, inbound, routes, edges, tls: tlsFacts(series), proxy: proxyFacts(series) };
}

/** The kubelet's questions are no traffic of the application's: a container that is still starting fails them. */
function isProbe(labels: Readonly<Record<string, string>>): boolean {
  // A caller of the mesh that asks for the path of a probe is no kubelet.
  return labels["route_kind"] === "default" && labels["route_name"] === "probe" && labels["tls"] !== "true";
}

/** Counts in a series of the `response_*` families. */
function legacyCounts({ name, labels, value }: Series): Counts {
  if (name === "response_total") {
    const ok = labels["classification"] !== "failure";
    return { ...NO_COUNTS, ...(ok ? { success: value } : { failure: value }) };
  }
  if (name === "response_latency_ms_bucket")
    return { ...NO_COUNTS, buckets: new Map([[bound(labels, 1), value]]) };
  return NO_COUNTS;
}

function bound(labels: Readonly<Record<string, string>>, scale: number): number {
  const le = labels["le"] ?? "";
  return le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le) * scale;
}

function addEdge(edges: Map<string, EdgeSample>, one: Series): void {
  const to = destination(one.labels);
  if (to === undefined) return;
  const serverId = one.labels["server_id"] ?? "";
  const key = JSON.stringify([to.namespace, to.workload, serverId]);
  const before = edges.get(key) ?? { ...to, serverId, counts: NO_COUNTS, connections: 0 };
  const opened = one.name === "tcp_open_total" ? one.value : 0;
  edges.set(key, {
    ...before,
    counts: sum(before.counts, legacyCounts(one)),
    connections: before.connections + opened,
  });
}

function addRoute(routes: Map<string, RouteSample>, { name, labels, value }: Series): void {
  const object = (prefix: string): string =>
    `${labels[`${prefix}_namespace`] ?? ""}/${labels[`${prefix}_name`] ?? ""}`;
  const parent = object("parent");
  const route = labels["route_name"] ?? "";
  const key = JSON.stringify([parent, labels["route_namespace"] ?? "", route, labels["route_kind"] ?? ""]);
  const before = routes.get(key) ?? { parent, route, counts: NO_COUNTS, backends: new Map<string, number>() };
  if (name.endsWith("_route_backend_requests_total")) {
    const backend = object("backend");
    const backends = new Map(before.backends).set(backend, (before.backends.get(backend) ?? 0) + value);
    routes.set(key, { ...before, backends });
    return;
  }
  const counts = routeCounts(name, labels, value);
  if (counts !== undefined) routes.set(key, { ...before, counts: sum(before.counts, counts) });
}

function routeCounts(
  name: string,
  labels: Readonly<Record<string, string>>,
  value: number,
): Counts | undefined {
  if (name.endsWith("_route_request_duration_seconds_bucket"))
    return { ...NO_COUNTS, buckets: new Map([[bound(labels, 1_000), value]]) };
  if (!name.endsWith("_route_request_statuses_total")) return undefined;
  const grpc = labels["grpc_status"];
  const http = Number(labels["http_status"] ?? "200");
  const hasError = (labels["error"] ?? "") !== "";
  const failed = hasError || (grpc === undefined ? http >= 500 : !["", "0", "OK"].includes(grpc));
  return { ...NO_COUNTS, ...(failed ? { failure: value } : { success: value }) };
}

const LABELS_OF_TLS = ["direction", "client_id", "server_id", "tls_version", "tls_cipher", "tls_group"];

function tlsFacts(series: readonly Series[]): readonly TlsFact[] {
  const facts = new Map<string, TlsFact>();
  for (const { name, labels, value } of series) {
    if (name !== "hauberk_tls_connections_total" && name !== "hauberk_tls_open_connections") continue;
    const key = JSON.stringify(LABELS_OF_TLS.map((label) => labels[label] ?? ""));
    const before = facts.get(key) ?? {
      direction: labels["direction"] === "inbound" ? "inbound" : "outbound",
      clientId: labels["client_id"] ?? "",
      serverId: labels["server_id"] ?? "",
      version: labels["tls_version"] ?? "",
      cipher: labels["tls_cipher"] ?? "",
      group: labels["tls_group"] ?? "",
      total: 0,
      open: 0,
    };
    facts.set(key, { ...before, ...(name.endsWith("_total") ? { total: value } : { open: value }) });
  }
  return [...facts.values()];
}

function total(list: readonly Series[]): number {
  return list.reduce((sum, { value }) => sum + value, 0);
}

function proxyFacts(series: readonly Series[]): ProxyFacts {
  const all = (name: string): readonly Series[] => series.filter((one) => one.name === name);
  const connected = all("hauberk_discovery_connected");
  const refreshes = all("identity_cert_refreshes_total").filter(
    ({ labels }) => labels["result"] === "success",
  );
  return {
    version: all("proxy_build_info")[0]?.labels["version"] ?? "",
    certificateExpiresS: all("identity_cert_expiration_timestamp_seconds")[0]?.value,
    certificateRefreshes: refreshes.length > 0 ? total(refreshes) : total(all("identity_cert_refresh_count")),
    connected: connected.length === 0 ? undefined : connected.every(({ value }) => value === 1),
    ejections: total(all("hauberk_endpoint_ejections_total")),
    residentBytes: all("process_resident_memory_bytes")[0]?.value,
  };
}
