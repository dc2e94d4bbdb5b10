/** What the controller says of itself: metrics, problems and statuses. */
import type { Methods } from "../api/methods.ts";
import type { IdentityCounts } from "../identity/grpc.ts";
import { KINDS } from "../model/objects.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { QuotaGauges } from "../policy/quota_grpc.ts";
import { statusesOf, warningsOf } from "../policy/status.ts";
import { json, type Page } from "./admin.ts";
import type { IssuerFiles } from "../identity/issuer-files.ts";
import type { KeyFollower } from "./key_sets.ts";
import { renderMetrics, type Family } from "./metrics.ts";
import { kindFamilies } from "./cluster_report.ts";
import type { ClusterWorld } from "./cluster_world.ts";
import { trustFamilies } from "./trust_families.ts";
import type { TrustRole } from "./trust.ts";
import type { World } from "./world.ts";

/** One role and what it serves. */
export interface Role {
  readonly name: "destination" | "policy" | "identity";
  readonly methods: Methods;
}

/** Numbers that roles keep beside their calls. */
export interface Gauges {
  readonly topics: () => Readonly<Record<string, number>>;
  readonly identity: IdentityCounts | undefined;
  readonly quotas: QuotaGauges["pools"];
  /** Families of parts that not every process has. */
  readonly more: () => readonly Family[];
  readonly trust: TrustRole | undefined;
  readonly issuer: IssuerFiles | undefined;
}

/** Calls of each role's services. */
export function grpcFamilies(roles: readonly Role[]): readonly Family[] {
  const calls = roles.flatMap(({ name, methods }) =>
    [...methods.allCounts()].map(([path, counts]) => {
      const [, service = "", method = ""] = path.split("/");
      return { labels: { component: name, grpc_service: service, grpc_method: method }, counts };
    }),
  );
  return [
    {
      name: "grpc_server_started_total",
      type: "counter",
      help: "Calls begun.",
      series: calls.map(({ labels, counts }) => ({ labels, value: counts.started })),
    },
    {
      name: "grpc_server_handled_total",
      type: "counter",
      help: "Calls over, by status.",
      series: calls.flatMap(({ labels, counts }) =>
        [...counts.handled].map(([code, value]) => ({
          labels: { ...labels, grpc_code: String(code) },
          value,
        })),
      ),
    },
    {
      name: "grpc_server_msg_sent_total",
      type: "counter",
      help: "Messages sent; several differences in one write count once.",
      series: calls.map(({ labels, counts }) => ({ labels, value: counts.messagesSent })),
    },
  ];
}

/** What became of certificate requests; without counts, the families alone. */
export function identityFamilies(identity: IdentityCounts | undefined): readonly Family[] {
  return [
    {
      name: "identity_cert_issued_total",
      type: "counter",
      help: "Certificates issued.",
      series: identity === undefined ? [] : [{ labels: {}, value: identity.issued }],
    },
    {
      name: "identity_cert_refused_total",
      type: "counter",
      help: "Certificate requests refused, by reason.",
      series: [...(identity?.refused ?? [])].map(([reason, value]) => ({ labels: { reason }, value })),
    },
  ];
}

function quotaFamilies(pools: ReturnType<Gauges["quotas"]>): readonly Family[] {
  return [
    {
      name: "hauberk_quota_holders",
      type: "gauge",
      help: "Proxies that have a share of a cluster-wide limit.",
      series: pools.map(({ key, holders }) => ({ labels: { limit: key }, value: holders })),
    },
    {
      name: "hauberk_quota_leased",
      type: "gauge",
      help: "Requests per second that are leased to proxies.",
      series: pools.map(({ key, granted }) => ({ labels: { limit: key }, value: granted })),
    },
  ];
}

function families(
  roles: readonly Role[],
  world: World,
  { topics, identity, quotas, trust, issuer }: Gauges,
): readonly Family[] {
  const snapshot = world.snapshots.value;
  const memory = process.memoryUsage();
  return [
    ...grpcFamilies(roles),
    ...quotaFamilies(quotas()),
    ...(trust === undefined
      ? []
      : trustFamilies({ inForce: trust.inForce.value, gauges: trust.gauges, issuer: issuer?.counts })),
    {
      name: "hauberk_objects",
      type: "gauge",
      help: "Objects in effect.",
      series: KINDS.map((kind) => ({ labels: { kind }, value: snapshot[kind].size })),
    },
    {
      name: "hauberk_topics",
      type: "gauge",
      help: "Distinct questions being followed by proxies.",
      series: Object.entries(topics()).map(([topic, value]) => ({ labels: { topic }, value })),
    },
    {
      name: "hauberk_manifest_problems",
      type: "gauge",
      help: "Problems of manifests, by severity.",
      series: (["error", "warning"] as const).map((severity) => ({
        labels: { severity },
        value: world.problems.value.filter((problem) => problem.severity === severity).length,
      })),
    },
    ...identityFamilies(identity),
    {
      name: "process_resident_memory_bytes",
      type: "gauge",
      help: "Resident memory.",
      series: [{ labels: {}, value: memory.rss }],
    },
    {
      name: "process_cpu_seconds_total",
      type: "counter",
      help: "User and system time.",
      series: [{ labels: {}, value: (process.cpuUsage().user + process.cpuUsage().system) / 1e6 }],
    },
  ];
}

function keyFamilies({ reports }: KeyFollower): readonly Family[] {
  const all = reports();
  const now = Date.now();
  return [
    {
      name: "hauberk_key_set_keys",
      type: "gauge",
      help: "Keys in force of each issuer that is followed.",
      series: all.map(({ uri, keys }) => ({ labels: { uri }, value: keys })),
    },
    {
      name: "hauberk_key_set_age_seconds",
      type: "gauge",
      help: "Time since the keys in force were fetched.",
      series: all.flatMap(({ uri, fetchedMs }) =>
        fetchedMs === undefined ? [] : [{ labels: { uri }, value: (now - fetchedMs) / 1000 }],
      ),
    },
    {
      name: "hauberk_key_set_failures_total",
      type: "counter",
      help: "Fetches of keys that failed.",
      series: all.map(({ uri, failures }) => ({ labels: { uri }, value: failures })),
    },
  ];
}

/** The pages that answer from the start. `lacking` says what readiness waits for. */
export function healthPages(lacking: () => readonly string[]): ReadonlyMap<string, Page> {
  const ready = (): { readonly status: number; readonly body: string } => {
    const missing = lacking();
    return missing.length === 0
      ? { status: 200, body: "ready\n" }
      : { status: 503, body: `waiting for ${missing.join(", ")}\n` };
  };
  return new Map<string, Page>([
    ["/live", { contentType: "text/plain", render: () => ({ status: 200, body: "live\n" }) }],
    ["/ready", { contentType: "text/plain", render: ready }],
  ]);
}

/** Every page of the admin endpoint that needs the roles. */
export function adminPages({
  world,
  keys,
  roles,
  gauges,
  settings,
  cluster,
}: {
  readonly world: World;
  /** The same world, if it is a cluster. */
  readonly cluster: ClusterWorld | undefined;
  readonly keys: KeyFollower;
  readonly roles: readonly Role[];
  readonly gauges: Gauges;
  readonly settings: MeshSettings;
}): ReadonlyMap<string, Page> {
  return new Map<string, Page>([
    [
      "/metrics",
      {
        contentType: "text/plain; version=0.0.4",
        render: () => ({
          status: 200,
          body: renderMetrics([
            ...families(roles, world, gauges),
            ...keyFamilies(keys),
            ...(cluster === undefined ? [] : kindFamilies(cluster)),
            ...gauges.more(),
          ]),
        }),
      },
    ],
    ["/problems", json(() => ({ problems: world.problems.value }))],
    [
      "/status",
      json(() => ({
        statuses: statusesOf(world.snapshots.value, settings, keys.sets.value),
        warnings: warningsOf(world.snapshots.value),
        keySets: keys.reports(),
      })),
    ],
  ]);
}
