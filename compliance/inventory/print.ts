/** The cryptography in use as a table's rows, and as metrics. Pure. */
import {
  isPostQuantum,
  proxiesAs,
  secondsLeft,
  type CryptoEdge,
  type CryptoInventory,
  type ProxyCrypto,
} from "./inventory.ts";

/** An edge with what is known of both of its ends. */
export interface EdgeRow extends CryptoEdge {
  readonly postQuantum: boolean;
  readonly keyType: string;
  readonly signatureAlgorithm: string;
  readonly module: string;
  /** Seconds until the first certificate of either end ends. */
  readonly secondsLeft: number | undefined;
}

/** What all proxies agree on, or all that they say. */
function said(proxies: readonly ProxyCrypto[], what: (proxy: ProxyCrypto) => string): string {
  const words = [...new Set(proxies.map(what))].toSorted();
  return words.length === 0 ? "unknown" : words.join(", ");
}

export function describeModule({ module }: ProxyCrypto): string {
  const { name, version, mode } = module;
  const words = {
    approved: "approved mode",
    "not-approved": "not in approved mode",
    unknown: "mode unknown",
  };
  return [name, ...(version === "unknown" ? [] : [version]), `(${words[mode]})`].join(" ");
}

/** Each edge with the certificates and modules of its ends. */
export function edgeRows(inventory: CryptoInventory): readonly EdgeRow[] {
  return inventory.edges.map((edge) => {
    const ends = [...proxiesAs(inventory, edge.client), ...proxiesAs(inventory, edge.server)];
    const left = ends.flatMap((proxy) => secondsLeft(proxy, inventory.at) ?? []);
    return {
      ...edge,
      postQuantum: isPostQuantum(edge.group),
      keyType: said(ends, ({ certificate }) => certificate.keyType),
      signatureAlgorithm: said(ends, ({ certificate }) => certificate.signatureAlgorithm),
      module: said(ends, describeModule),
      secondsLeft: left.length === 0 ? undefined : Math.min(...left),
    };
  });
}

/** `23h 58m`, `6d 4h`, or `ended`. */
export function describeSeconds(seconds: number | undefined): string {
  if (seconds === undefined) return "unknown";
  if (seconds <= 0) return "ended";
  const minutes = Math.floor(seconds / 60);
  const [days, hours] = [Math.floor(minutes / 1_440), Math.floor(minutes / 60)];
  if (days > 0) return `${days}d ${hours % 24}h`;
  return hours > 0 ? `${hours}h ${minutes % 60}m` : `${minutes}m`;
}

const escaped = (value: string) =>
  value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

function sample(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}{${pairs.join(",")}} ${value}`;
}

const family = (name: string, help: string, samples: readonly string[]) =>
  samples.length === 0 ? [] : [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...samples];

const edgeLabels = ({ client, server, version, suite, group, postQuantum }: EdgeRow) => ({
  client_id: client,
  server_id: server,
  tls_version: version,
  tls_cipher: suite,
  tls_group: group,
  post_quantum: postQuantum ? "true" : "false",
});

/** As a Prometheus exposition, for a text-file collector or a gateway of pushed metrics. */
export function inventoryMetrics(inventory: CryptoInventory): string {
  const rows = edgeRows(inventory);
  const connections = "hauberk_crypto_edge_connections";
  const left = "hauberk_crypto_edge_certificate_seconds_left";
  const plain = "hauberk_crypto_plaintext_connections";
  const modes = "hauberk_crypto_proxies";
  const byModule = Map.groupBy(inventory.proxies, ({ module }) => JSON.stringify(module));
  return `${[
    ...family(
      connections,
      "Connections of an edge, with what was negotiated.",
      rows.map((row) => sample(connections, edgeLabels(row), row.connections)),
    ),
    ...family(
      left,
      "Time until the first certificate of an edge's ends ends.",
      rows.flatMap((row) =>
        row.secondsLeft === undefined
          ? []
          : [sample(left, { client_id: row.client, server_id: row.server }, row.secondsLeft)],
      ),
    ),
    ...family(
      plain,
      "Connections without TLS of the mesh.",
      inventory.plain.map(({ observer, direction, peer, scope, connections: value }) =>
        sample(plain, { observer, direction, peer, scope }, value),
      ),
    ),
    ...family(
      modes,
      "Proxies by cryptographic module and mode.",
      [...byModule.values()].flatMap((alike) => {
        const [one] = alike;
        if (one === undefined) return [];
        const { name, version, mode } = one.module;
        return [sample(modes, { module: name, module_version: version, mode }, alike.length)];
      }),
    ),
  ].join("\n")}\n`;
}
