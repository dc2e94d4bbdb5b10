/**
 * What a change of the world can touch, so that questions which it cannot touch need not be answered anew. Pure.
 *
 * Only what changes all the time is looked at closely: pods, external workloads and endpoint slices come and go with
 * every rollout. A change of any other kind counts as touching everything.
 */
import { keyOf, type NamespacedName } from "../model/meta.ts";
import { KINDS, type Kind } from "../model/objects.ts";
import { foreignNamespacesOf, slicesOf } from "./derive.ts";
import type { Snapshot } from "./snapshot.ts";

/** The difference of two snapshots. */
export type Change =
  | { readonly reach: "everything" }
  | {
      readonly reach: "workloads";
      /** Of the pods, workloads and slices that changed. */
      readonly namespaces: ReadonlySet<string>;
      /** The keys of those pods and workloads. */
      readonly workloads: ReadonlySet<string>;
      /** Of those pods and workloads, before and after. */
      readonly ips: ReadonlySet<string>;
    };

const LOOKED_AT: ReadonlySet<Kind> = new Set<Kind>(["Pod", "ExternalWorkload", "EndpointSlice"]);

/** The objects that differ, as they were and as they are. Objects that did not change keep their identity. */
function* differing<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): Generator<T> {
  if (before === after) return;
  for (const [key, object] of after) {
    const known = before.get(key);
    if (known === object) continue;
    yield object;
    if (known !== undefined) yield known;
  }
  for (const [key, object] of before) if (!after.has(key)) yield object;
}

/** What changed from `before` to `after`. */
export function changeOf(before: Snapshot, after: Snapshot): Change {
  if (KINDS.some((kind) => !LOOKED_AT.has(kind) && before[kind] !== after[kind]))
    return { reach: "everything" };
  const namespaces = new Set<string>();
  const workloads = new Set<string>();
  const ips = new Set<string>();
  const lookAt = (workload: { readonly meta: NamespacedName; readonly ips: readonly string[] }) => {
    namespaces.add(workload.meta.namespace);
    workloads.add(keyOf(workload.meta));
    for (const ip of workload.ips) ips.add(ip);
  };
  for (const pod of differing(before.Pod, after.Pod)) lookAt(pod);
  for (const workload of differing(before.ExternalWorkload, after.ExternalWorkload)) lookAt(workload);
  for (const { meta } of differing(before.EndpointSlice, after.EndpointSlice)) namespaces.add(meta.namespace);
  return { reach: "workloads", namespaces, workloads, ips };
}

/** Whether what is in a namespace may have changed. */
export function touchesNamespace(change: Change, namespace: string): boolean {
  return change.reach === "everything" || change.namespaces.has(namespace);
}

/** Whether a pod or workload itself may have changed. */
export function touchesWorkload(change: Change, workload: NamespacedName): boolean {
  return change.reach === "everything" || change.workloads.has(keyOf(workload));
}

/** Whether who lies at an address may have changed. */
export function touchesIp(change: Change, ip: string): boolean {
  return change.reach === "everything" || change.ips.has(ip);
}

/** Whether the endpoints of a service may have changed: slices may point into other namespaces than their own. */
export function touchesEndpoints(change: Change, service: NamespacedName, after: Snapshot): boolean {
  if (touchesNamespace(change, service.namespace)) return true;
  return slicesOf(after, service).some((slice) =>
    [...foreignNamespacesOf(slice)].some((namespace) => touchesNamespace(change, namespace)),
  );
}
