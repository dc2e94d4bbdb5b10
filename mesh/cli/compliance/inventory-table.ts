/** The cryptography in use as people read it. Pure. */
import type { CryptoInventory } from "@hauberk/compliance/inventory/inventory.ts";
import { describeModule, describeSeconds, edgeRows } from "@hauberk/compliance/inventory/print.ts";
import { renderTable } from "@hauberk/viz/table.ts";

/** `web.shop`: the account and namespace of an identity; the whole identity where it is another's. */
function shortened(identity: string): string {
  if (identity === "") return "(no identity)";
  const at = identity.indexOf(".serviceaccount.identity.");
  return at < 0 ? identity : identity.slice(0, at);
}

const share = (part: number, whole: number) =>
  whole === 0 ? "none" : `${part} of ${whole} (${Math.floor((100 * part) / whole)}%)`;

/** Edges, traffic without TLS, and a line of totals. */
export function inventoryTable(inventory: CryptoInventory): string {
  const rows = edgeRows(inventory);
  const edges = renderTable(
    [
      { title: "CLIENT", value: ({ client }) => shortened(client) },
      { title: "SERVER", value: ({ server }) => shortened(server) },
      { title: "TLS", value: ({ version }) => version.replace("TLSv", "") },
      { title: "GROUP", value: ({ group, postQuantum }) => `${group}${postQuantum ? "" : " (classical)"}` },
      { title: "SUITE", value: ({ suite }) => suite },
      { title: "KEY", value: ({ keyType }) => keyType },
      { title: "SIGNED WITH", value: ({ signatureAlgorithm }) => signatureAlgorithm },
      { title: "CERT LEFT", value: ({ secondsLeft }) => describeSeconds(secondsLeft), align: "right" },
      { title: "MODULE", value: ({ module }) => module },
      { title: "CONNS", value: ({ connections }) => String(connections), align: "right" },
    ],
    rows,
  );
  const plain = renderTable(
    [
      { title: "WITHOUT TLS", value: ({ observer }) => observer },
      { title: "DIRECTION", value: ({ direction }) => direction },
      { title: "PEER", value: ({ peer }) => peer },
      { title: "WHERE", value: ({ scope }) => scope },
      { title: "COUNT", value: ({ connections }) => String(connections), align: "right" },
    ],
    inventory.plain,
  );
  const all = rows.reduce((sum, { connections }) => sum + connections, 0);
  const hybrid = rows.reduce((sum, row) => sum + (row.postQuantum ? row.connections : 0), 0);
  const modules = [...new Set(inventory.proxies.map(describeModule))];
  return [
    edges,
    ...(inventory.plain.length === 0 ? [] : ["", plain]),
    "",
    `connections with a post-quantum group: ${share(hybrid, all)}`,
    `proxies: ${inventory.proxies.length}; module: ${modules.length === 0 ? "unknown" : modules.join(", ")}`,
    ...(inventory.silent.length === 0 ? [] : [`proxies that did not answer: ${inventory.silent.length}`]),
  ].join("\n");
}
