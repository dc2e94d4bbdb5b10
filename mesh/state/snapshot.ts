/**
 * The state of the world as a fold over events.
 *
 * Applying an event twice changes nothing more; events about different objects may come in any order; a relist heals
 * whatever was missed. An object that did not change keeps its identity, and so does a kind's map: what is computed
 * from them can be remembered by them.
 */
import { isDeepStrictEqual } from "node:util";
import { keyOfObject, KINDS, type Kind, type Objects, type TaggedOf, type Tagged } from "../model/objects.ts";
import { shared, withEntry, withoutEntry } from "./shards.ts";

/** All objects, by kind and then by `keyOfObject`. Immutable. */
export type Snapshot = { readonly [K in Kind]: ReadonlyMap<string, Objects[K]> };

/**
 * What may happen to the objects of kind `K`.
 */
export type EventOf<K extends Kind> = {
  [P in K]:
    | { readonly type: "relist"; readonly kind: P; readonly objects: readonly Objects[P][] }
    | { readonly type: "upsert"; readonly kind: P; readonly object: Objects[P] }
    | { readonly type: "remove"; readonly kind: P; readonly key: string };
}[K];

export type Event = EventOf<Kind>;

/** A world without objects. */
export function emptySnapshot(): Snapshot {
  return {
    AuthorizationPolicy: new Map(),
    EgressNetwork: new Map(),
    EndpointSlice: new Map(),
    ExternalAuthorization: new Map(),
    ExternalWorkload: new Map(),
    GRPCRoute: new Map(),
    HTTPFaultInjection: new Map(),
    HTTPLocalRateLimitPolicy: new Map(),
    HTTPRateLimitPolicy: new Map(),
    HTTPRoute: new Map(),
    HeaderAuthentication: new Map(),
    JWTAuthentication: new Map(),
    MeshTLSAuthentication: new Map(),
    Namespace: new Map(),
    NetworkAuthentication: new Map(),
    Node: new Map(),
    Pod: new Map(),
    Server: new Map(),
    ServerAuthorization: new Map(),
    Service: new Map(),
    ServiceAccount: new Map(),
    ServiceProfile: new Map(),
    TCPRoute: new Map(),
    TLSRoute: new Map(),
  };
}

/** `before` if every object in it is the same, else `after`. */
function sameOr<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  if (before.size !== after.size) return shared(after);
  for (const [key, object] of after) if (before.get(key) !== object) return shared(after);
  return before;
}

function change<K extends Kind>(
  before: ReadonlyMap<string, Objects[K]>,
  event: EventOf<K>,
): ReadonlyMap<string, Objects[K]> {
  const keep = (key: string, object: Objects[K]): Objects[K] => {
    const known = before.get(key);
    return known !== undefined && isDeepStrictEqual(known, object) ? known : object;
  };
  switch (event.type) {
    case "relist": {
      const after = new Map<string, Objects[K]>();
      for (const object of event.objects) {
        const key = keyOfObject(event.kind, object);
        after.set(key, keep(key, object));
      }
      return sameOr(before, after);
    }
    case "upsert": {
      const key = keyOfObject(event.kind, event.object);
      const object = keep(key, event.object);
      return before.get(key) === object ? before : withEntry(before, key, object);
    }
    case "remove":
      return withoutEntry(before, event.key);
  }
}

/**
 * The snapshot after `event`; the same one if nothing changed.
 *
 * @internal
 */
export function apply<K extends Kind>(snapshot: Snapshot, event: EventOf<K>): Snapshot {
  const before: ReadonlyMap<string, Objects[K]> = snapshot[event.kind];
  const after = change(before, event);
  return after === before ? snapshot : { ...snapshot, [event.kind]: after };
}

/** The snapshot after all of `events`. */
export function applyAll(snapshot: Snapshot, events: Iterable<Event>): Snapshot {
  let after = snapshot;
  for (const event of events) after = apply(after, event);
  return after;
}

/** A relist of every kind: what a source says when it has looked at everything. */
export function relistAll(objects: Iterable<Tagged>): readonly Event[] {
  const lists: Lists = {
    AuthorizationPolicy: [],
    EgressNetwork: [],
    EndpointSlice: [],
    ExternalAuthorization: [],
    ExternalWorkload: [],
    GRPCRoute: [],
    HTTPFaultInjection: [],
    HTTPLocalRateLimitPolicy: [],
    HTTPRateLimitPolicy: [],
    HTTPRoute: [],
    HeaderAuthentication: [],
    JWTAuthentication: [],
    MeshTLSAuthentication: [],
    Namespace: [],
    NetworkAuthentication: [],
    Node: [],
    Pod: [],
    Server: [],
    ServerAuthorization: [],
    Service: [],
    ServiceAccount: [],
    ServiceProfile: [],
    TCPRoute: [],
    TLSRoute: [],
  };
  for (const tagged of objects) push(lists, tagged);
  return KINDS.map((kind) => relist(kind, lists));
}

type Lists = { readonly [K in Kind]: Objects[K][] };

function push<K extends Kind>(lists: Lists, { kind, object }: TaggedOf<K>): void {
  const list: Objects[K][] = lists[kind];
  list.push(object);
}

function relist<K extends Kind>(kind: K, lists: Lists): EventOf<K> {
  return { type: "relist", kind, objects: lists[kind] };
}
