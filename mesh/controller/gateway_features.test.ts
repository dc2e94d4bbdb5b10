/** The extended mesh features of the Gateway API (1.6.3), each as clients are told of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpRoute } from "../api/gen/outbound_pb.ts";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { OutboundPolicyOverlaySchema } from "../api/gen/hauberk/proxy/v1/overlay_pb.ts";
import { OutboundPolicySchema, type OutboundPolicy } from "../api/gen/outbound_pb.ts";
import { statuses } from "../policy/written_status.ts";
import { worldOf } from "./fixture.ts";

const SERVICES = ["echo", "echo-v1", "echo-v2"]
  .map(
    (name, at) => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: mesh}
spec: {selector: {app: ${name}}, clusterIP: 10.96.1.${at + 1}, ports: [{port: 80}, {port: 8080}]}`,
  )
  .join("\n---\n");

const route = (name: string, rules: string, more: { namespace?: string; port?: number } = {}) => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ${name}, namespace: ${more.namespace ?? "mesh"}, generation: 7}
spec:
  parentRefs: [{group: "", kind: Service, name: echo, namespace: mesh${more.port === undefined ? "" : `, port: ${more.port}`}}]
  rules: ${rules}`;

function routesOf(policy: OutboundPolicy | undefined): readonly HttpRoute[] {
  const kind = policy?.protocol?.kind;
  return kind?.case === "detect" ? (kind.value.http1?.routes ?? []) : [];
}

function nameOf({ metadata }: HttpRoute): string {
  return metadata?.kind.case === "resource" ? metadata.kind.value.name : "default";
}

const ECHO = "echo.mesh.svc.cluster.local:80";

/** Names of the routes that a client of `namespace` follows. */
function follows(texts: readonly string[], target: string, namespace: string): readonly string[] {
  return routesOf(worldOf([SERVICES, ...texts]).outbound(target, namespace)).map(nameOf);
}

/** The only rule of the only route. */
function ruleOf(rules: string) {
  const [found] = routesOf(worldOf([SERVICES, route("r", rules)]).outbound(ECHO, "mesh"));
  return found?.rules[0];
}

test("MeshConsumerRoute: a consumer's route is for its own namespace, the producer's for all others", () => {
  const texts = [route("producer", "[{}]"), route("consumer", "[{}]", { namespace: "shop" })];
  assert.deepEqual(follows(texts, ECHO, "shop"), ["consumer"]);
  for (const namespace of ["mesh", "other"]) assert.deepEqual(follows(texts, ECHO, namespace), ["producer"]);
  assert.deepEqual(follows(texts.slice(1), ECHO, "other"), ["default"]);
});

test("MeshClusterIPMatching: a cluster address is its service", () => {
  assert.deepEqual(follows([route("r", "[{}]")], "10.96.1.1:80", "other"), ["r"]);
  assert.deepEqual(follows([route("r", "[{}]")], "10.96.1.2:80", "other"), ["default"]);
});

test("HTTPRouteParentRefPort: a route for one port is for no other", () => {
  const texts = [route("r", "[{}]", { port: 80 })];
  assert.deepEqual(follows(texts, ECHO, "mesh"), ["r"]);
  assert.deepEqual(follows(texts, "echo.mesh.svc.cluster.local:8080", "mesh"), ["default"]);
});

test("MeshHTTPRouteNamedRouteRule: a rule may have a name", () => {
  const world = worldOf([SERVICES, route("r", "[{name: first, backendRefs: [{name: echo-v1, port: 80}]}]")]);
  assert.deepEqual(world.problems, []);
  assert.deepEqual(routesOf(world.outbound(ECHO, "mesh")).map(nameOf), ["r"]);
});

test("redirects: every status, scheme, port and path", () => {
  for (const statusCode of [301, 302, 303, 307, 308]) {
    const rule = ruleOf(
      `[{matches: [{path: {type: PathPrefix, value: /old}}], filters: [{type: RequestRedirect, requestRedirect: {statusCode: ${statusCode}, scheme: https, port: 8443, hostname: a.test, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]}]`,
    );
    const kind = rule?.filters[0]?.kind;
    assert.ok(kind?.case === "redirect");
    const { status, port, host, path } = kind.value;
    assert.deepEqual(
      [status, port, host, path?.replace],
      [statusCode, 8443, "a.test", { case: "prefix", value: "/new" }],
    );
  }
});

test("MeshHTTPRouteRewritePath: a rewrite is told to proxies that know it", () => {
  const policy = worldOf([
    SERVICES,
    route(
      "r",
      "[{matches: [{path: {value: /old}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]}]",
    ),
  ]).outbound(ECHO, "mesh");
  assert.ok(policy);
  const overlay = fromBinary(OutboundPolicyOverlaySchema, toBinary(OutboundPolicySchema, policy));
  const kind = overlay.protocol?.detect?.http1?.routes[0]?.rules[0]?.filters[0]?.extension?.filter?.kind;
  assert.ok(kind?.case === "urlRewrite");
  assert.deepEqual(kind.value.path, { case: "prefix", value: "/new" });
});

test("MeshHTTPRouteBackendRequestHeaderModification: a backend has filters of its own", () => {
  const rule = ruleOf(
    "[{backendRefs: [{name: echo-v1, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: v1}]}}]}, {name: echo-v2, port: 80}]}]",
  );
  const kind = rule?.backends?.kind;
  assert.ok(kind?.case === "randomAvailable");
  assert.deepEqual(
    kind.value.backends.map(({ backend }) => backend?.filters.map((filter) => filter.kind.case)),
    [["requestHeaderModifier"], []],
  );
});

test("MeshHTTPRouteQueryParamMatching: parameters are a part of a match", () => {
  const rule = ruleOf("[{matches: [{queryParams: [{name: animal, value: whale}]}]}]");
  const [param] = rule?.matches[0]?.queryParams ?? [];
  assert.deepEqual([param?.name, param?.value], ["animal", { case: "exact", value: "whale" }]);
});

test("the conditions of a route name the writing that they speak of", () => {
  const { snapshot, settings } = worldOf([SERVICES, route("r", "[{}]")]);
  const [written] = statuses(snapshot, settings);
  assert.ok(written?.status.type === "parents");
  assert.deepEqual(
    written.status.parents[0]?.conditions.map(({ type, status, observedGeneration }) => [
      type,
      status,
      observedGeneration,
    ]),
    [
      ["Accepted", "True", 7],
      ["ResolvedRefs", "True", 7],
    ],
  );
});
