/** What the destination role writes into a cluster, each part by one replica at a time. */
import type { KeySets } from "../model/jwks.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { KubeClient } from "../source/kube/client.ts";
import { lead } from "../source/kube/lease.ts";
import type { Latest } from "../state/subscribe.ts";
import { LEASES } from "./access.ts";
import type { ClusterWorld } from "./cluster_world.ts";
import type { Log } from "./log.ts";
import type { Family } from "./metrics.ts";
import { writeSlices } from "./slice_writer.ts";
import { writeStatuses } from "./status_writer.ts";

/** Writers that run or wait for their turn. */
export interface Writers {
  readonly families: () => readonly Family[];
  /** Ends them and gives the leases back. */
  readonly stop: () => Promise<void>;
}

export interface WritersOptions {
  readonly client: KubeClient;
  readonly world: ClusterWorld;
  readonly settings: MeshSettings;
  readonly keySets: Latest<KeySets>;
  readonly holder: string;
  readonly log: Log;
}

/** Competes for the leases, and writes while it has them. */
export function startWriters({ client, world, settings, keySets, holder, log }: WritersOptions): Writers {
  const stop = new AbortController();
  const counts = { written: 0, failed: 0 };
  const leading = new Set<string>();
  const { snapshots } = world;
  const typeOf = (group: string, kind: string) =>
    world.kinds().find((one) => one.group === group && one.kind === kind)?.type;
  const work: Readonly<Record<keyof typeof LEASES, (signal: AbortSignal) => Promise<void>>> = {
    status: (signal) => writeStatuses({ client, snapshots, settings, keySets, typeOf, log, counts }, signal),
    slices: (signal) => writeSlices({ client, snapshots, log }, signal),
  };
  const run = (part: keyof typeof LEASES): Promise<void> => {
    const name = LEASES[part];
    return lead({
      client,
      namespace: settings.controlPlaneNamespace,
      name,
      holder,
      signal: stop.signal,
      whileLeading: work[part],
      onChange: (isLeading) => {
        if (isLeading) leading.add(name);
        else leading.delete(name);
        log("info", isLeading ? "leading" : "no longer leading", { lease: name });
      },
      onFailure: (error) =>
        log("warn", "lease", { lease: name, reason: error instanceof Error ? error.message : String(error) }),
    });
  };
  const done = Promise.all([run("status"), run("slices")]);
  return {
    families: () => [
      {
        name: "hauberk_leading",
        type: "gauge",
        help: "Whether this replica holds the lease.",
        series: Object.values(LEASES).map((lease) => ({
          labels: { lease },
          value: leading.has(lease) ? 1 : 0,
        })),
      },
      {
        name: "hauberk_statuses_total",
        type: "counter",
        help: "Writes of statuses, by result.",
        series: [
          { labels: { result: "written" }, value: counts.written },
          { labels: { result: "failed" }, value: counts.failed },
        ],
      },
    ],
    stop: async () => {
      stop.abort();
      await done;
    },
  };
}
