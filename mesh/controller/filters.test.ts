/** Filters beyond the linkerd2-proxy-api: what our proxy is told, and what another proxy does instead. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ExtendedFilter } from "../api/gen/hauberk/proxy/v1/filters_pb.ts";
import { OutboundPolicyOverlaySchema, ServerOverlaySchema } from "../api/gen/hauberk/proxy/v1/overlay_pb.ts";
import { ServerSchema } from "../api/gen/inbound_pb.ts";
import { BackendSchema, OutboundPolicySchema } from "../api/gen/outbound_pb.ts";
import { statusesOf } from "../policy/status.ts";
import { worldOf } from "./fixture.ts";

const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: prod}
spec: {selector: {app: web}, ports: [{name: http, port: 8080}]}
`;
const POD = `apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: prod, labels: {app: web}, annotations: {linkerd.io/inject: enabled}}
spec: {containers: [{name: app, ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], phase: Running}
`;
const server = (protocol: string): string => `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: prod}
spec: {podSelector: {matchLabels: {app: web}}, port: http, proxyProtocol: ${protocol}}
`;
const route = (rules: string, kind = "HTTPRoute", parent = "{name: web, kind: Service, group: core}") =>
  `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: {name: r, namespace: prod}
spec: {parentRefs: [${parent}], rules: ${rules}}
`;
const ON_SERVER = "{name: web, kind: Server, group: policy.linkerd.io}";

/** The first rule's filters: the extension of each, and the kind that another proxy sees. */
function outbound(rules: string, kind?: string) {
  const policy = worldOf([SERVICE, route(rules, kind)]).outbound("web.prod.svc.cluster.local:8080");
  assert.ok(policy);
  const bytes = toBinary(OutboundPolicySchema, policy);
  const { protocol } = fromBinary(OutboundPolicyOverlaySchema, bytes);
  const peer = fromBinary(OutboundPolicySchema, bytes).protocol?.kind;
  const http = protocol?.grpc ?? protocol?.detect?.http1;
  const filters = http?.routes[0]?.rules[0]?.filters.map(({ extension }) => extension?.filter?.kind);
  const seen =
    peer?.case === "grpc"
      ? peer.value.routes[0]?.rules[0]?.filters
      : peer?.case === "detect"
        ? peer.value.http1?.routes[0]?.rules[0]?.filters
        : undefined;
  return { filters, seen: seen?.map(({ kind: seenKind }) => seenKind.case) };
}

function inbound(rules: string, kind: string, protocol: string) {
  const policy = worldOf([SERVICE, POD, server(protocol), route(rules, kind, ON_SERVER)]).inbound(
    "prod/web-0",
    8080,
  );
  assert.ok(policy);
  const bytes = toBinary(ServerSchema, policy);
  const overlay = fromBinary(ServerOverlaySchema, bytes).protocol;
  const peer = fromBinary(ServerSchema, bytes).protocol?.kind;
  const routes = overlay?.grpc?.routes ?? overlay?.http1?.routes;
  const filters = routes?.[0]?.rules[0]?.filters.map(({ extension }) => extension?.filter?.kind);
  const seen =
    peer?.case === "grpc" || peer?.case === "http1" ? peer.value.routes[0]?.rules[0]?.filters : undefined;
  return { filters, seen: seen?.map(({ kind: seenKind }) => seenKind.case) };
}

const REWRITE = `{type: URLRewrite, urlRewrite: {hostname: other.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}`;
const RESPONSE = `{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [server]}}`;
const CORS = `{type: CORS, cors: {allowOrigins: ["https://*.example.com"], allowMethods: [GET], allowCredentials: true}}`;

function fields(kind: ExtendedFilter["kind"] | undefined) {
  switch (kind?.case) {
    case "urlRewrite":
      return [kind.value.hostname, kind.value.path.case, kind.value.path.value];
    case "responseHeaders":
      return kind.value.remove;
    case "cors":
      return [...kind.value.allowOrigins, ...kind.value.allowMethods, kind.value.maxAgeSeconds];
    case "fault":
    case "mirror":
    case undefined:
      return [];
  }
}

test("a rewrite is an extension, and another proxy fails the request instead of sending it as it came", () => {
  const { filters, seen } = outbound(`[{filters: [${REWRITE}]}]`);
  assert.deepEqual(filters?.map(fields), [["other.example", "prefix", "/new"]]);
  assert.deepEqual(seen, ["failureInjector"]);
});

test("response headers are the API's own where it has them, and an extension everywhere else", () => {
  assert.deepEqual(outbound(`[{filters: [${RESPONSE}]}]`), {
    filters: [undefined],
    seen: ["responseHeaderModifier"],
  });
  for (const { filters, seen } of [
    outbound(`[{filters: [${RESPONSE}]}]`, "GRPCRoute"),
    inbound(`[{filters: [${RESPONSE}]}]`, "HTTPRoute", "HTTP/1"),
    inbound(`[{filters: [${RESPONSE}]}]`, "GRPCRoute", "gRPC"),
    inbound(`[{filters: [${RESPONSE}]}]`, "GRPCRoute", "HTTP/1"),
  ]) {
    assert.deepEqual(filters?.map(fields), [["server"]]);
    assert.deepEqual(seen, ["failureInjector"]);
  }
});

test("another proxy leaves CORS out, with which a browser shows nothing", () => {
  const { filters, seen } = outbound(`[{filters: [${CORS}]}]`);
  assert.deepEqual(filters?.map(fields), [["https://*.example.com", "GET", 5]]);
  assert.deepEqual(seen, ["requestHeaderModifier"]);
});

function problemOf(filter: string, rule = ""): string | undefined {
  return worldOf([SERVICE, route(`[{${rule}filters: [${filter}]}]`)]).problems[0]?.field;
}

test("what a filter may say is bounded, and the mistake is named", () => {
  const at = "spec.rules[0].filters[0]";
  for (const [filter, expected] of [
    [`{type: CORS, cors: {allowOrigins: ["a.example"]}}`, `${at}.cors.allowOrigins[0]`],
    [`{type: CORS, cors: {allowMethods: [GET, "*"]}}`, `${at}.cors.allowMethods`],
    [`{type: URLRewrite, urlRewrite: {hostname: "*.example"}}`, `${at}.urlRewrite.hostname`],
    [`{type: RequestRedirect, requestRedirect: {statusCode: 304}}`, `${at}.requestRedirect.statusCode`],
    [`{type: URLRewrite}`, at],
  ] as const)
    assert.equal(problemOf(filter), expected, filter);
  const exact = "matches: [{path: {type: Exact, value: /a}}], ";
  assert.equal(problemOf(REWRITE, exact), `${at}.urlRewrite.path`);
});

test("a meaning that is not known makes the rule fail and the route unaccepted, with the reason", () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ["HTTPRoute", "[{filters: [{type: ExtensionRef}]}]", "filter ExtensionRef"],
    ["HTTPRoute", "[{matches: [{path: {type: Glob, value: /*}}]}]", "path match of type Glob"],
    ["HTTPRoute", "[{matches: [{headers: [{type: Glob, name: x, value: y}]}]}]", "header match of type Glob"],
    [
      "HTTPRoute",
      "[{matches: [{queryParams: [{type: Glob, name: x, value: y}]}]}]",
      "query parameter match of type Glob",
    ],
    ["GRPCRoute", "[{matches: [{method: {type: Glob, service: a.B}}]}]", "method match of type Glob"],
    ["GRPCRoute", "[{filters: [{type: URLRewrite, urlRewrite: {}}]}]", "filter URLRewrite"],
  ];
  for (const [kind, rules, what] of rows) {
    assert.deepEqual(outbound(rules, kind).seen, ["failureInjector"], what);
    const { snapshot, settings, problems } = worldOf([SERVICE, route(rules, kind)]);
    assert.deepEqual(problems, []);
    const condition = statusesOf(snapshot, settings)[0]?.conditions[0];
    assert.equal(condition?.reason, "UnsupportedValue");
    assert.match(condition.message, new RegExp(`^${what} is not supported`));
  }
});

test("a field that is not known changes nothing", () => {
  const { filters, seen } = outbound(
    `[{later: {x: 1}, filters: [${RESPONSE.replace("{type", "{also: 2, type")}]}]`,
  );
  assert.deepEqual([filters, seen], [[undefined], ["responseHeaderModifier"]]);
});

function mirror(to: string, share = "") {
  return `[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: ${to}, port: 8080}${share}}}]}]`;
}

test("a mirror carries its backend, and one whose backend is not there is none", () => {
  const [kind] = outbound(mirror("web", ", fraction: {numerator: 1, denominator: 3}")).filters ?? [];
  assert.equal(kind?.case, "mirror");
  const { backend, numerator, denominator } = kind.value;
  assert.deepEqual([numerator, denominator], [1, 3]);
  assert.equal(fromBinary(BackendSchema, backend).kind.case, "balancer");
  assert.deepEqual(outbound(mirror("web", ", percent: 5")).seen, ["requestHeaderModifier"]);
  assert.deepEqual(outbound(mirror("gone")).filters, []);
  const { snapshot, settings } = worldOf([SERVICE, route(mirror("gone"))]);
  assert.equal(statusesOf(snapshot, settings)[0]?.conditions[1]?.reason, "BackendNotFound");
  const both = worldOf([SERVICE, route(mirror("web", ", percent: 5, fraction: {numerator: 1}"))]).problems;
  assert.equal(both[0]?.field, "spec.rules[0].filters[0].requestMirror.fraction");
  const onServer = worldOf([SERVICE, POD, server("HTTP/1"), route(mirror("web"), "HTTPRoute", ON_SERVER)]);
  const status = statusesOf(onServer.snapshot, onServer.settings)[0];
  assert.equal(status?.conditions[0]?.reason, "UnsupportedValue");
  assert.deepEqual(inbound(mirror("web"), "HTTPRoute", "HTTP/1").seen, ["failureInjector"]);
});

const fault = (spec: string): string => `apiVersion: policy.hauberk.io/v1alpha1
kind: HTTPFaultInjection
metadata: {name: drill, namespace: prod}
spec: {${spec}}
`;
const WINDOW = `window: {start: "2026-01-01T00:00:00Z", duration: 1h30m}`;

test("a fault goes before the filters of its service's or its route's rules, and of no others", () => {
  const rows: readonly (readonly [string, number])[] = [
    ["targetRef: {kind: Service, name: web}", 1],
    ["targetRef: {group: core, kind: Service, name: web}", 1],
    ["targetRef: {kind: HTTPRoute, name: r}", 1],
    ["targetRef: {group: policy.linkerd.io, kind: HTTPRoute, name: r}", 0],
    ["targetRef: {kind: Service, name: r}", 0],
  ];
  for (const [target, faults] of rows) {
    const text = fault(`${target}, ${WINDOW}, delay: 1s, percent: 0.5`);
    const world = worldOf([SERVICE, route(`[{filters: [${RESPONSE}]}]`), text]);
    assert.deepEqual(world.problems, []);
    const policy = world.outbound("web.prod.svc.cluster.local:8080");
    assert.ok(policy);
    const overlay = fromBinary(OutboundPolicyOverlaySchema, toBinary(OutboundPolicySchema, policy)).protocol;
    const rule = overlay?.detect?.http1?.routes[0]?.rules[0];
    const kinds = rule?.filters.map(({ extension }) => extension?.filter?.kind) ?? [];
    assert.equal(kinds.length, faults + 1, target);
    if (kinds[0]?.case !== "fault") continue;
    const { sharePpm, delayMs, startMs, endMs } = kinds[0].value;
    assert.deepEqual([sharePpm, delayMs, endMs - startMs], [5_000, 1_000, 5_400_000n]);
  }
});

test("a fault without an end, an effect or a sound share is refused, and the field is named", () => {
  const target = "targetRef: {kind: Service, name: web}";
  for (const [spec, field] of [
    [`${target}, delay: 1s, window: {}`, "spec.window"],
    [`${target}, delay: 1s, window: {duration: 1h}`, "spec.window"],
    [`${target}, delay: 1s, window: {start: "2026-01-01T00:00:00Z"}`, "spec.window"],
    [
      `${target}, delay: 1s, window: {start: "2026-01-02T00:00:00Z", end: "2026-01-01T00:00:00Z"}`,
      "spec.window",
    ],
    [`${target}, ${WINDOW}`, "spec.abort"],
    [`${target}, ${WINDOW}, delay: 61s`, "spec.delay"],
    [`${target}, ${WINDOW}, delay: 1s, percent: 0`, "spec.percent"],
    [`${target}, ${WINDOW}, abort: {httpStatus: 200}`, "spec.abort.httpStatus"],
    [`${target}, ${WINDOW}, abort: {grpcStatus: OK}`, "spec.abort.grpcStatus"],
    [`${target}, ${WINDOW}, delay: 1s, headers: [{type: Glob, name: x, value: y}]`, "spec.headers[0]"],
  ] as const)
    assert.equal(worldOf([SERVICE, fault(spec)]).problems[0]?.field, field, spec);
});

function reason(target: string) {
  const { snapshot, settings } = worldOf([SERVICE, fault(`${target}, ${WINDOW}, delay: 1s`)]);
  return statusesOf(snapshot, settings)[0]?.conditions[0]?.reason;
}

test("a fault says whether its target is there", () => {
  assert.equal(reason("targetRef: {kind: Service, name: web}"), "Accepted");
  assert.equal(reason("targetRef: {kind: GRPCRoute, name: web}"), "TargetNotFound");
});

function retry(rule: string) {
  const text = route(`[{${rule}}]`).replace(
    "name: r,",
    "name: r, annotations: {retry.linkerd.io/http: 5xx},",
  );
  const kind = worldOf([SERVICE, text]).outbound("web.prod.svc.cluster.local:8080")?.protocol?.kind;
  return kind?.case === "detect" ? kind.value.http1?.routes[0]?.rules[0]?.retry : undefined;
}

test("a rule's own retry comes before the annotations", () => {
  assert.deepEqual(
    retry("")?.conditions?.statusRanges.map(({ start, end }) => [start, end]),
    [[500, 599]],
  );
  const own = retry("retry: {codes: [429, 503], attempts: 4, backoff: 100ms}");
  assert.deepEqual(
    own?.conditions?.statusRanges.map(({ start }) => start),
    [429, 503],
  );
  assert.deepEqual([own?.maxRetries, own?.backoff?.minBackoff?.nanos], [4, 100_000_000]);
  assert.equal(retry("retry: {attempts: 0}"), undefined);
});

test("expressions for methods are an extension of the rule, and a path of HTTP on a Server that is not gRPC", () => {
  const rules = `[{matches: [{method: {service: a.B}}, {method: {type: RegularExpression, service: "a[.].*", method: G.*}}]}]`;
  const policy = worldOf([SERVICE, route(rules, "GRPCRoute")]).outbound("web.prod.svc.cluster.local:8080");
  assert.ok(policy);
  const overlay = fromBinary(OutboundPolicyOverlaySchema, toBinary(OutboundPolicySchema, policy)).protocol;
  const patterns = overlay?.grpc?.routes[0]?.rules[0]?.extension?.grpcMethods;
  assert.deepEqual(
    patterns?.map(({ service, method }) => [service, method]),
    [
      ["", ""],
      ["a[.].*", "G.*"],
    ],
  );
  const inboundServer = worldOf([POD, server("HTTP/2"), route(rules, "GRPCRoute", ON_SERVER)]).inbound(
    "prod/web-0",
    8080,
  );
  const kind = inboundServer?.protocol?.kind;
  const matches = kind?.case === "http2" ? kind.value.routes[0]?.rules[0]?.matches : undefined;
  assert.deepEqual(
    matches?.map(({ path }) => path?.kind.value),
    ["/a.B/", "^/(?:a[.].*)/(?:G.*)$"],
  );
});
