/** `HTTPRateLimitPolicy`: manifests on one side, what proxies of both makes hear and what status says on the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ServerOverlaySchema } from "../api/gen/hauberk/proxy/v1/overlay_pb.ts";
import { ServerSchema } from "../api/gen/inbound_pb.ts";
import { statusesOf, warningsOf } from "../policy/status.ts";
import { worldOf } from "./fixture.ts";

const pod = (name: string) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: prod, labels: {app: payments, linkerd.io/control-plane-ns: linkerd}}
spec:
  serviceAccountName: payments
  containers: [{name: app, ports: [{name: http, containerPort: 8080}]}]
status: {podIP: 10.1.0.${name.length}, conditions: [{type: Ready, status: "True"}]}
`;

const server = (protocol: string) => `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: payments, namespace: prod}
spec: {podSelector: {matchLabels: {app: payments}}, port: http, proxyProtocol: ${protocol}}
`;

const ROUTE = `apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: orders, namespace: prod}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: payments}]
  rules: [{matches: [{path: {value: /orders}}]}]
`;

const limit = (name: string, spec: string, target = "{kind: Server, name: payments}") => `
apiVersion: policy.hauberk.io/v1alpha1
kind: HTTPRateLimitPolicy
metadata: {name: ${name}, namespace: prod}
spec: {targetRef: ${target}, ${spec}}
`;

const linkerds = (rate: number) => `apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: {name: linkerds, namespace: prod}
spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: payments}, total: {requestsPerSecond: ${rate}}}
`;

/** The extended limits of the port and Linkerd's, as a proxy reads them from the wire. */
function heard(texts: readonly string[]) {
  const world = worldOf(texts);
  const answer = world.inbound("prod/p", 8080);
  assert.ok(answer !== undefined);
  const bytes = toBinary(ServerSchema, answer);
  const { extension, protocol } = fromBinary(ServerOverlaySchema, bytes);
  const kind = fromBinary(ServerSchema, bytes).protocol?.kind;
  const linkerd = kind?.case === "http1" ? kind.value.localRateLimit : undefined;
  const isSuperseded = protocol?.http1?.localRateLimit?.extension?.superseded ?? false;
  return { ...world, extended: extension?.rateLimits ?? [], linkerd, isSuperseded };
}

/** What a proxy hears of its share of 90 requests per second, where there are these pods. */
function share(pods: readonly string[]) {
  const cluster = limit("c", "scope: Cluster, total: {requestsPerSecond: 90}");
  return heard([...pods.map(pod), server("HTTP/1"), cluster]).extended[0]?.quota;
}

/** The fields that are refused. */
function fields(spec: string, target?: string): readonly (string | undefined)[] {
  return worldOf([limit("bad", spec, target)]).problems.map(({ field }) => field);
}

function accepted({ snapshot, settings }: ReturnType<typeof worldOf>): Record<string, string | undefined> {
  const limits = statusesOf(snapshot, settings).filter(({ kind }) => kind.includes("RateLimit"));
  return Object.fromEntries(limits.map(({ name, conditions }) => [name, conditions[0]?.reason]));
}

test("burst, identities, clients by name and values of a header are counted apart", () => {
  const spec = `total: {requestsPerSecond: 100, burst: 200}, identity: {requestsPerSecond: 10},
    overrides: [{requestsPerSecond: 50, burst: 60, clientRefs: [{kind: ServiceAccount, name: web, namespace: front}]}],
    header: {name: X-Tenant, requestsPerSecond: 5, burst: 9, maxValues: 32}`;
  const world = heard([pod("p"), server("HTTP/1"), limit("all", spec)]);
  const [only, ...others] = world.extended;
  assert.equal(others.length, 0);
  assert.deepEqual([only?.total?.requestsPerSecond, only?.total?.burst], [100, 200]);
  assert.deepEqual([only?.identity?.requestsPerSecond, only?.identity?.burst], [10, 10]);
  assert.deepEqual(only?.overrides[0]?.clients, ["web.front.serviceaccount.identity.linkerd.cluster.local"]);
  assert.equal(only?.overrides[0]?.limit?.burst, 60);
  assert.deepEqual(
    [only?.header?.name, only?.header?.limit?.burst, only?.header?.valuesMax],
    ["x-tenant", 9, 32],
  );
  assert.deepEqual(accepted(world), { all: "Accepted" });
});

test("a proxy without extensions keeps as much of a Server's policy as it can, and ours is told not to", () => {
  const ours = limit("ours", "total: {requestsPerSecond: 100, burst: 200}");
  const alone = heard([pod("p"), server("HTTP/1"), ours]);
  assert.equal(alone.linkerd?.total?.requestsPerSecond, 100);
  assert.ok(alone.isSuperseded);
  const both = heard([pod("p"), server("HTTP/1"), ours, linkerds(7)]);
  assert.equal(both.linkerd?.total?.requestsPerSecond, 7);
  assert.ok(!both.isSuperseded);
  assert.equal(both.extended.length, 1);
});

test("a limit of a route is of the requests that match it", () => {
  const target = "{kind: HTTPRoute, group: policy.linkerd.io, name: orders}";
  const world = heard([
    pod("p"),
    server("HTTP/1"),
    ROUTE,
    limit("orders", "total: {requestsPerSecond: 5}", target),
  ]);
  assert.deepEqual(
    world.extended.map(({ route }) => [route?.group, route?.kind, route?.namespace, route?.name]),
    [["policy.linkerd.io", "HTTPRoute", "prod", "orders"]],
  );
  assert.equal(world.linkerd, undefined);
  const astray = limit("astray", "total: {requestsPerSecond: 5}", "{kind: HTTPRoute, name: orders}");
  const other = heard([pod("p"), server("HTTP/1"), ROUTE, astray]);
  assert.deepEqual([other.extended, accepted(other)], [[], { astray: "NoMatchingTarget" }]);
});

test("at a gRPC port Linkerd's policy is kept too, which Linkerd's own message has no place for", () => {
  const world = heard([pod("p"), server("gRPC"), linkerds(7)]);
  assert.deepEqual(
    world.extended.map(({ metadata, total }) => [metadata?.kind, total?.requestsPerSecond]),
    [["HTTPLocalRateLimitPolicy", 7]],
  );
});

test("a port without requests takes no limit, and says so", () => {
  const world = heard([
    pod("p"),
    server("opaque"),
    linkerds(7),
    limit("ours", "total: {requestsPerSecond: 5}"),
  ]);
  assert.deepEqual([world.extended, world.linkerd], [[], undefined]);
  assert.deepEqual(accepted(world), { linkerds: "Accepted", ours: "UnsupportedProtocol" });
  assert.match(warningsOf(world.snapshot)[0]?.message ?? "", /no effect: Server payments speaks opaque/);
});

test("a cluster-wide limit begins with even shares that together keep it, until a lease is heard", () => {
  assert.equal(share(["p"])?.key, "prod/c");
  assert.equal(share(["p"])?.initialMilliPerSecond, 90_000n);
  assert.equal(share(["p", "pp", "ppp"])?.initialMilliPerSecond, 22_500n);
  assert.equal(share(["p", "pp", "ppp", "pppp"])?.initialMilliPerSecond, 22_500n);
});

test("a policy of our own that is wrong or misspelt is refused with its field", () => {
  assert.deepEqual(fields("total: {requestsPerSecond: 5}, burst: 7"), ["spec"]);
  assert.deepEqual(fields("scope: Local"), ["spec"]);
  assert.deepEqual(fields("total: {requestsPerSecond: 0}"), ["spec.total.requestsPerSecond"]);
  assert.deepEqual(fields("scope: Cluster, identity: {requestsPerSecond: 5}"), [
    "spec.total",
    "spec.identity",
  ]);
  assert.deepEqual(fields("total: {requestsPerSecond: 5}, header: {name: a, requestsPerSecond: 6}"), [
    "spec.header.requestsPerSecond",
  ]);
  assert.deepEqual(fields("total: {requestsPerSecond: 5}", "{group: apps, kind: Server, name: a}"), [
    "spec.targetRef.group",
  ]);
});

test("a request passes sixteen policies of a Server at most, the elder ones", () => {
  const names = Array.from({ length: 17 }, (_, at) => `limit-${String(at).padStart(2, "0")}`);
  const limits = names.map((name) => limit(name, "total: {requestsPerSecond: 5}"));
  const world = heard([pod("p"), server("HTTP/1"), ...limits]);
  assert.equal(world.extended.length, 16);
  assert.equal(accepted(world)["limit-16"], "TooManyPolicies");
  assert.equal(accepted(world)["limit-15"], "Accepted");
});
