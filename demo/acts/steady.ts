import type { EdgeStat, Report } from "@hauberk/viz/report.ts";
import { activeEdges } from "@hauberk/viz/tables.ts";
import { success } from "../promise.ts";
import type { Stage } from "../stage.ts";
import { liveTable } from "../stage.ts";

/** The hybrid key exchange that every connection of the mesh should have. */
const GROUP = "X25519MLKEM768";
/** Edges that the application has; the table is whole when all are in it. */
const EDGES = [
  ["load/load", "frontend/web"],
  ["frontend/web", "prod/payments-stable"],
  ["frontend/web", "prod/quotes"],
  ["frontend/web", "prod/risk"],
  ["frontend/web", "prod/ledger"],
] as const;
const SETTLE_MS_MAX = 60_000;
const TABLE_MS_MAX = 60_000;

function nodes({ source, destination }: EdgeStat): readonly [string, string] {
  return [`${source.namespace}/${source.workload}`, `${destination.namespace}/${destination.workload}`];
}

function hasEdges(report: Report): boolean {
  const found = activeEdges(report).map(nodes);
  return EDGES.every(([from, to]) =>
    found.some(([source, destination]) => source === from && destination === to),
  );
}

/** Everything runs, everything is measured, everything is encrypted. */
export async function steady(stage: Stage, startedMs: number): Promise<void> {
  stage.screen.say("\nThe application runs; its proxies measure it.");
  const ready = await stage.until(async () => (await stage.client.status()).settled, SETTLE_MS_MAX);
  const { pods } = await stage.client.status();
  stage.promise("every pod is ready", ready, `${pods.filter((pod) => pod.ready).length} of ${pods.length}`);
  const whole = await stage.until(async () => hasEdges(await stage.report()), SETTLE_MS_MAX);
  const tableMs = Date.now() - startedMs;
  // Destinations that are asked once now, and again when nobody can be asked about them.
  const [web, intruder] = [await stage.pod("frontend", "web"), await stage.pod("frontend", "intruder")];
  const first = await stage.call(web, "http", "http://archive.prod.svc.cluster.local:8080/payments/p-1");
  const second = await stage.call(intruder, "http", "http://web.frontend.svc.cluster.local/risk?id=p-1");
  stage.promise(
    "destinations that will be idle answer",
    first.outcome === "200" && second.outcome === "200",
    `archive ${first.outcome}, web ${second.outcome}`,
  );
  const load = await stage.measure(7_000);
  const report = await stage.report();
  stage.screen.keep(`\n${liveTable(report)}\n`);
  stage.promise(
    "workloads, routes and edges are on the table within a minute",
    whole && tableMs < TABLE_MS_MAX && report.workloads.length > 0 && report.routes.length > 0,
    `after ${(tableMs / 1_000).toFixed(0)} s: ${report.workloads.length} workloads, ${report.routes.length} routes, ${report.edges.length} edges`,
  );
  stage.promise("nothing fails", load.failed === 0 && load.ok > 0, success(load));
  stage.promise(
    "a WebSocket carries a stream",
    load.priceMessages > 0 && load.priceDisconnects === 0,
    `${load.priceMessages} messages, ${load.priceDisconnects} disconnects`,
  );
  judgeEdges(stage, activeEdges(report));
}

function isProven({ clientId, serverId, tls }: EdgeStat): boolean {
  return (
    clientId !== "" && serverId !== "" && tls.length > 0 && tls.every(({ version }) => /1[._]3/.test(version))
  );
}

function isHybrid({ tls }: EdgeStat): boolean {
  return tls.length > 0 && tls.every(({ group }) => group === GROUP);
}

function judgeEdges(stage: Stage, edges: readonly EdgeStat[]): void {
  const proven = edges.filter(isProven).length;
  const hybrid = edges.filter(isHybrid).length;
  stage.promise(
    "both ends of every edge are proven, by TLS 1.3",
    edges.length > 0 && proven === edges.length,
    `${proven} of ${edges.length} edges`,
  );
  stage.promise(
    `every edge negotiated ${GROUP}`,
    edges.length > 0 && hybrid === edges.length,
    `${hybrid} of ${edges.length} edges`,
  );
}
