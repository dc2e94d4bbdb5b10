/** The answer to `OutboundPolicies.Watch`: what a client does with connections to an address. Pure. */
import { create, toBinary } from "@bufbuild/protobuf";
import type { WeightedAddr } from "../api/gen/destination_pb.ts";
import type { Metadata } from "../api/gen/meta_pb.ts";
import {
  OutboundPolicySchema,
  ProxyProtocol_TlsSchema,
  type GrpcRoute as WireGrpcRoute,
  type HttpRoute as WireHttpRoute,
  type OpaqueRoute,
  type OutboundPolicy,
  type TlsRoute as WireTlsRoute,
} from "../api/gen/outbound_pb.ts";
import { extend } from "../api/extend.ts";
import { OutboundExtensionSchema } from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import { defaultRef, resourceRef, wireDuration } from "../api/wire.ts";
import { cidrContains, formatIp, networkContains, type IpAddress } from "../model/address.ts";
import type { Authority } from "../model/authority.ts";
import { byAge, keyOf } from "../model/meta.ts";
import type { EgressNetwork } from "../model/policy.ts";
import { hasPort } from "../model/ports.ts";
import { routesRequests, type ServiceProfile } from "../model/profile.ts";
import type { ParentRef } from "../model/route.ts";
import type { Service } from "../model/service.ts";
import type { MeshSettings } from "../model/settings.ts";
import {
  findServiceByIp,
  grpcRoutesOf,
  httpRoutesOf,
  isOpaque,
  isServicePortOpaque,
  profileFor,
  tcpRoutesOf,
  tlsRoutesOf,
} from "../state/derive.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { protocolOf, type Protocol } from "./app_protocol.ts";
import { forwardBackend, serviceBackend } from "./backend.ts";
import {
  anyNameRoute,
  opaqueRoute,
  outboundTcpRoute,
  outboundTlsRoute,
  refusingNameRoute,
  refusingRoute,
} from "./outbound_bytes.ts";
import { defaultGrpcRoute, failingGrpcRoute, outboundGrpcRoute } from "./outbound_grpc.ts";
import { defaultHttpRoute, failingHttpRoute, outboundHttpRoute } from "./outbound_http.ts";
import { parentOf, type Parent } from "./parent.ts";
import { profileRoutes, sharesOf, splitOf, withProfile } from "./profile_routes.ts";

/** How long a client may take to say something before its connection counts as opaque. */
const DETECT_MS = 10_000;

/** EgressNetworks here hold for clients of every namespace; elsewhere only for those of their own. */
const GLOBAL_EGRESS_NAMESPACE = "linkerd-egress";

/** Name of what a network that denies does where no route allows. */
const DENIED = "egress-denied";

/** What is asked: where a client of which namespace wants to go. */
export interface OutboundQuery {
  readonly target: Authority;
  readonly sourceNamespace: string;
}

export interface OutboundContext {
  readonly snapshot: Snapshot;
  readonly settings: MeshSettings;
  /** Who lies at an address that is no service's: identity, hints and labels. */
  readonly endpointAt: (ip: IpAddress, port: number) => WeightedAddr;
}

/** Routes that hold for one client: those of its own namespace if there are any, else the service's own. */
function applicable<
  R extends { readonly meta: { readonly namespace: string }; readonly parents: readonly ParentRef[] },
>(
  routes: readonly R[],
  { isParent, namespace }: { readonly isParent: (parent: ParentRef) => boolean; readonly namespace: string },
): readonly R[] {
  return routes.filter((route) => route.meta.namespace === namespace && route.parents.some(isParent));
}

function routesFor(parent: ParentRef, port: number, { snapshot }: OutboundContext, sourceNamespace: string) {
  const isParent = (candidate: ParentRef) =>
    candidate.group === parent.group &&
    candidate.kind === parent.kind &&
    candidate.namespace === parent.namespace &&
    candidate.name === parent.name &&
    // A network has no ports of its own: its routes must name theirs.
    (parent.kind === "EgressNetwork" ? candidate.port : (candidate.port ?? port)) === port;
  for (const namespace of new Set([sourceNamespace, parent.namespace])) {
    const http = applicable(httpRoutesOf(snapshot, parent), { isParent, namespace }).toSorted(byAge);
    const grpc = applicable(grpcRoutesOf(snapshot, parent), { isParent, namespace }).toSorted(byAge);
    const tls = applicable(tlsRoutesOf(snapshot, parent), { isParent, namespace }).toSorted(byAge);
    const tcp = applicable(tcpRoutesOf(snapshot, parent), { isParent, namespace }).toSorted(byAge);
    if (http.length + grpc.length + tls.length + tcp.length > 0) return { http, grpc, tls, tcp };
  }
  return { http: [], grpc: [], tls: [], tcp: [] };
}

interface Answer {
  readonly metadata: Metadata;
  readonly protocol: Protocol;
  readonly http: readonly WireHttpRoute[];
  readonly opaque: OpaqueRoute;
  readonly parent: Parent | undefined;
}

function policyOf({ metadata, protocol, http, opaque, parent }: Answer): OutboundPolicy {
  const accrual = parent?.accrual === undefined ? {} : { failureAccrual: parent.accrual };
  const httpStack = { routes: [...http], ...accrual };
  const opaqueStack = { routes: [opaque] };
  switch (protocol) {
    case "opaque":
      return create(OutboundPolicySchema, {
        metadata,
        protocol: { kind: { case: "opaque", value: opaqueStack } },
      });
    case "http1":
      return create(OutboundPolicySchema, {
        metadata,
        protocol: { kind: { case: "http1", value: httpStack } },
      });
    case "http2":
      return create(OutboundPolicySchema, {
        metadata,
        protocol: { kind: { case: "http2", value: httpStack } },
      });
    case "detect": {
      const value = {
        timeout: wireDuration(DETECT_MS),
        opaque: opaqueStack,
        http1: httpStack,
        http2: httpStack,
      };
      return create(OutboundPolicySchema, { metadata, protocol: { kind: { case: "detect", value } } });
    }
  }
}

/** All routes of `parent`, by which protocol they make it speak. */
function routed(
  reference: ParentRef,
  parent: Parent,
  options: {
    readonly port: number;
    readonly query: OutboundQuery;
    readonly context: OutboundContext;
    readonly metadata: Metadata;
    readonly protocol: Protocol;
    /** Used where no route attaches. */
    readonly fallback: WireHttpRoute;
    readonly opaque: OpaqueRoute;
    /** Set for a network: what becomes of traffic that no route takes, whatever routes attach. */
    readonly otherwise?: { readonly tls: WireTlsRoute; readonly grpc: WireGrpcRoute };
  },
): OutboundPolicy {
  const { metadata, fallback, protocol, otherwise } = options;
  const { http, grpc, tls, tcp } = routesFor(
    reference,
    options.port,
    options.context,
    options.query.sourceNamespace,
  );
  const [tcpRoute] = tcp;
  const opaque = tcpRoute === undefined ? options.opaque : outboundTcpRoute(tcpRoute, parent);
  const names = tls.map((route) => outboundTlsRoute(route, parent));
  const tlsStack = { routes: otherwise === undefined ? names : [...names, otherwise.tls] };
  // TLS is routed by its first message also where nobody looks for HTTP.
  if (http.length + grpc.length === 0 || protocol === "opaque") {
    if (tls.length > 0) {
      return create(OutboundPolicySchema, { metadata, protocol: { kind: { case: "tls", value: tlsStack } } });
    }
    if (tcp.length > 0) return policyOf({ metadata, protocol: "opaque", http: [], opaque, parent });
  }
  if (grpc.length > 0 && protocol !== "opaque") {
    const own = grpc.map((route) => outboundGrpcRoute(route, parent));
    const routes = otherwise === undefined ? own : [...own, otherwise.grpc];
    const accrual = parent.accrual === undefined ? {} : { failureAccrual: parent.accrual };
    return create(OutboundPolicySchema, {
      metadata,
      protocol: { kind: { case: "grpc", value: { routes, ...accrual } } },
    });
  }
  const own = http.map((route) => outboundHttpRoute(route, parent));
  const routes = own.length === 0 || otherwise !== undefined ? [...own, fallback] : own;
  if (tls.length === 0 || protocol !== "detect")
    return policyOf({ metadata, protocol, http: routes, opaque, parent });
  // A proxy that does not know the extension must not pass TLS that nobody judged.
  const closed = refusingRoute(defaultRef("tls-by-name"), undefined);
  return extend(
    policyOf({ metadata, protocol, http: routes, opaque: closed, parent }),
    OutboundExtensionSchema,
    { detectedTls: toBinary(ProxyProtocol_TlsSchema, create(ProxyProtocol_TlsSchema, tlsStack)) },
  );
}

/** What a ServiceProfile says: its routes, and its overrides for them and for the rest. Breakers are the service's. */
function profiled(
  profile: ServiceProfile,
  service: Parent,
  options: {
    readonly port: number;
    readonly clusterDomain: string;
    readonly metadata: Metadata;
    readonly protocol: Protocol;
  },
): OutboundPolicy {
  const shares = sharesOf(profile, { ...options, resolve: service.resolve });
  const parent = shares.length === 0 ? service : { ...service, split: splitOf(shares) };
  const opaque = opaqueRoute(defaultRef("opaque"), service.backend, parent.split?.opaque);
  const { metadata, protocol } = options;
  const http = [...profileRoutes(profile, parent, service.backend), defaultHttpRoute(parent)];
  return withProfile(policyOf({ metadata, protocol, http, opaque, parent }));
}

function servicePolicy(
  service: Service,
  port: number,
  query: OutboundQuery,
  context: OutboundContext,
): OutboundPolicy {
  const { snapshot, settings } = context;
  const { namespace, name } = service.meta;
  const metadata = resourceRef({ group: "core", kind: "Service", namespace, name, port });
  const spec = service.ports.find((candidate) => candidate.port === port && candidate.protocol === "TCP");
  if (spec === undefined) {
    // The address is the service's alone: forwarding to it could reach nothing that anybody meant.
    const message = `Service ${namespace}/${name} has no port ${port}`;
    const opaque = refusingRoute(defaultRef("no-port"), message);
    return policyOf({
      metadata,
      protocol: "detect",
      http: [failingHttpRoute("no-port", message, 502)],
      opaque,
      parent: undefined,
    });
  }
  const { clusterDomain } = settings;
  const client = { clusterDomain, namespace: query.sourceNamespace };
  const backend = serviceBackend({ namespace, name, port }, { snapshot, ...client });
  const profile = profileFor(snapshot, service.meta, client);
  const parent = parentOf({
    meta: service.meta,
    backend,
    snapshot,
    settings,
    namespace: query.sourceNamespace,
  });
  const isPortOpaque = isServicePortOpaque(snapshot, service, { port, settings });
  if (profile !== undefined && routesRequests(profile)) {
    const protocol = isPortOpaque ? "opaque" : protocolOf(spec.appProtocol);
    return profiled(profile, parent, { port, clusterDomain, metadata, protocol });
  }
  const reference = { group: "", kind: "Service", namespace, name, port: undefined, sectionName: undefined };
  return routed(reference, parent, {
    port,
    query,
    context,
    metadata,
    protocol: isPortOpaque ? "opaque" : protocolOf(spec.appProtocol),
    fallback: defaultHttpRoute(parent),
    opaque: opaqueRoute(defaultRef("opaque"), backend),
  });
}

function covers({ networks }: EgressNetwork, ip: IpAddress, { clusterNetworks }: MeshSettings): boolean {
  if (networks !== undefined) return networks.some((network) => networkContains(network, ip));
  return !clusterNetworks.some((cidr) => cidrContains(cidr, ip));
}

/** The EgressNetwork that speaks for an address: the client's own before a global one, then the elder. */
function egressFor(ip: IpAddress, { sourceNamespace }: OutboundQuery, context: OutboundContext) {
  const all = [...context.snapshot.EgressNetwork.values()].filter((egress) =>
    covers(egress, ip, context.settings),
  );
  for (const namespace of [sourceNamespace, GLOBAL_EGRESS_NAMESPACE]) {
    const [eldest] = all.filter((egress) => egress.meta.namespace === namespace).toSorted(byAge);
    if (eldest !== undefined) return eldest;
  }
  return undefined;
}

function egressPolicy(
  egress: EgressNetwork,
  { ip, port }: { readonly ip: IpAddress; readonly port: number },
  query: OutboundQuery,
  context: OutboundContext,
): OutboundPolicy {
  const { snapshot, settings } = context;
  const { namespace, name } = egress.meta;
  const group = "policy.linkerd.io";
  const metadata = resourceRef({ group, kind: "EgressNetwork", namespace, name, port });
  const backend = forwardBackend(context.endpointAt(ip, port), metadata);
  const parent = parentOf({
    meta: egress.meta,
    backend,
    snapshot,
    settings,
    namespace: query.sourceNamespace,
    egress: true,
  });
  const isDenied = egress.trafficPolicy === "Deny";
  const message = `EgressNetwork ${namespace}/${name} does not allow this`;
  const reference = {
    group,
    kind: "EgressNetwork",
    namespace,
    name,
    port: undefined,
    sectionName: undefined,
  };
  const isPortOpaque = isOpaque(
    snapshot,
    { meta: egress.meta, ports: [] },
    { port, fallback: settings.opaquePorts },
  );
  return routed(reference, parent, {
    port,
    query,
    context,
    metadata,
    protocol: isPortOpaque ? "opaque" : "detect",
    fallback: isDenied ? failingHttpRoute(DENIED, message, 403) : defaultHttpRoute(parent),
    opaque: isDenied
      ? refusingRoute(defaultRef(DENIED), undefined)
      : opaqueRoute(defaultRef("opaque"), backend),
    otherwise: {
      tls: isDenied
        ? refusingNameRoute(defaultRef(DENIED), undefined)
        : anyNameRoute(defaultRef("tls"), backend),
      grpc: isDenied ? failingGrpcRoute(DENIED, message) : defaultGrpcRoute(parent),
    },
  });
}

const NO_META = {
  namespace: "",
  name: "",
  uid: "",
  labels: {},
  annotations: {},
  createdMs: 0,
  isDeleting: false,
  owner: undefined,
} as const;

/** An address that is no service's: on to it, with the identity of whoever has it. */
function forwardPolicy(ip: IpAddress, port: number, context: OutboundContext): OutboundPolicy {
  const { snapshot, settings } = context;
  const endpoint = context.endpointAt(ip, port);
  const metadata = endpoint.resourceRef ?? defaultRef("forward");
  const backend = forwardBackend(endpoint, metadata);
  const parent = parentOf({ meta: NO_META, backend, snapshot, settings, namespace: "" });
  const hint = endpoint.protocolHint?.protocol.case;
  const isPortOpaque = hint === undefined ? hasPort(settings.opaquePorts, port) : hint === "opaque";
  return policyOf({
    metadata,
    protocol: isPortOpaque ? "opaque" : "detect",
    http: [defaultHttpRoute(parent)],
    opaque: opaqueRoute(defaultRef("opaque"), backend),
    parent,
  });
}

/** The policy for a target; `undefined` for a name that is no service of the cluster. */
export function outboundPolicy(query: OutboundQuery, context: OutboundContext): OutboundPolicy | undefined {
  const { target } = query;
  switch (target.type) {
    case "service": {
      const service = context.snapshot.Service.get(keyOf(target.service));
      return service === undefined ? undefined : servicePolicy(service, target.port, query, context);
    }
    case "foreign":
      return undefined;
    case "ip": {
      const service = findServiceByIp(context.snapshot, formatIp(target.ip));
      if (service !== undefined) return servicePolicy(service, target.port, query, context);
      const egress = egressFor(target.ip, query, context);
      if (egress !== undefined) return egressPolicy(egress, target, query, context);
      return forwardPolicy(target.ip, target.port, context);
    }
  }
}
