/** The answer to `Destination.Get`: the ready endpoints of a service's port. Pure. */
import type { WeightedAddr } from "../api/gen/destination_pb.ts";
import { parseIp } from "../model/address.ts";
import { keyOf, type NamespacedName } from "../model/meta.ts";
import type { Endpoint, EndpointSlice, Service } from "../model/service.ts";
import { slicesOf } from "../state/derive.ts";
import { Address } from "./address.ts";
import { surroundingsOf, type Context, type Occupant } from "./endpoint.ts";
import { zoneJudge } from "./zones.ts";

/** What is asked for. */
export interface Query {
  readonly service: NamespacedName;
  /** One pod of a headless service. */
  readonly hostname: string | undefined;
  readonly port: number;
  /** The client's node, for services that stay on it. */
  readonly nodeName: string | undefined;
}

/** What is so now. Addresses are keyed by `ip:port`. */
export type Resolution =
  | { readonly type: "absent" }
  | {
      readonly type: "present";
      readonly labels: Readonly<Record<string, string>>;
      readonly addrs: ReadonlyMap<string, Address>;
    };

/** The one absent answer, so that absence equals absence. */
const ABSENT: Resolution = { type: "absent" };

/** The endpoint port of a service's port in one slice; slices carry the name of the service's port. */
function endpointPort(service: Service, slice: EndpointSlice, port: number): number | undefined {
  const name = service.ports.find(
    (candidate) => candidate.port === port && candidate.protocol === "TCP",
  )?.name;
  if (name === undefined) return undefined;
  const named = slice.ports.find((candidate) => candidate.name === name);
  // A single unnamed port may be called anything in the slice, and the other way round.
  if (named === undefined && service.ports.length === 1 && slice.ports.length === 1)
    return slice.ports[0]?.port;
  return named?.port;
}

function occupantOf({ target }: Endpoint, { snapshot }: Context): Occupant {
  if (target === undefined) return { type: "unknown" };
  if (target.kind === "Pod") {
    const pod = snapshot.Pod.get(keyOf(target));
    return pod === undefined ? { type: "unknown" } : { type: "pod", pod };
  }
  const workload = snapshot.ExternalWorkload.get(keyOf(target));
  return workload === undefined ? { type: "unknown" } : { type: "workload", workload };
}

/**
 * Resolves a query.
 *
 * An endpoint that names a pod which is not known (yet) is left out: it would be dialled without TLS although the pod
 * may well be meshed.
 */
export function resolve(query: Query, context: Context): Resolution {
  const service = context.snapshot.Service.get(keyOf(query.service));
  if (service === undefined || service.externalName !== undefined) return ABSENT;
  const { namespace, name } = service.meta;
  const addrs = new Map<string, Address>();
  const surroundings = surroundingsOf(context);
  const slices = slicesOf(context.snapshot, query.service);
  const isOther = zoneJudge(service, slices, context);
  for (const slice of slices) {
    const port = endpointPort(service, slice, query.port);
    if (port === undefined) continue;
    for (const endpoint of slice.endpoints) {
      if (!endpoint.isReady) continue;
      if (query.hostname !== undefined && endpoint.hostname !== query.hostname) continue;
      if (service.isNodeLocal && query.nodeName !== undefined && endpoint.nodeName !== query.nodeName)
        continue;
      const occupant = occupantOf(endpoint, context);
      if (occupant.type === "unknown" && endpoint.target !== undefined) continue;
      const ip = parseIp(endpoint.ip);
      if (ip === undefined) continue;
      const address = new Address({ ip, port, occupant }, isOther(endpoint, occupant), surroundings);
      addrs.set(`${endpoint.ip}:${port}`, address);
    }
  }
  return { type: "present", labels: { namespace, service: name }, addrs };
}

/** What turns one resolution into another. */
export type Difference =
  | {
      readonly type: "add";
      readonly labels: Readonly<Record<string, string>>;
      readonly addrs: readonly WeightedAddr[];
      /** What was known of some of them before. */
      readonly replaced: readonly WeightedAddr[];
    }
  | { readonly type: "remove"; readonly addrs: readonly WeightedAddr[] }
  | { readonly type: "empty"; readonly exists: boolean };

/** The messages that take a client from `before` (`undefined`: it knows nothing) to `after`. */
export function diff(before: Resolution | undefined, after: Resolution): readonly Difference[] {
  if (after.type === "absent") return before?.type === "absent" ? [] : [{ type: "empty", exists: false }];
  const known = before?.type === "present" ? before.addrs : new Map<string, Address>();
  if (after.addrs.size === 0) {
    const isToldEmpty = before?.type === "present" && known.size === 0;
    return isToldEmpty ? [] : [{ type: "empty", exists: true }];
  }
  const added = [...after.addrs].filter(([key, addr]) => {
    const old = known.get(key);
    return old === undefined || !old.isSame(addr);
  });
  const removed = [...known].filter(([key]) => !after.addrs.has(key));
  const differences: Difference[] = [];
  // Additions first: a client is never left with fewer endpoints than both states have.
  if (added.length > 0)
    differences.push({
      type: "add",
      labels: after.labels,
      addrs: added.map(([, addr]) => addr.message()),
      replaced: added.flatMap(([key]) => known.get(key)?.message() ?? []),
    });
  if (removed.length > 0)
    differences.push({ type: "remove", addrs: removed.map(([, addr]) => addr.message()) });
  return differences;
}
