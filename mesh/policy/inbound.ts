/** The answer to `InboundServerPolicies.WatchPort`: what a workload's port accepts, from whom. Pure. */
import { create } from "@bufbuild/protobuf";
import {
  GrpcRoute_RuleSchema,
  GrpcRouteSchema,
  HttpRoute_RuleSchema,
  HttpRouteSchema,
  ProxyProtocolSchema,
  ServerSchema,
  type Authz,
  type GrpcRoute as WireGrpcRoute,
  type HttpLocalRateLimit,
  type HttpRoute as WireHttpRoute,
  type ProxyProtocol as WireProtocol,
  type Server as WireServer,
} from "../api/gen/inbound_pb.ts";
import { extend } from "../api/extend.ts";
import {
  InboundExtensionSchema,
  InboundRuleExtensionSchema,
} from "../api/gen/hauberk/proxy/v1/inbound_pb.ts";
import { defaultRef, resourceRef, wireDuration } from "../api/wire.ts";
import { byAge, keyOf, type NamespacedName } from "../model/meta.ts";
import { ACCESS_POLICIES, type AccessPolicy, type ProxyProtocol, type Server } from "../model/policy.ts";
import type { GrpcMatch, GrpcRoute, HttpRoute } from "../model/route.ts";
import type { HttpProbe } from "../model/workload.ts";
import {
  annotationOf,
  grpcRoutesOf,
  httpRoutesOf,
  isOpaque,
  serversOf,
  type Target,
} from "../state/derive.ts";
import { accessAuthz, probeAuthz, routeAuthz, serverAuthz, type InboundContext } from "./authz.ts";
import { inboundGrpcFilters, inboundHttpFilters } from "./filters.ts";
import { grpcMethodPatterns, wireGrpcMatch, wireHost, wireHttpMatch } from "./match.ts";
import { limitsOf } from "./rate_limit.ts";

/** How long a client may take to say something before its connection counts as opaque. */
const DETECT_MS = 10_000;

const DEFAULT_POLICY_ANNOTATION = "config.linkerd.io/default-inbound-policy";

/** The port that is asked about. */
export interface InboundQuery {
  readonly workload: NamespacedName & { readonly of: Target["of"] };
  readonly port: number;
}

interface Workload extends Target {
  readonly probes: readonly HttpProbe[];
  /** Addresses from which its kubelet asks. */
  readonly kubelet: readonly string[];
}

function findWorkload({ workload }: InboundQuery, { snapshot }: InboundContext): Workload | undefined {
  if (workload.of === "Pod") {
    const pod = snapshot.Pod.get(keyOf(workload));
    if (pod === undefined) return undefined;
    const { meta, ports, probes, nodeName = "", hostIps } = pod;
    const kubelet = [...new Set([...hostIps, ...(snapshot.Node.get(nodeName)?.addresses ?? [])])].toSorted();
    return { of: "Pod", meta, ports, probes, kubelet };
  }
  const external = snapshot.ExternalWorkload.get(keyOf(workload));
  if (external === undefined) return undefined;
  return { of: "ExternalWorkload", meta: external.meta, ports: external.ports, probes: [], kubelet: [] };
}

/** The access policy where no Server selects the port. An annotation that is not understood closes the port. */
function defaultAccess(target: Target, { snapshot, settings }: InboundContext): AccessPolicy {
  const text = annotationOf(snapshot, target.meta, DEFAULT_POLICY_ANNOTATION);
  if (text === undefined) return settings.defaultInboundPolicy;
  return ACCESS_POLICIES.find((policy) => policy === text) ?? "deny";
}

function httpRoute(route: HttpRoute, context: InboundContext): WireHttpRoute {
  const { namespace, name } = route.meta;
  return create(HttpRouteSchema, {
    metadata: resourceRef({ group: route.group, kind: "HTTPRoute", namespace, name }),
    hosts: route.hosts.map(wireHost),
    authorizations: [...routeAuthz(route, "HTTPRoute", context)],
    rules: route.rules.map((rule) =>
      create(HttpRoute_RuleSchema, {
        matches: rule.matches.map(wireHttpMatch),
        filters: inboundHttpFilters(rule),
      }),
    ),
  });
}

function grpcRoute(route: GrpcRoute, context: InboundContext): WireGrpcRoute {
  const { namespace, name } = route.meta;
  return create(GrpcRouteSchema, {
    metadata: resourceRef({ group: route.group, kind: "GRPCRoute", namespace, name }),
    hosts: route.hosts.map(wireHost),
    authorizations: [...routeAuthz(route, "GRPCRoute", context)],
    rules: route.rules.map((rule) => {
      const patterns = grpcMethodPatterns(rule.matches);
      const wire = create(GrpcRoute_RuleSchema, {
        matches: rule.matches.map(wireGrpcMatch),
        filters: inboundGrpcFilters(rule),
      });
      return patterns === undefined ? wire : extend(wire, InboundRuleExtensionSchema, patterns);
    }),
  });
}

const ANY_HTTP = wireHttpMatch({
  path: { type: "PathPrefix", value: "/" },
  headers: [],
  queryParams: [],
  method: undefined,
});

/** Where no route attaches, everything matches and the server's own authorizations decide. */
const DEFAULT_HTTP: WireHttpRoute = create(HttpRouteSchema, {
  metadata: defaultRef("default"),
  rules: [{ matches: [ANY_HTTP] }],
});

const DEFAULT_GRPC: WireGrpcRoute = create(GrpcRouteSchema, {
  metadata: defaultRef("default"),
  rules: [
    { matches: [wireGrpcMatch({ type: "Exact", service: undefined, method: undefined, headers: [] })] },
  ],
});

/** One route for the paths of the probes on this port, open to where probes come from. */
function probeRoutes(
  { probes, kubelet }: Workload,
  port: number,
  context: InboundContext,
): readonly WireHttpRoute[] {
  const paths = new Set(probes.filter((probe) => probe.port === port).map(({ path }) => path));
  if (paths.size === 0) return [];
  const matches = [...paths]
    .toSorted()
    .map((value) =>
      wireHttpMatch({ path: { type: "Exact", value }, headers: [], queryParams: [], method: "GET" }),
    );
  return [
    create(HttpRouteSchema, {
      metadata: defaultRef("probe"),
      authorizations: [probeAuthz(kubelet, context)],
      rules: [{ matches }],
    }),
  ];
}

interface Stacks {
  readonly http: readonly WireHttpRoute[];
  readonly grpc: readonly WireGrpcRoute[];
  readonly limit: HttpLocalRateLimit | undefined;
}

function wireProtocol(protocol: ProxyProtocol, { http, grpc, limit }: Stacks): WireProtocol {
  const routes = [...http];
  const localRateLimit = limit === undefined ? {} : { localRateLimit: limit };
  switch (protocol) {
    case "unknown": {
      const value = {
        timeout: wireDuration(DETECT_MS),
        httpRoutes: routes,
        ...(limit === undefined ? {} : { httpLocalRateLimit: limit }),
      };
      return create(ProxyProtocolSchema, { kind: { case: "detect", value } });
    }
    case "HTTP/1":
      return create(ProxyProtocolSchema, { kind: { case: "http1", value: { routes, ...localRateLimit } } });
    case "HTTP/2":
      return create(ProxyProtocolSchema, { kind: { case: "http2", value: { routes, ...localRateLimit } } });
    case "gRPC":
      return create(ProxyProtocolSchema, { kind: { case: "grpc", value: { routes: [...grpc] } } });
    case "opaque":
      return create(ProxyProtocolSchema, { kind: { case: "opaque", value: {} } });
    case "TLS":
      return create(ProxyProtocolSchema, { kind: { case: "tls", value: {} } });
  }
}

function selectedPort(server: Server, workload: Workload, port: number, context: InboundContext): WireServer {
  const { namespace, name } = server.meta;
  const parent = { group: "policy.linkerd.io", kind: "Server", namespace, name };
  const http = httpRoutesOf(context.snapshot, parent).filter(({ meta }) => meta.namespace === namespace);
  const grpc = grpcRoutesOf(context.snapshot, parent).filter(({ meta }) => meta.namespace === namespace);
  const ownHttp = http.toSorted(byAge).map((route) => httpRoute(route, context));
  const ownGrpc = grpc.toSorted(byAge).map((route) => grpcRoute(route, context));
  const asHttp = grpc.toSorted(byAge).map((route) => grpcAsHttp(route, context));
  const routes = [...ownHttp, ...asHttp];
  const limits = limitsOf(server, context);
  const protocol = wireProtocol(server.proxyProtocol, {
    http: [...(routes.length > 0 ? routes : [DEFAULT_HTTP]), ...probeRoutes(workload, port, context)],
    grpc: ownGrpc.length > 0 ? ownGrpc : [DEFAULT_GRPC],
    limit: limits.linkerd,
  });
  const policy = create(ServerSchema, {
    protocol,
    authorizations: [...serverAuthz(server, context)],
    labels: { group: "policy.linkerd.io", kind: "server", name },
  });
  if (limits.extended.length === 0) return policy;
  return extend(policy, InboundExtensionSchema, { rateLimits: [...limits.extended] });
}

/**
 * A GRPCRoute where the wire knows only HTTP routes (a Server whose protocol is not gRPC): a method is the path
 * `/service/method`, a service the prefix before it.
 */
function grpcAsHttp(route: GrpcRoute, context: InboundContext): WireHttpRoute {
  const { namespace, name } = route.meta;
  return create(HttpRouteSchema, {
    metadata: resourceRef({ group: route.group, kind: "GRPCRoute", namespace, name }),
    hosts: route.hosts.map(wireHost),
    authorizations: [...routeAuthz(route, "GRPCRoute", context)],
    rules: route.rules.map((rule) =>
      create(HttpRoute_RuleSchema, {
        matches: rule.matches.map((match) =>
          wireHttpMatch({ path: grpcPath(match), headers: match.headers, queryParams: [], method: "POST" }),
        ),
        filters: inboundHttpFilters(rule),
      }),
    ),
  });
}

/** A name as a part of an expression for the path. */
function namePattern(name: string | undefined, type: GrpcMatch["type"]): string {
  if (name === undefined) return "[^/]+";
  return type === "RegularExpression" ? `(?:${name})` : name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function grpcPath({ type, service, method }: GrpcMatch) {
  if (service === undefined && method === undefined) return { type: "PathPrefix", value: "/" } as const;
  if (type === "Exact" && service !== undefined && method !== undefined)
    return { type: "Exact", value: `/${service}/${method}` } as const;
  if (type === "Exact" && service !== undefined)
    return { type: "PathPrefix", value: `/${service}/` } as const;
  const value = `^/${namePattern(service, type)}/${namePattern(method, type)}$`;
  return { type: "RegularExpression", value } as const;
}

function unselectedPort(workload: Workload, port: number, context: InboundContext): WireServer {
  const access = defaultAccess(workload, context);
  const opaque = isOpaque(context.snapshot, workload, { port, fallback: context.settings.opaquePorts });
  const authorizations: readonly Authz[] = accessAuthz(access, context);
  return create(ServerSchema, {
    protocol: wireProtocol(opaque ? "opaque" : "unknown", {
      http: [DEFAULT_HTTP, ...probeRoutes(workload, port, context)],
      grpc: [],
      limit: undefined,
    }),
    authorizations: [...authorizations],
    labels: { group: "", kind: "default", name: access },
  });
}

/** The policy of a port; `undefined` for a workload that is not known. */
export function inboundPolicy(query: InboundQuery, context: InboundContext): WireServer | undefined {
  const workload = findWorkload(query, context);
  if (workload === undefined) return undefined;
  // Two Servers for one port are a conflict that admission refuses; here the elder stands.
  const [server] = serversOf(context.snapshot, workload, query.port).toSorted(byAge);
  return server === undefined
    ? unselectedPort(workload, query.port, context)
    : selectedPort(server, workload, query.port, context);
}
