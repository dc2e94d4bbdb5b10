/** TCPRoutes and TLSRoutes as outbound policy, and what happens to bytes where there are none. Pure. */
import { create } from "@bufbuild/protobuf";
import type { Metadata } from "../api/gen/meta_pb.ts";
import {
  OpaqueRoute_DistributionSchema,
  OpaqueRoute_FilterSchema,
  OpaqueRouteSchema,
  TlsRoute_DistributionSchema,
  TlsRoute_FilterSchema,
  TlsRouteSchema,
  type Backend,
  type OpaqueRoute,
  type OpaqueRoute_Distribution,
  type OpaqueRoute_Filter,
  type TlsRoute as WireTlsRoute,
  type TlsRoute_Filter,
} from "../api/gen/outbound_pb.ts";
import { SniMatchSchema, type SniMatch } from "../api/gen/tls_route_pb.ts";
import { resourceRef } from "../api/wire.ts";
import type { ByteRule, HostMatch, TcpRoute, TlsRoute } from "../model/route.ts";
import type { Parent } from "./parent.ts";

/** A backend with its weight, and why connections for it must be refused if they must. */
interface Weighted {
  readonly weight: number;
  readonly backend: Backend;
  readonly problem: string | undefined;
}

/** Where connections go: to the parent, by weight, or nowhere. */
type Spread =
  | { readonly to: "parent" }
  | { readonly to: "backends"; readonly backends: readonly Weighted[] }
  | { readonly to: "nowhere"; readonly message: string };

/**
 * Rules for bytes have no matches, so every rule holds for every connection: their weights add up to one distribution.
 * (A proxy of Linkerd refuses a route with more than one rule.)
 */
function spreadOf(rules: readonly ByteRule[], parent: Parent): Spread {
  const all = rules.flatMap(({ backends }) => backends);
  if (all.length === 0) return { to: "parent" };
  const backends = all
    .filter(({ weight }) => weight > 0)
    .map((reference) => {
      const { backend, problem } = parent.resolve(reference);
      return { weight: reference.weight, backend, problem: problem?.message };
    });
  if (backends.length === 0)
    return { to: "nowhere", message: "no backend of this route has a weight above zero" };
  return { to: "backends", backends };
}

/** Everything to one backend, or by `split`. */
export function opaqueRoute(
  metadata: Metadata,
  backend: Backend,
  split?: OpaqueRoute_Distribution,
): OpaqueRoute {
  const backends =
    split ??
    create(OpaqueRoute_DistributionSchema, {
      kind: { case: "firstAvailable", value: { backends: [{ backend }] } },
    });
  return create(OpaqueRouteSchema, { metadata, rules: [{ backends }] });
}

/** A connection that is refused, whatever it carries; without a message it is forbidden, with one mistaken. */
export function refusingRoute(metadata: Metadata, message: string | undefined): OpaqueRoute {
  const filter = create(OpaqueRoute_FilterSchema, {
    kind: message === undefined ? { case: "forbidden", value: {} } : { case: "invalid", value: { message } },
  });
  const backends = create(OpaqueRoute_DistributionSchema, { kind: { case: "empty", value: {} } });
  return create(OpaqueRouteSchema, { metadata, rules: [{ backends, filters: [filter] }] });
}

function opaqueInvalid(message: string | undefined): OpaqueRoute_Filter[] {
  if (message === undefined) return [];
  return [create(OpaqueRoute_FilterSchema, { kind: { case: "invalid", value: { message } } })];
}

function nameInvalid(message: string | undefined): TlsRoute_Filter[] {
  if (message === undefined) return [];
  return [create(TlsRoute_FilterSchema, { kind: { case: "invalid", value: { message } } })];
}

/** One TCPRoute, as a client of `parent` is to follow it. */
export function outboundTcpRoute(route: TcpRoute, parent: Parent): OpaqueRoute {
  const { namespace, name } = route.meta;
  const metadata = resourceRef({ group: route.group, kind: "TCPRoute", namespace, name });
  const spread = spreadOf(route.rules, parent);
  switch (spread.to) {
    case "parent":
      return opaqueRoute(metadata, parent.backend);
    case "nowhere":
      return refusingRoute(metadata, spread.message);
    case "backends": {
      const weighted = spread.backends.map(({ weight, backend, problem }) => {
        return { weight, backend: { backend, filters: opaqueInvalid(problem) } };
      });
      const backends = create(OpaqueRoute_DistributionSchema, {
        kind: { case: "randomAvailable", value: { backends: weighted } },
      });
      return create(OpaqueRouteSchema, { metadata, rules: [{ backends }] });
    }
  }
}

function wireSni(host: HostMatch): SniMatch {
  if (host.type === "exact") return create(SniMatchSchema, { match: { case: "exact", value: host.host } });
  const reverseLabels = host.suffix.split(".").toReversed();
  return create(SniMatchSchema, { match: { case: "suffix", value: { reverseLabels } } });
}

/** Every name to one backend. */
export function anyNameRoute(metadata: Metadata, backend: Backend): WireTlsRoute {
  const backends = create(TlsRoute_DistributionSchema, {
    kind: { case: "firstAvailable", value: { backends: [{ backend }] } },
  });
  return create(TlsRouteSchema, { metadata, rules: [{ backends }] });
}

/** Every name refused, as by `refusingRoute`. */
export function refusingNameRoute(metadata: Metadata, message: string | undefined): WireTlsRoute {
  const filter = create(TlsRoute_FilterSchema, {
    kind: message === undefined ? { case: "forbidden", value: {} } : { case: "invalid", value: { message } },
  });
  const backends = create(TlsRoute_DistributionSchema, { kind: { case: "empty", value: {} } });
  return create(TlsRouteSchema, { metadata, rules: [{ backends, filters: [filter] }] });
}

/** One TLSRoute, as a client of `parent` is to follow it. */
export function outboundTlsRoute(route: TlsRoute, parent: Parent): WireTlsRoute {
  const { namespace, name } = route.meta;
  const metadata = resourceRef({ group: route.group, kind: "TLSRoute", namespace, name });
  const snis = route.hosts.map(wireSni);
  const spread = spreadOf(route.rules, parent);
  switch (spread.to) {
    case "parent":
      return { ...anyNameRoute(metadata, parent.backend), snis };
    case "nowhere":
      return { ...refusingNameRoute(metadata, spread.message), snis };
    case "backends": {
      const weighted = spread.backends.map(({ weight, backend, problem }) => {
        return { weight, backend: { backend, filters: nameInvalid(problem) } };
      });
      const backends = create(TlsRoute_DistributionSchema, {
        kind: { case: "randomAvailable", value: { backends: weighted } },
      });
      return create(TlsRouteSchema, { metadata, snis, rules: [{ backends }] });
    }
  }
}
