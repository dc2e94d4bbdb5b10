/** Which cryptography is in use between whom, by what proxies counted. Pure. */
import { z } from "zod";

/** One sample of a proxy's metrics. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What one proxy said. */
export interface Scraped {
  readonly namespace: string;
  readonly pod: string;
  /** The name that its certificate has; absent where nobody knows it. */
  readonly identity: string | undefined;
  readonly series: readonly Series[];
  /** The certificate that it showed, where it was asked for it. */
  readonly leaf?: LeafFacts | undefined;
}

/** What is known of a proxy's certificate. */
export const LeafFacts = z.strictObject({
  keyType: z.string(),
  signatureAlgorithm: z.string(),
  notBefore: z.iso.datetime().optional(),
  notAfter: z.iso.datetime(),
  fingerprint: z.string(),
});
export type LeafFacts = z.infer<typeof LeafFacts>;

/** One proxy: the module that computes for it, what it offers, and its certificate. */
export const ProxyCrypto = z.strictObject({
  namespace: z.string(),
  pod: z.string(),
  identity: z.string(),
  version: z.string(),
  module: z.strictObject({
    name: z.string(),
    version: z.string(),
    mode: z.enum(["approved", "not-approved", "unknown"]),
  }),
  groups: z.array(z.string()),
  suites: z.array(z.string()),
  certificate: z.strictObject({
    notAfter: z.iso.datetime().optional(),
    keyType: z.string(),
    signatureAlgorithm: z.string(),
  }),
  /** Peers that were refused because there is no version, suite or group in common. */
  refusedIncompatible: z.number(),
  /** Digest of the trust anchors in force; absent where it does not say. */
  trustBundle: z.string().optional(),
  /** Whether it counts what it lets in and what it refuses. */
  countsDecisions: z.boolean(),
});
export type ProxyCrypto = z.infer<typeof ProxyCrypto>;

/** Connections between two identities with one set of negotiated facts, as either end counted them. */
export const CryptoEdge = z.strictObject({
  /** Empty: the client proved no identity. */
  client: z.string(),
  server: z.string(),
  version: z.string(),
  suite: z.string(),
  group: z.string(),
  connections: z.number(),
  open: z.number(),
});
export type CryptoEdge = z.infer<typeof CryptoEdge>;

/** Traffic without TLS of the mesh, as one proxy counted it. Probes of the node and the pod's own calls are left out. */
export const PlainEdge = z.strictObject({
  /** `namespace/pod` of the proxy that counted. */
  observer: z.string(),
  direction: z.enum(["inbound", "outbound"]),
  /** The port that was reached, or the workload or address that was called. */
  peer: z.string(),
  /**
   * `mesh`: a workload of the cluster; `outside`: an address that discovery does not know; `control-plane`: API servers at
   * webhooks, which have TLS of their own, and nodes that ask for health: neither can have an identity of the mesh.
   */
  scope: z.enum(["mesh", "outside", "control-plane"]),
  connections: z.number(),
});
export type PlainEdge = z.infer<typeof PlainEdge>;

/** Everything that is in use. */
export const CryptoInventory = z.strictObject({
  at: z.iso.datetime(),
  proxies: z.array(ProxyCrypto),
  edges: z.array(CryptoEdge),
  plain: z.array(PlainEdge),
  /** Proxies that did not answer, each with the reason. */
  silent: z.array(z.string()),
});
export type CryptoInventory = z.infer<typeof CryptoInventory>;

const FAMILIES: ReadonlySet<string> = new Set([
  "rustls_info",
  "proxy_build_info",
  "hauberk_crypto_module_info",
  "identity_cert_expiration_timestamp_seconds",
  "hauberk_trust_bundle",
  "hauberk_tls_connections_total",
  "hauberk_tls_open_connections",
  "inbound_tcp_errors_total",
  "outbound_tcp_errors_total",
  "inbound_http_authz_allow_total",
  "inbound_http_authz_deny_total",
  "inbound_tcp_authz_allow_total",
  "inbound_tcp_authz_deny_total",
  "tcp_open_total",
]);

/** Whether a family says something of cryptography. */
export function isWanted(family: string): boolean {
  return FAMILIES.has(family);
}

/** Groups whose secret a quantum computer does not reveal. */
const POST_QUANTUM_GROUPS: ReadonlySet<string> = new Set([
  "X25519MLKEM768",
  "SecP256r1MLKEM768",
  "SecP384r1MLKEM1024",
  "MLKEM768",
  "MLKEM1024",
]);

export function isPostQuantum(group: string): boolean {
  return POST_QUANTUM_GROUPS.has(group);
}

/** Defaults that every workload has; what they let in is no traffic of applications. */
const OWN_AUTHORIZATIONS: ReadonlySet<string> = new Set(["probe", "localhost"]);
const OWNERS = ["deployment", "statefulset", "daemonset", "k8s_job", "replicaset", "pod"] as const;

/** Ports of the control plane that API servers and nodes reach: webhooks, and admin servers with health and metrics. */
const UNMESHED_PORT = /^(?:8443|9443|99\d\d)$/;

type Labels = Series["labels"];

const list = (text: string | undefined): string[] => (text ?? "").split(",").filter((one) => one !== "");

/** What the proxy showed from inside decides; older ones say only whether their module is a FIPS one. */
function moduleOf(all: (name: string) => readonly Series[]): ProxyCrypto["module"] {
  const info = all("rustls_info")[0]?.labels;
  const module = all("hauberk_crypto_module_info")[0]?.labels;
  const approved = module?.["approved"] ?? info?.["tls_fips"];
  return {
    name: module?.["module"] ?? info?.["tls_key_provider"] ?? "unknown",
    version: module?.["version"] ?? "unknown",
    mode: approved === "true" ? "approved" : approved === "false" ? "not-approved" : "unknown",
  };
}

function proxyOf({ namespace, pod, identity, series, leaf }: Scraped): ProxyCrypto {
  const all = (name: string) => series.filter((one) => one.name === name);
  const info = all("rustls_info")[0]?.labels;
  const expires = all("identity_cert_expiration_timestamp_seconds")[0]?.value;
  const notAfter =
    leaf?.notAfter ?? (expires === undefined ? undefined : new Date(expires * 1_000).toISOString());
  const bundle = all("hauberk_trust_bundle").find(({ value }) => value === 1)?.labels["sha256"];
  const incompatible = [...all("inbound_tcp_errors_total"), ...all("outbound_tcp_errors_total")].filter(
    ({ labels }) => labels["error"] === "tls_incompatible",
  );
  return {
    namespace,
    pod,
    identity: identity ?? "",
    version: all("proxy_build_info")[0]?.labels["version"] ?? "",
    module: moduleOf(all),
    groups: list(info?.["tls_kx_groups"]),
    suites: list(info?.["tls_suites"]),
    certificate: {
      ...(notAfter === undefined ? {} : { notAfter }),
      keyType: leaf?.keyType ?? "unknown",
      signatureAlgorithm: leaf?.signatureAlgorithm ?? "unknown",
    },
    refusedIncompatible: incompatible.reduce((sum, { value }) => sum + value, 0),
    ...(bundle === undefined ? {} : { trustBundle: bundle }),
    countsDecisions: series.some(({ name }) => name.includes("_authz_")),
  };
}

type Direction = "inbound" | "outbound";

/** Both ends count a connection; the end that counted more is believed, since the other may have been replaced. */
function edgesOf(scraped: readonly Scraped[]): readonly CryptoEdge[] {
  const seen = new Map<string, { edge: CryptoEdge; readonly direction: Direction }>();
  for (const { name, labels, value } of scraped.flatMap(({ series }) => series)) {
    if (name !== "hauberk_tls_connections_total" && name !== "hauberk_tls_open_connections") continue;
    const direction: Direction = labels["direction"] === "inbound" ? "inbound" : "outbound";
    const of = (label: string) => labels[label] ?? "";
    const facts = [of("client_id"), of("server_id"), of("tls_version"), of("tls_cipher"), of("tls_group")];
    const key = JSON.stringify([direction, ...facts]);
    const [client = "", server = "", version = "", suite = "", group = ""] = facts;
    const before = seen.get(key)?.edge ?? { client, server, version, suite, group, connections: 0, open: 0 };
    const edge = name.endsWith("_total")
      ? { ...before, connections: before.connections + value }
      : { ...before, open: before.open + value };
    seen.set(key, { edge, direction });
  }
  const edges = new Map<string, CryptoEdge>();
  for (const { edge } of seen.values()) {
    const { client, server, version, suite, group } = edge;
    const key = JSON.stringify([client, server, version, suite, group]);
    const other = edges.get(key);
    edges.set(key, {
      ...edge,
      connections: Math.max(edge.connections, other?.connections ?? 0),
      open: Math.max(edge.open, other?.open ?? 0),
    });
  }
  return [...edges]
    .filter(([, { connections }]) => connections > 0)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, edge]) => edge);
}

function isOwn(labels: Labels): boolean {
  return labels["authz_kind"] === "default" && OWN_AUTHORIZATIONS.has(labels["authz_name"] ?? "");
}

function workloadIn(labels: Labels): string | undefined {
  const owner = OWNERS.find((kind) => (labels[`dst_${kind}`] ?? "") !== "");
  const namespace = labels["dst_namespace"] ?? "";
  return owner === undefined || namespace === "" ? undefined : `${namespace}/${labels[`dst_${owner}`] ?? ""}`;
}

/** Of one series: traffic without TLS, or nothing of the kind. */
function plainOf(
  { name, labels, value }: Series,
  { observer, isControlPlane }: { readonly observer: string; readonly isControlPlane: boolean },
): PlainEdge | undefined {
  if (value <= 0 || labels["tls"] === "true") return undefined;
  if (/^inbound_(?:http|tcp)_authz_allow_total$/.test(name)) {
    if (isOwn(labels)) return undefined;
    const port = labels["target_port"] ?? "?";
    const scope = isControlPlane && UNMESHED_PORT.test(port) ? "control-plane" : "mesh";
    return { observer, direction: "inbound", peer: `port ${port}`, scope, connections: value };
  }
  if (name !== "tcp_open_total" || labels["direction"] !== "outbound" || labels["peer"] !== "dst")
    return undefined;
  if (labels["no_tls_reason"] === "loopback") return undefined;
  const workload = workloadIn(labels);
  return {
    observer,
    direction: "outbound",
    peer: workload ?? labels["target_addr"] ?? "unknown",
    scope: workload === undefined ? "outside" : "mesh",
    connections: value,
  };
}

function plainEdges(scraped: readonly Scraped[], controlPlane: string): readonly PlainEdge[] {
  const edges = new Map<string, PlainEdge>();
  for (const { namespace, pod, series } of scraped) {
    for (const one of series) {
      const edge = plainOf(one, {
        observer: `${namespace}/${pod}`,
        isControlPlane: namespace === controlPlane,
      });
      if (edge === undefined) continue;
      const key = JSON.stringify([edge.observer, edge.direction, edge.peer, edge.scope]);
      edges.set(key, { ...edge, connections: edge.connections + (edges.get(key)?.connections ?? 0) });
    }
  }
  return [...edges].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, edge]) => edge);
}

/** What the proxies said, as an inventory. */
export function inventoryOf(
  scraped: readonly Scraped[],
  {
    at,
    silent,
    controlPlane,
  }: {
    readonly at: Date;
    readonly silent: readonly string[];
    /** Namespace of the control plane. */
    readonly controlPlane: string;
  },
): CryptoInventory {
  const proxies = scraped
    .map(proxyOf)
    .toSorted((a, b) => (`${a.namespace}/${a.pod}` < `${b.namespace}/${b.pod}` ? -1 : 1));
  return {
    at: at.toISOString(),
    proxies,
    edges: [...edgesOf(scraped)],
    plain: [...plainEdges(scraped, controlPlane)],
    silent: [...silent].toSorted(),
  };
}

/** Seconds until a proxy's certificate ends; negative where it has ended. */
export function secondsLeft({ certificate }: ProxyCrypto, at: string): number | undefined {
  if (certificate.notAfter === undefined) return undefined;
  return Math.round((Date.parse(certificate.notAfter) - Date.parse(at)) / 1_000);
}

/** The proxies that serve or call under an identity. */
export function proxiesAs(inventory: CryptoInventory, identity: string): readonly ProxyCrypto[] {
  return identity === "" ? [] : inventory.proxies.filter((proxy) => proxy.identity === identity);
}
