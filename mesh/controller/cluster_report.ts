/** How the cluster is heard, as metrics. */
import type { KindReport } from "../source/kube/source.ts";
import type { ClusterWorld } from "./cluster_world.ts";
import type { Family } from "./metrics.ts";

function labelsOf({ kind, group }: KindReport): Readonly<Record<string, string>> {
  return { kind, group };
}

/** Families of everything that is followed. */
export function kindFamilies(cluster: ClusterWorld): readonly Family[] {
  const kinds = cluster.kinds().filter(({ type }) => type !== undefined);
  const now = Date.now();
  return [
    {
      name: "hauberk_kube_synced",
      type: "gauge",
      help: "Whether all objects of the kind were listed.",
      series: kinds.map((one) => ({ labels: labelsOf(one), value: one.progress.isSynced ? 1 : 0 })),
    },
    {
      name: "hauberk_kube_lists_total",
      type: "counter",
      help: "Lists of all objects of a kind.",
      series: kinds.map((one) => ({ labels: labelsOf(one), value: one.progress.lists })),
    },
    {
      name: "hauberk_kube_watches_total",
      type: "counter",
      help: "Watches begun.",
      series: kinds.map((one) => ({ labels: labelsOf(one), value: one.progress.watches })),
    },
    {
      name: "hauberk_kube_failures_total",
      type: "counter",
      help: "Lists and watches that failed.",
      series: kinds.map((one) => ({ labels: labelsOf(one), value: one.progress.failures })),
    },
    {
      name: "hauberk_kube_silence_seconds",
      type: "gauge",
      help: "Time since the API server last said anything of the kind.",
      series: kinds.flatMap((one) =>
        one.progress.heardMs === 0
          ? []
          : [{ labels: labelsOf(one), value: (now - one.progress.heardMs) / 1_000 }],
      ),
    },
    ...cluster.lags.families(),
  ];
}
