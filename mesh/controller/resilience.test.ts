/** Retries, profiles, limits and zones: manifests on one side, what proxies are told on the other. */
import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import type { Message } from "@bufbuild/protobuf";
import { test } from "node:test";
import {
  BackendExtensionSchema,
  OutboundExtensionSchema,
  OutboundRuleExtensionSchema,
} from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import type { Backend, HttpRoute, OutboundPolicy } from "../api/gen/outbound_pb.ts";
import { profileOf } from "../destination/profile.ts";
import { resolve } from "../destination/resolve.ts";
import { warningsOf } from "../policy/status.ts";
import { clusterIpFor } from "../source/manifests/cluster_ip.ts";
import { worldOf } from "./fixture.ts";

const service = (annotations = "", spec = "") => `apiVersion: v1
kind: Service
metadata: {name: books, namespace: shop, annotations: {${annotations}}}
spec: {selector: {app: books}, ports: [{name: http, port: 80, targetPort: 8080}] ${spec}}
`;
const other = `apiVersion: v1
kind: Service
metadata: {name: books-v2, namespace: shop}
spec: {selector: {app: v2}, ports: [{name: http, port: 80}]}
`;
const profile = (spec: string, namespace = "shop") => `apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: books.shop.svc.cluster.local, namespace: ${namespace}}
spec: ${spec}
`;
const TARGET = `${clusterIpFor("shop", "books")}:80`;

function extensionOf(message: Message | undefined): Uint8Array {
  const field = message?.$unknown?.find(({ no }) => no === 1000);
  // The field's data begins with its length, which is short here.
  return field === undefined ? new Uint8Array() : field.data.subarray((field.data[0] ?? 0) > 127 ? 2 : 1);
}

function httpRoutes(policy: OutboundPolicy | undefined): readonly HttpRoute[] {
  const kind = policy?.protocol?.kind;
  return kind?.case === "detect" ? (kind.value.http1?.routes ?? []) : [];
}

function firstBackend(policy: OutboundPolicy | undefined): Backend | undefined {
  const distribution = httpRoutes(policy)[0]?.rules[0]?.backends?.kind;
  return distribution?.case === "firstAvailable" ? distribution.value.backends[0]?.backend : undefined;
}

const ruleOf = (route: HttpRoute | undefined) =>
  fromBinary(OutboundRuleExtensionSchema, extensionOf(route?.rules[0]));

test("a profile becomes routes in its order, and the service's breaker stays on", () => {
  const world = worldOf([
    service(
      'balancer.linkerd.io/failure-accrual: consecutive, hauberk.io/failure-accrual-min-ready-endpoints: "2"',
    ),
    profile(`
  retryBudget: {retryRatio: 0.5, minRetriesPerSecond: 3, ttl: 20s}
  routes:
  - name: one
    condition: {all: [{pathRegex: "/books/[0-9]+"}, {not: {method: POST}}]}
    isRetryable: true
    timeout: 1.5s
    responseClasses: [{condition: {status: {min: 429, max: 429}}, isFailure: true}]
  - {name: two, condition: {method: GET}}`),
  ]);
  assert.deepEqual(world.problems, []);
  const policy = world.outbound(TARGET);
  const kind = policy?.protocol?.kind;
  assert.ok(kind?.case === "detect" && kind.value.http1?.failureAccrual !== undefined, "the breaker is off");
  assert.equal(kind.value.http1.failureAccrual.ejection?.minReadyEndpoints, 2);
  const routes = httpRoutes(policy);
  assert.deepEqual(
    routes.map(({ metadata }) => (metadata?.kind.case === "resource" ? metadata.kind.value.name : "default")),
    ["one", "two", "default"],
  );
  const [first] = routes;
  assert.deepEqual(
    first?.rules[0]?.retry?.conditions?.statusRanges.map(({ start, end }) => [start, end]),
    [
      [429, 429],
      [500, 599],
    ],
  );
  assert.equal(first?.rules[0]?.timeouts?.request?.nanos, 500_000_000);
  const extension = ruleOf(first);
  assert.equal(extension.condition?.kind.case, "all");
  assert.deepEqual(
    extension.failures?.ranges.map(({ min, max }) => [min, max]),
    [
      [429, 429],
      [500, 599],
    ],
  );
  const backend = fromBinary(BackendExtensionSchema, extensionOf(firstBackend(policy)));
  assert.equal(backend.retryBudget?.minRetriesPerSecond, 3);
  assert.equal(fromBinary(OutboundExtensionSchema, extensionOf(policy)).hasProfile, true);
});

test("overrides of a profile split what it routes, and a backend that is not there is told", () => {
  const overrides = `{dstOverrides: [{authority: books.shop.svc.cluster.local, weight: 900m}, {authority: "books-v2.shop.svc.cluster.local:80", weight: 1}, {authority: gone.shop.svc.cluster.local, weight: 1}]}`;
  const world = worldOf([service(), other, profile(overrides)]);
  const distribution = httpRoutes(world.outbound(TARGET))[0]?.rules[0]?.backends?.kind;
  assert.ok(distribution?.case === "randomAvailable");
  assert.deepEqual(
    distribution.value.backends.map(({ weight, backend }) => [weight, backend?.filters.length]),
    [
      [900, 0],
      [1000, 0],
      [1000, 1],
    ],
  );
  const [warning] = warningsOf(world.snapshot);
  assert.match(warning?.message ?? "", /shop\/gone of an override does not exist/);
  const wire = profileOf(
    { type: "service", service: { namespace: "shop", name: "books" }, hostname: undefined, port: 80 },
    world.context,
  );
  assert.deepEqual(
    wire?.dstOverrides.map(({ authority }) => authority)[0],
    "books.shop.svc.cluster.local:80",
  );
});

test("the client's own profile stands before the service's", () => {
  const world = worldOf([
    service(),
    profile("{retryBudget: {retryRatio: 0.1, minRetriesPerSecond: 1, ttl: 1s}}"),
    profile("{retryBudget: {retryRatio: 0.1, minRetriesPerSecond: 7, ttl: 1s}}", "web"),
  ]);
  const perSecond = (from: string) =>
    fromBinary(BackendExtensionSchema, extensionOf(firstBackend(world.outbound(TARGET, from)))).retryBudget
      ?.minRetriesPerSecond;
  assert.deepEqual([perSecond("web"), perSecond("shop"), perSecond("else")], [7, 1, 1]);
});

test("a profile that cannot be read is refused with its field", () => {
  for (const [spec, field] of [
    [`{routes: [{name: a, condition: {pathRegex: "("}}]}`, "pathRegex"],
    [`{routes: [{name: a, condition: {}}]}`, "condition"],
    [`{retryBudget: {retryRatio: 0.1, minRetriesPerSecond: 1, ttl: soon}}`, "ttl"],
    [`{dstOverrides: [{authority: a, weight: much}]}`, "weight"],
  ] as const) {
    const { problems } = worldOf([service(), profile(spec)]);
    assert.ok(JSON.stringify(problems).includes(field), `${field}: ${JSON.stringify(problems)}`);
  }
});

test("routes that a profile displaces are told", () => {
  const route = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec: {parentRefs: [{name: books, kind: Service, group: core}], rules: [{}]}
`;
  const world = worldOf([service(), route, profile("{routes: [{name: a, condition: {method: GET}}]}")]);
  assert.match(
    warningsOf(world.snapshot)
      .map(({ message }) => message)
      .join(),
    /in place of shop\/r/,
  );
});

test("annotations become hedges, limits, budgets and penalties; what cannot be read is told", () => {
  const world = worldOf([
    service(
      [
        "hauberk.io/hedge-after: 50ms",
        'hauberk.io/hedge-limit: "2"',
        'hauberk.io/max-connections: "5"',
        'hauberk.io/max-pending-requests: "0"',
        'hauberk.io/max-concurrent-requests: "9"',
        'hauberk.io/retry-budget-ratio: "0.3"',
        'balancer.alpha.linkerd.io/penalize-failures: "true"',
        "balancer.alpha.linkerd.io/load-biaser-penalty: 2s",
      ].join(", "),
    ),
  ]);
  const policy = world.outbound(TARGET);
  const { hedge } = ruleOf(httpRoutes(policy)[0]);
  assert.deepEqual([hedge?.afterMs, hedge?.limit, hedge?.anyMethod], [50n, 2, false]);
  const backend = firstBackend(policy);
  const { limits, retryBudget } = fromBinary(BackendExtensionSchema, extensionOf(backend));
  assert.deepEqual(
    [limits?.maxConnections, limits?.maxPendingRequests, limits?.maxConcurrentRequests],
    [5, 0, 9],
  );
  assert.deepEqual([retryBudget?.retryRatio, retryBudget?.minRetriesPerSecond], [0.3, 10]);
  const load = backend?.kind.case === "balancer" ? backend.kind.value.load : undefined;
  assert.ok(load?.case === "penaltyPeakEwma" && load.value.penalty?.seconds === 2n);
  const wrong = worldOf([service("hauberk.io/hedge-after: soon, hauberk.io/max-connections: none")]);
  const words = warningsOf(wrong.snapshot).map(({ message }) => message);
  assert.ok(
    words.some((text) => text.includes("hedge-after")) &&
      words.some((text) => text.includes("max-connections")),
  );
});

const slice = (hints: boolean) => `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: written, namespace: shop, labels: {kubernetes.io/service-name: written}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints:
- {addresses: [10.0.0.1], zone: a ${hints ? ", hints: {forZones: [{name: b}]}" : ""}}
- {addresses: [10.0.0.2], zone: b ${hints ? ", hints: {forZones: [{name: a}]}" : ""}}
`;
const written = (spec: string, annotations = "") => `apiVersion: v1
kind: Service
metadata: {name: written, namespace: shop, annotations: {${annotations}}}
spec: {ports: [{name: http, port: 80}] ${spec}}
`;

function elsewhere(texts: readonly string[], clientZone: string | undefined): readonly string[] {
  const { context } = worldOf(texts);
  const query = {
    service: { namespace: "shop", name: "written" },
    hostname: undefined,
    port: 80,
    nodeName: undefined,
  };
  const found = resolve(query, { ...context, clientZone });
  if (found.type === "absent") throw new Error("absent");
  return [...found.addrs].flatMap(([key, addr]) => (addr.message().$unknown === undefined ? [] : [key]));
}

test("endpoints of other zones are marked where the service asks for it, by hints before zones", () => {
  const close = written(", trafficDistribution: PreferClose");
  const auto = written("", "service.kubernetes.io/topology-mode: Auto");
  assert.deepEqual(elsewhere([close, slice(false)], "a"), ["10.0.0.2:80"]);
  assert.deepEqual(elsewhere([auto, slice(false)], "b"), ["10.0.0.1:80"]);
  assert.deepEqual(elsewhere([auto, slice(true)], "a"), ["10.0.0.1:80"]);
  assert.deepEqual(elsewhere([written(""), slice(true)], "a"), []);
  assert.deepEqual(elsewhere([close, slice(false)], undefined), []);
});
