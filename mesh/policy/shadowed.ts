/** Routes for TLS and bytes that others of the same port leave without effect. Pure. */
import { byAge, keyOf, type Meta } from "../model/meta.ts";
import type { ParentRef } from "../model/route.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Warning } from "./condition.ts";

interface Attached {
  readonly kind: "GRPCRoute" | "TLSRoute" | "TCPRoute";
  readonly meta: Meta;
  readonly parent: ParentRef;
}

function attachments(
  kind: Attached["kind"],
  routes: Iterable<{ readonly meta: Meta; readonly parents: readonly ParentRef[] }>,
): readonly Attached[] {
  return [...routes]
    .toSorted(byAge)
    .flatMap(({ meta, parents }) => parents.map((parent) => ({ kind, meta, parent })));
}

/** Whether both hold for the same clients at the same port. */
function meet(one: Attached, other: Attached): boolean {
  const [a, b] = [one.parent, other.parent];
  return (
    one.meta.namespace === other.meta.namespace &&
    a.group === b.group &&
    a.kind === b.kind &&
    keyOf(a) === keyOf(b) &&
    (a.port === undefined || b.port === undefined || a.port === b.port)
  );
}

function warn(route: Attached, over: Attached | undefined): Warning[] {
  if (over === undefined) return [];
  const { namespace, name } = route.meta;
  const message = `has no effect on ${route.parent.kind} ${route.parent.name} where ${over.kind} ${over.meta.name} holds its port`;
  return [{ kind: route.kind, namespace, name, message }];
}

/**
 * A port is carried as gRPC if a GRPCRoute holds there; else TLS by its TLSRoutes; and bytes by one TCPRoute, the eldest,
 * where there is no TLSRoute.
 */
export function shadowedRoutes(snapshot: Snapshot): readonly Warning[] {
  const grpc = attachments("GRPCRoute", snapshot.GRPCRoute.values());
  const tls = attachments("TLSRoute", snapshot.TLSRoute.values());
  const tcp = attachments("TCPRoute", snapshot.TCPRoute.values());
  return [
    ...tls.flatMap((route) =>
      warn(
        route,
        grpc.find((other) => meet(route, other)),
      ),
    ),
    ...tcp.flatMap((route, index) =>
      warn(
        route,
        [...grpc, ...tls, ...tcp.slice(0, index)].find(
          (other) => other.meta !== route.meta && meet(route, other),
        ),
      ),
    ),
  ];
}
