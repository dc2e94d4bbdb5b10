/** Decision tables for inbound policy: manifests on one side, who gets in where on the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Authz, Server } from "../api/gen/inbound_pb.ts";
import type { HttpRouteMatch } from "../api/gen/http_route_pb.ts";
import { bitsOfWireIp } from "../api/wire.ts";
import { cidrContains, parseIp } from "../model/address.ts";
import { statusesOf } from "../policy/status.ts";
import { worldOf } from "./fixture.ts";

/** Requirement S0-12, verbatim. */
const CALLERS = `apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: payments-callers, namespace: prod}
spec:
  identities: ["web.frontend.serviceaccount.identity.linkerd.cluster.local"]
`;

const WEB = "web.frontend.serviceaccount.identity.linkerd.cluster.local";
const OTHER = "other.frontend.serviceaccount.identity.linkerd.cluster.local";

const POD = `apiVersion: v1
kind: Pod
metadata: {name: payments-1, namespace: prod, labels: {app: payments, linkerd.io/control-plane-ns: linkerd}}
spec:
  serviceAccountName: payments
  containers:
  - name: app
    ports: [{name: http, containerPort: 8080}, {name: db, containerPort: 5432}]
    readinessProbe: {httpGet: {path: /healthz, port: http}}
status: {podIP: 10.1.0.1, hostIP: 10.1.0.254, conditions: [{type: Ready, status: "True"}]}
`;

const SERVER = `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: payments, namespace: prod}
spec: {podSelector: {matchLabels: {app: payments}}, port: http}
`;

function policy(name: string, target: string, required: string): string {
  return `apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: prod}
spec: {targetRef: ${target}, requiredAuthenticationRefs: ${required}}
`;
}

const TO_SERVER = "{group: policy.linkerd.io, kind: Server, name: payments}";
const BY_CALLERS = "[{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: payments-callers}]";

/** The address of the pod's node. */
const KUBELET = "10.1.0.254";

interface Client {
  /** Absent: no TLS of the mesh. */
  readonly identity?: string;
  readonly ip?: string;
  readonly path?: string;
  readonly method?: string;
}

function admitsNetwork({ networks }: Authz, text: string): boolean {
  const ip = parseIp(text);
  assert.ok(ip);
  const holds = (net: { ip?: Parameters<typeof bitsOfWireIp>[0]; prefixLen: number } | undefined) => {
    const address = bitsOfWireIp(net?.ip);
    return address !== undefined && net !== undefined && cidrContains({ address, prefix: net.prefixLen }, ip);
  };
  return networks.some(({ net, except }) => holds(net) && !except.some(holds));
}

function admits(authz: Authz, { identity, ip = "10.1.9.9" }: Client): boolean {
  if (!admitsNetwork(authz, ip)) return false;
  const permit = authz.authentication?.permit;
  if (permit?.case === "unauthenticated") return true;
  if (permit?.case !== "meshTLS" || identity === undefined) return false;
  const { clients } = permit.value;
  if (clients.case === "unauthenticated") return true;
  if (clients.case !== "identities") return false;
  const parts = identity.split(".");
  return (
    clients.value.identities.some(({ name }) => name === identity) ||
    clients.value.suffixes.some((suffix) => {
      const tail = suffix.parts.length === 0 ? [] : parts.slice(-suffix.parts.length);
      return parts.length > suffix.parts.length && tail.join(".") === suffix.parts.join(".");
    })
  );
}

function matches({ path, method }: HttpRouteMatch, client: Client): boolean {
  const wanted = client.path ?? "/";
  const isPath =
    path?.kind.case === "exact"
      ? wanted === path.kind.value
      : path?.kind.case === "prefix"
        ? wanted.startsWith(path.kind.value)
        : path?.kind.case === "regex" && new RegExp(path.kind.value).test(wanted);
  const isMethod =
    method === undefined || (client.method ?? "GET") === ["GET", "POST"][Number(method.type.value)];
  return isPath && isMethod;
}

const specificity = (match: HttpRouteMatch) =>
  (match.path?.kind.case === "exact" ? 10_000 : 0) + (match.path?.kind.value ?? "").length;

/** What a proxy would say: the verdict, and the name of what let the client in. */
function verdict(server: Server | undefined, client: Client): string {
  const kind = server?.protocol?.kind;
  const routes =
    kind?.case === "detect"
      ? kind.value.httpRoutes
      : kind?.case === "http1" || kind?.case === "http2"
        ? kind.value.routes
        : [];
  const found = routes
    .flatMap((route) => route.rules.flatMap((rule) => rule.matches.map((match) => ({ route, rule, match }))))
    .filter(({ match }) => matches(match, client))
    .toSorted((a, b) => specificity(b.match) - specificity(a.match))[0];
  const isHttp = kind?.case !== "opaque" && kind?.case !== "tls";
  if (isHttp && found === undefined) return "404";
  const all = [...(found?.route.authorizations ?? []), ...(server?.authorizations ?? [])];
  const by = all.find((authz) => admits(authz, client));
  if (by === undefined) return isHttp ? "403" : "refused";
  const injected = found?.rule.filters.find((filter) => filter.kind.case === "failureInjector");
  return injected === undefined ? `by ${by.labels["name"]}` : "500";
}

function table(texts: readonly string[], rows: readonly (readonly [Client, string])[], port = 8080) {
  const world = worldOf([POD, ...texts]);
  assert.deepEqual(world.problems, []);
  const server = world.inbound("prod/payments-1", port);
  for (const [client, expected] of rows)
    assert.equal(verdict(server, client), expected, JSON.stringify(client));
  return { ...world, server };
}

test("S0-12: a Server that denies, a policy and one caller: that caller and nobody else", () => {
  table(
    [SERVER, policy("payments", TO_SERVER, BY_CALLERS), CALLERS],
    [
      [{ identity: WEB }, "by payments"],
      [{ identity: OTHER }, "403"],
      [{ identity: `x.${WEB}` }, "403"],
      [{}, "403"],
    ],
  );
});

test("S0-12 on one route: the caller gets that route, and the rest of the server stays shut", () => {
  const route = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: charge, namespace: prod}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: payments}]
  rules: [{matches: [{path: {type: Exact, value: /charge}, method: POST}]}]
`;
  const target = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: charge}";
  const { snapshot, settings } = table(
    [SERVER, route, policy("charge", target, BY_CALLERS), CALLERS],
    [
      [{ identity: WEB, path: "/charge", method: "POST" }, "by charge"],
      [{ identity: OTHER, path: "/charge", method: "POST" }, "403"],
      [{ path: "/charge", method: "POST" }, "403"],
      [{ identity: WEB, path: "/charge" }, "404"],
      [{ identity: WEB, path: "/other" }, "404"],
      [{ path: "/healthz", ip: KUBELET }, "by probe"],
    ],
  );
  const conditions = statusesOf(snapshot, settings).flatMap((status) =>
    status.conditions.map(({ status: s }) => s),
  );
  assert.deepEqual(new Set(conditions), new Set(["True"]));
});

test("a GRPCRoute on a Server of any protocol guards one method", () => {
  const route = `apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: charge, namespace: prod}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: payments}]
  rules: [{matches: [{method: {service: shop.Payments, method: Charge}}]}]
`;
  const target = "{group: gateway.networking.k8s.io, kind: GRPCRoute, name: charge}";
  const rows: readonly (readonly [Client, string])[] = [
    [{ identity: WEB, path: "/shop.Payments/Charge", method: "POST" }, "by charge"],
    [{ identity: OTHER, path: "/shop.Payments/Charge", method: "POST" }, "403"],
    [{ identity: WEB, path: "/shop.Payments/Refund", method: "POST" }, "404"],
  ];
  table([SERVER, route, policy("charge", target, BY_CALLERS), CALLERS], rows);
  const typed = worldOf([POD, SERVER.replace("port: http", "port: http, proxyProtocol: gRPC"), route]);
  const protocol = typed.inbound("prod/payments-1", 8080)?.protocol?.kind;
  const [first] = protocol?.case === "grpc" ? protocol.value.routes : [];
  assert.deepEqual(first?.rules[0]?.matches[0]?.rpc?.method, "Charge");
});

const check = (pod: string, rows: readonly (readonly [Client, string])[], extra: readonly string[] = []) => {
  const server = worldOf([pod, ...extra]).inbound("prod/payments-1", 8080);
  for (const [client, expected] of rows)
    assert.equal(verdict(server, client), expected, `${pod} ${JSON.stringify(client)}`);
};

test("default policies open and close ports by annotation of the pod, of its namespace, or by setting", () => {
  const annotated = (text: string) =>
    POD.replace("labels:", `annotations: {config.linkerd.io/default-inbound-policy: ${text}}, labels:`);
  check(POD, [[{}, "by all-unauthenticated"]]);
  check(annotated("deny"), [
    [{ identity: WEB }, "403"],
    [{ path: "/healthz", ip: KUBELET }, "by probe"],
  ]);
  check(annotated("all-authenticated"), [
    [{}, "403"],
    [{ identity: OTHER }, "by all-authenticated"],
  ]);
  check(annotated("cluster-unauthenticated"), [
    [{ ip: "10.9.9.9" }, "by cluster-unauthenticated"],
    [{ ip: "8.8.8.8" }, "403"],
  ]);
  check(annotated("cluster-authenticated"), [
    [{ ip: "8.8.8.8", identity: WEB }, "403"],
    [{ identity: WEB }, "by cluster-authenticated"],
  ]);
  check(annotated("audit"), [[{}, "by audit"]]);
  // A value that is not understood closes the port.
  check(annotated("opne"), [[{ identity: WEB }, "403"]]);
  const namespace = `apiVersion: v1
kind: Namespace
metadata: {name: prod, annotations: {config.linkerd.io/default-inbound-policy: deny}}
`;
  check(POD, [[{ identity: WEB }, "403"]], [namespace]);
  check(annotated("all-unauthenticated"), [[{}, "by all-unauthenticated"]], [namespace]);
});

const byRef = (refs: string) => `apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: refs, namespace: prod}
spec: ${refs}
`;

test("policies on the namespace, accounts, namespaces, suffixes and networks let in whom they name", () => {
  const refs = "[{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: refs}]";
  const network = `apiVersion: policy.linkerd.io/v1alpha1
kind: NetworkAuthentication
metadata: {name: lan, namespace: prod}
spec: {networks: [{cidr: 10.0.0.0/8, except: [10.9.0.0/16]}]}
`;
  const lan = "{group: policy.linkerd.io, kind: NetworkAuthentication, name: lan}";
  const rows: readonly (readonly [readonly string[], Client, string])[] = [
    [[policy("p", "{kind: Namespace, name: prod}", "[]")], {}, "by p"],
    [[policy("p", "{kind: Namespace, name: other}", "[]")], {}, "403"],
    [
      [policy("p", TO_SERVER, "[{kind: ServiceAccount, name: web, namespace: frontend}]")],
      { identity: WEB },
      "by p",
    ],
    [
      [policy("p", TO_SERVER, "[{kind: ServiceAccount, name: web, namespace: frontend}]")],
      { identity: OTHER },
      "403",
    ],
    [
      [policy("p", TO_SERVER, refs), byRef("{identityRefs: [{kind: Namespace, name: frontend}]}")],
      { identity: OTHER },
      "by p",
    ],
    [
      [policy("p", TO_SERVER, refs), byRef("{identityRefs: [{kind: Namespace, name: back}]}")],
      { identity: OTHER },
      "403",
    ],
    [[policy("p", TO_SERVER, refs), byRef('{identities: ["*"]}')], { identity: OTHER }, "by p"],
    [[policy("p", TO_SERVER, refs), byRef('{identities: ["*"]}')], {}, "403"],
    [[policy("p", TO_SERVER, refs), byRef('{identities: ["*.cluster.local"]}')], { identity: OTHER }, "by p"],
    [[policy("p", TO_SERVER, refs), byRef('{identities: ["*.example.org"]}')], { identity: OTHER }, "403"],
    [[policy("p", TO_SERVER, `[${lan}]`), network], { ip: "10.1.1.1" }, "by p"],
    [[policy("p", TO_SERVER, `[${lan}]`), network], { ip: "10.9.1.1" }, "403"],
    [
      [policy("p", TO_SERVER, `[${lan}, ${BY_CALLERS.slice(1, -1)}]`), network, CALLERS],
      { identity: WEB, ip: "10.1.1.1" },
      "by p",
    ],
    [
      [policy("p", TO_SERVER, `[${lan}, ${BY_CALLERS.slice(1, -1)}]`), network, CALLERS],
      { ip: "10.1.1.1" },
      "403",
    ],
    // What a policy requires and nobody has written lets nobody in.
    [[policy("p", TO_SERVER, BY_CALLERS)], { identity: WEB }, "403"],
  ];
  for (const [texts, client, expected] of rows) table([SERVER, ...texts], [[client, expected]]);
});

const older = (client: string) => `apiVersion: policy.linkerd.io/v1beta1
kind: ServerAuthorization
metadata: {name: old, namespace: prod}
spec: {server: {name: payments}, client: ${client}}
`;

test("the older ServerAuthorization still lets in whom it names", () => {
  table(
    [SERVER, older("{unauthenticated: true}")],
    [
      [{}, "by old"],
      [{ ip: "8.8.8.8" }, "403"],
    ],
  );
  table(
    [SERVER, older("{meshTLS: {unauthenticatedTLS: true}}")],
    [
      [{}, "403"],
      [{ identity: OTHER }, "by old"],
    ],
  );
  table(
    [SERVER, older("{meshTLS: {serviceAccounts: [{name: web, namespace: frontend}]}}")],
    [
      [{ identity: WEB }, "by old"],
      [{ identity: OTHER }, "403"],
    ],
  );
});

test("opaque ports by Server and by annotation are opaque, and refuse connections that nobody let in", () => {
  const db = SERVER.replace("name: payments,", "name: db,").replace(
    "port: http",
    "port: db, proxyProtocol: opaque",
  );
  const denied = table([db], [[{ identity: WEB }, "refused"]], 5432);
  assert.equal(denied.server?.protocol?.kind.case, "opaque");
  const byDefault = worldOf([POD]).inbound("prod/payments-1", 5432);
  assert.equal(byDefault?.protocol?.kind.case, "opaque");
  const annotated = POD.replace("labels:", 'annotations: {config.linkerd.io/opaque-ports: "8080"}, labels:');
  assert.equal(worldOf([annotated]).inbound("prod/payments-1", 8080)?.protocol?.kind.case, "opaque");
  assert.equal(worldOf([annotated]).inbound("prod/payments-1", 5432)?.protocol?.kind.case, "detect");
});

const limit = (name: string, rate: number, at: string) => `apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: {name: ${name}, namespace: prod, creationTimestamp: "${at}"}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: payments}
  total: {requestsPerSecond: ${rate}}
  identity: {requestsPerSecond: 5}
  overrides: [{requestsPerSecond: 7, clientRefs: [{kind: ServiceAccount, name: web, namespace: frontend}]}]
`;

test("a rate limit reaches the server it names, the elder of two", () => {
  const texts = [
    SERVER,
    limit("young", 50, "2026-02-01T00:00:00Z"),
    limit("old", 100, "2026-01-01T00:00:00Z"),
  ];
  const { server, snapshot, settings } = table(texts, []);
  const kind = server?.protocol?.kind;
  const limits = kind?.case === "detect" ? kind.value.httpLocalRateLimit : undefined;
  assert.equal(limits?.total?.requestsPerSecond, 100);
  assert.equal(limits?.overrides[0]?.clients?.identities[0]?.name, WEB);
  const refused = statusesOf(snapshot, settings).filter(
    ({ conditions }) => conditions[0]?.status === "False",
  );
  assert.deepEqual(
    refused.map(({ name }) => name),
    ["young"],
  );
  const tooMuch = worldOf([limit("bad", 3, "2026-01-01T00:00:00Z")]);
  assert.deepEqual(
    tooMuch.problems.map(({ field }) => field),
    ["spec.identity.requestsPerSecond", "spec.overrides[0].requestsPerSecond"],
  );
});

test("a filter that cannot be carried out fails the requests it was meant for", () => {
  const route = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mirrored, namespace: prod}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: payments}]
  rules: [{filters: [{type: ExtensionRef}]}]
`;
  const open = SERVER.replace("port: http", "port: http, accessPolicy: all-unauthenticated");
  const { snapshot, settings } = table([open, route], [[{ path: "/a" }, "500"]]);
  const [status] = statusesOf(snapshot, settings);
  assert.equal(status?.conditions[0]?.reason, "UnsupportedValue");
});

test("a workload that is not known has no policy", () => {
  assert.equal(worldOf([POD]).inbound("prod/other", 8080), undefined);
});
