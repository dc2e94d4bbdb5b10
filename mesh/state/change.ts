/**
 * What a change of the world can touch, so that questions which it cannot touch need not be answered anew. Pure.
 *
 * Only what changes all the time is looked at closely: pods, external workloads and endpoint slices come and go with
 * every rollout. A change of any other kind counts as touching everything.
 */
import { keyOf, type NamespacedName } from "../model/meta.ts";
import type { EndpointSlice } from "../model/service.ts";
import { KINDS, type Kind } from "../model/objects.ts";
import { slicesWith } from "./derive.ts";
import { differences } from "./shards.ts";
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
      /** The keys of services of which an endpoint may be another: of the slices, and of those that name the workloads. */
      readonly services: ReadonlySet<string>;
    };

const LOOKED_AT: ReadonlySet<Kind> = new Set<Kind>(["Pod", "ExternalWorkload", "EndpointSlice"]);

/** The objects that differ, as they were and as they are. Objects that did not change keep their identity. */
function* differing<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): Generator<T, void> {
  if (before === after) return;
  for (const one of differences(before, after)) {
    if (one.before !== undefined) yield one.before;
    if (one.after !== undefined) yield one.after;
  }
}

function serviceOf({ meta, service }: EndpointSlice): string {
  return keyOf({ namespace: meta.namespace, name: service });
}

/** What changed from `before` to `after`. */
export function changeOf(before: Snapshot, after: Snapshot): Change {
  if (KINDS.some((kind) => !LOOKED_AT.has(kind) && before[kind] !== after[kind]))
    return { reach: "everything" };
  const namespaces = new Set<string>();
  const workloads = new Set<string>();
  const ips = new Set<string>();
  const services = new Set<string>();
  const lookAt = (
    kind: "Pod" | "ExternalWorkload",
    workload: { readonly meta: NamespacedName; readonly ips: readonly string[] },
  ) => {
    namespaces.add(workload.meta.namespace);
    workloads.add(keyOf(workload.meta));
    for (const ip of workload.ips) ips.add(ip);
    // A slice that names it no longer, or not yet, has changed itself.
    for (const slice of slicesWith(after, kind, workload.meta)) services.add(serviceOf(slice));
  };
  for (const slice of differing(before.EndpointSlice, after.EndpointSlice)) {
    namespaces.add(slice.meta.namespace);
    services.add(serviceOf(slice));
  }
  for (const pod of differing(before.Pod, after.Pod)) lookAt("Pod", pod);
  for (const workload of differing(before.ExternalWorkload, after.ExternalWorkload))
    lookAt("ExternalWorkload", workload);
  return { reach: "workloads", namespaces, workloads, ips, services };
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

/** Whether the endpoints of a service may have changed. */
export function touchesEndpoints(change: Change, service: NamespacedName): boolean {
  return change.reach === "everything" || change.services.has(keyOf(service));
}

/** What a question may depend on, among what changes all the time. */
export type Interest = `${"ip" | "namespace" | "service" | "workload"}:${string}`;

/** The endpoints of a service. */
export function interestInEndpoints(service: NamespacedName): Interest {
  return `service:${keyOf(service)}`;
}

/** A pod or workload. */
export function interestInWorkload(workload: NamespacedName): Interest {
  return `workload:${keyOf(workload)}`;
}

/** Who lies at an address. */
export function interestInIp(ip: string): Interest {
  return `ip:${ip}`;
}

/** The pods, workloads and slices of a namespace. */
export function interestInNamespace(namespace: string): Interest {
  return `namespace:${namespace}`;
}

/** The interests that a change is of; `undefined`: of all there may be. */
export function interestsOf(change: Change): readonly Interest[] | undefined {
  if (change.reach === "everything") return undefined;
  return [
    ...[...change.services].map((key): Interest => `service:${key}`),
    ...[...change.workloads].map((key): Interest => `workload:${key}`),
    ...[...change.ips].map(interestInIp),
    ...[...change.namespaces].map(interestInNamespace),
  ];
}
