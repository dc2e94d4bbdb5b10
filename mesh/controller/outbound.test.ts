/** Decision tables for outbound policy: manifests on one side, where requests go on the other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpRoute_Rule, OutboundPolicy } from "../api/gen/outbound_pb.ts";
import type { Metadata } from "../api/gen/meta_pb.ts";
import { statusesOf, warningsOf } from "../policy/status.ts";
import { clusterIpFor } from "../source/manifests/cluster_ip.ts";
import { worldOf } from "./fixture.ts";

const service = (name: string, extra = "", annotations = "") => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: prod, annotations: {${annotations}}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 8080 ${extra}}, {name: db, port: 5432}]}
`;
const SERVICES = [service("payments"), service("stable"), service("canary")];

const route = (spec: string, head = "name: r, namespace: prod") => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {${head}}
spec:
  parentRefs: [{name: payments, namespace: prod, kind: Service, group: core, port: 8080}]
  rules: ${spec}
`;

const TARGET = `${clusterIpFor("prod", "payments")}:8080`;

function nameOf(metadata: Metadata | undefined): string {
  const kind = metadata?.kind;
  return kind?.case === "resource" ? kind.value.name : (kind?.value ?? "?");
}

const failures = (filters: HttpRoute_Rule["filters"]) =>
  filters.flatMap(({ kind }) =>
    kind.case === "failureInjector" ? [`fail ${kind.value.status}`] : [kind.case ?? "?"],
  );

/** One rule as text: failures, then backends with weights. */
function ruleText(rule: HttpRoute_Rule): string {
  const distribution = rule.backends?.kind;
  const entries =
    distribution?.case === "randomAvailable"
      ? distribution.value.backends.map(({ weight, backend }) => ({ weight: `=${weight}`, backend }))
      : distribution?.case === "firstAvailable"
        ? distribution.value.backends.map((backend) => ({ weight: "", backend }))
        : [];
  const backends = entries.map(({ weight, backend }) =>
    [`${nameOf(backend?.backend?.metadata)}${weight}`, ...failures(backend?.filters ?? [])].join(" "),
  );
  return [...failures(rule.filters), ...backends].join(", ");
}

/** A policy as text: protocol, then each route with its rules. */
function text(policy: OutboundPolicy | undefined): string {
  const kind = policy?.protocol?.kind;
  switch (kind?.case) {
    case "detect":
    case "http1":
    case "http2": {
      const routes = kind.case === "detect" ? kind.value.http1?.routes : kind.value.routes;
      const texts = (routes ?? []).map(
        ({ metadata, rules }) => `${nameOf(metadata)}: ${rules.map(ruleText).join(" / ")}`,
      );
      return `${kind.case} ${texts.join("; ")}`;
    }
    case "grpc":
      return `grpc ${kind.value.routes.map(({ metadata }) => nameOf(metadata)).join()}`;
    case "opaque":
    case "tls": {
      const filter = kind.value.routes[0]?.rules[0]?.filters[0]?.kind.case;
      return filter === undefined ? kind.case : `${kind.case} ${filter}`;
    }
    case undefined:
      return "none";
  }
}

function ruleOf(policy: OutboundPolicy | undefined): HttpRoute_Rule | undefined {
  const kind = policy?.protocol?.kind;
  return kind?.case === "detect" ? kind.value.http1?.routes[0]?.rules[0] : undefined;
}

test("where requests to a service go, by the routes that attach to it", () => {
  const backends = (refs: string) => route(`[{backendRefs: ${refs}}]`);
  const rows: readonly (readonly [string, readonly string[], string])[] = [
    ["no route", [], "detect http: payments"],
    [
      "weights",
      [backends("[{name: stable, port: 8080, weight: 90}, {name: canary, port: 8080, weight: 10}]")],
      "detect r: stable=90, canary=10",
    ],
    ["no backendRefs are the parent", [route("[{}]")], "detect r: payments"],
    [
      "zero takes nothing",
      [backends("[{name: stable, port: 8080, weight: 0}, {name: canary, port: 8080}]")],
      "detect r: canary=1",
    ],
    ["all zero", [backends("[{name: stable, port: 8080, weight: 0}]")], "detect r: fail 500"],
    [
      "missing service",
      [backends("[{name: gone, port: 8080}, {name: stable, port: 8080}]")],
      "detect r: gone=1 fail 500, stable=1",
    ],
    ["missing port", [backends("[{name: stable, port: 81}]")], "detect r: stable=1 fail 500"],
    ["no port", [backends("[{name: stable}]")], "detect r: stable=1 fail 500"],
    [
      "wrong kind",
      [backends("[{name: stable, port: 8080, kind: Bucket, group: example.com}]")],
      "detect r: stable=1 fail 500",
    ],
    [
      "unsupported filter",
      [route("[{filters: [{type: ExtensionRef}], backendRefs: [{name: stable, port: 8080}]}]")],
      "detect r: fail 500",
    ],
    [
      "a route of another port",
      [route("[{backendRefs: [{name: stable, port: 8080}]}]").replace("port: 8080}]", "port: 5432}]")],
      "detect http: payments",
    ],
    [
      "a redirect",
      [route("[{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}]")],
      "detect r: redirect, payments",
    ],
    [
      "two routes, the elder first",
      [
        route("[{}]", 'name: b, namespace: prod, creationTimestamp: "2026-02-01T00:00:00Z"'),
        route("[{}]", 'name: a, namespace: prod, creationTimestamp: "2026-03-01T00:00:00Z"'),
      ],
      "detect b: payments; a: payments",
    ],
    [
      "a route of nobody's namespace",
      [route("[{backendRefs: [{name: stable, namespace: prod, port: 8080}]}]", "name: r, namespace: other")],
      "detect http: payments",
    ],
    [
      "a client's own route",
      [
        route("[{}]"),
        route("[{backendRefs: [{name: stable, namespace: prod, port: 8080}]}]", "name: own, namespace: web"),
      ],
      "detect own: stable=1",
    ],
  ];
  for (const [name, texts, expected] of rows) {
    const world = worldOf([...SERVICES, ...texts]);
    assert.deepEqual(world.problems, [], name);
    assert.equal(text(world.outbound(TARGET)), expected, name);
    assert.equal(text(world.outbound("payments.prod.svc.cluster.local:8080")), expected, name);
  }
});

test("the policy.linkerd.io HTTPRoute does the same", () => {
  const own = route("[{backendRefs: [{name: stable, port: 8080}]}]").replace(
    "gateway.networking.k8s.io/v1",
    "policy.linkerd.io/v1beta3",
  );
  assert.equal(text(worldOf([...SERVICES, own]).outbound(TARGET)), "detect r: stable=1");
});

test("a GRPCRoute makes the port speak gRPC", () => {
  const grpc = route("[{matches: [{method: {service: a.B}}]}]").replace("kind: HTTPRoute", "kind: GRPCRoute");
  assert.equal(text(worldOf([...SERVICES, grpc]).outbound(TARGET)), "grpc r");
});

test("the protocol comes from opaque ports and appProtocol", () => {
  const ip = clusterIpFor("prod", "payments");
  const rows: readonly (readonly [string, number, string])[] = [
    [service("payments"), 5432, "opaque"],
    [service("payments", "", "config.linkerd.io/opaque-ports: http"), 8080, "opaque"],
    [service("payments", "", "config.linkerd.io/opaque-ports: http"), 5432, "detect http: payments"],
    [service("payments", ", appProtocol: http"), 8080, "http1 http: payments"],
    [service("payments", ", appProtocol: kubernetes.io/h2c"), 8080, "http2 http: payments"],
    [service("payments", ", appProtocol: kubernetes.io/ws"), 8080, "http1 http: payments"],
    [service("payments", ", appProtocol: grpc"), 8080, "http2 http: payments"],
    [service("payments", ", appProtocol: https"), 8080, "opaque"],
    [service("payments", ", appProtocol: example.com/own"), 8080, "detect http: payments"],
    // A port that the service does not have leads nowhere.
    [service("payments"), 99, "detect no-port: fail 502"],
  ];
  for (const [yaml, port, expected] of rows)
    assert.equal(text(worldOf([yaml]).outbound(`${ip}:${port}`)), expected, yaml);
  const warned = worldOf([service("payments", ", appProtocol: example.com/own")]);
  assert.match(warningsOf(warned.snapshot)[0]?.message ?? "", /appProtocol/);
  const profile = `apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: payments.prod.svc.cluster.local, namespace: prod}
spec: {opaquePorts: ["8080"], routes: [{name: a, condition: {pathRegex: /a}}]}
`;
  const profiled = worldOf([service("payments"), profile]);
  assert.equal(text(profiled.outbound(TARGET)), "opaque");
  assert.deepEqual(profiled.problems, []);
});

test("retries, timeouts and breakers come from annotations; a route's replace all of its service's", () => {
  const annotations =
    "retry.linkerd.io/http: 5xx, retry.linkerd.io/limit: '3', timeout.linkerd.io/request: 2s, balancer.linkerd.io/failure-accrual: consecutive";
  const onService = worldOf([service("payments", "", annotations)]).outbound(TARGET);
  const rule = ruleOf(onService);
  assert.equal(rule?.retry?.maxRetries, 3);
  assert.deepEqual(
    rule?.retry?.conditions?.statusRanges.map(({ start, end }) => [start, end]),
    [[500, 599]],
  );
  assert.equal(rule?.timeouts?.request?.seconds, 2n);
  const kind = onService?.protocol?.kind;
  const accrual = kind?.case === "detect" ? kind.value.http1?.failureAccrual?.kind : undefined;
  assert.equal(accrual?.case === "consecutiveFailures" ? accrual.value.maxFailures : 0, 7);
  const onRoute = worldOf([
    service("payments", "", annotations),
    route(
      "[{timeouts: {request: 1s500ms, backendRequest: 250ms}}]",
      "name: r, namespace: prod, annotations: {timeout.linkerd.io/idle: 5s}",
    ),
  ]);
  const own = ruleOf(onRoute.outbound(TARGET));
  assert.equal(own?.retry, undefined);
  assert.equal(own?.timeouts?.idle?.seconds, 5n);
  assert.equal(own?.timeouts?.request?.nanos, 500_000_000);
  const bad = worldOf([
    service("payments", "", "retry.linkerd.io/http: sometimes, timeout.linkerd.io/request: 1.5s"),
  ]);
  assert.equal(warningsOf(bad.snapshot).length, 2);
});

const backendOf = (policy: OutboundPolicy | undefined) => {
  const distribution = ruleOf(policy)?.backends?.kind;
  const backend =
    distribution?.case === "firstAvailable" ? distribution.value.backends[0]?.backend?.kind : undefined;
  return backend?.case === "forward" ? backend.value : undefined;
};

test("addresses that are no service's are forwarded to, with the identity of the pod that has them", () => {
  const pod = `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: prod, labels: {linkerd.io/control-plane-ns: linkerd}}
spec: {serviceAccountName: sa, containers: []}
status: {podIP: 10.1.0.1}
`;
  const world = worldOf([pod]);
  const identity = backendOf(world.outbound("10.1.0.1:8080"))?.tlsIdentity?.strategy;
  assert.deepEqual(
    identity?.case === "dnsLikeIdentity" ? identity.value.name : "",
    "sa.prod.serviceaccount.identity.linkerd.cluster.local",
  );
  assert.equal(backendOf(world.outbound("10.1.0.2:8080"))?.tlsIdentity, undefined);
  assert.equal(text(world.outbound("10.1.0.1:5432")), "opaque");
  assert.equal(world.outbound("example.com:443"), undefined);
  assert.equal(world.outbound("none.prod.svc.cluster.local:80"), undefined);
  const skipped = worldOf([
    pod.replace("labels:", "annotations: {config.linkerd.io/skip-inbound-ports: '8080'}, labels:"),
  ]);
  assert.equal(backendOf(skipped.outbound("10.1.0.1:8080"))?.tlsIdentity, undefined);
});

const egress = (namespace: string, policy: string, networks = "") => `apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: all, namespace: ${namespace}}
spec: {trafficPolicy: ${policy} ${networks}}
`;

const go = (texts: readonly string[], target: string) => text(worldOf(texts).outbound(target));

test("an EgressNetwork allows or denies what leaves the cluster, the client's own before the global one", () => {
  assert.equal(go([egress("web", "Deny")], "8.8.8.8:80"), "detect egress-denied: fail 403");
  assert.equal(go([egress("web", "Deny")], "8.8.8.8:25"), "opaque forbidden");
  assert.equal(go([egress("web", "Deny")], "10.1.2.3:80"), "detect http: forward");
  assert.equal(go([egress("other", "Deny")], "8.8.8.8:80"), "detect http: forward");
  assert.equal(go([egress("linkerd-egress", "Deny")], "8.8.8.8:80"), "detect egress-denied: fail 403");
  assert.equal(
    go([egress("linkerd-egress", "Deny"), egress("web", "Allow")], "8.8.8.8:80"),
    "detect http: all",
  );
  assert.equal(
    go([egress("web", "Deny", ", networks: [{cidr: 9.0.0.0/8}]")], "8.8.8.8:80"),
    "detect http: forward",
  );
});

const conditions = (texts: readonly string[]) => {
  const { snapshot, settings } = worldOf(texts);
  return statusesOf(snapshot, settings).flatMap((status) => status.conditions.map(({ reason }) => reason));
};

test("the status of a route says whether it is accepted and whether its backends are found", () => {
  assert.deepEqual(conditions([...SERVICES, route("[{backendRefs: [{name: stable, port: 8080}]}]")]), [
    "Accepted",
    "ResolvedRefs",
  ]);
  assert.deepEqual(conditions([...SERVICES, route("[{backendRefs: [{name: gone, port: 8080}]}]")]), [
    "Accepted",
    "BackendNotFound",
  ]);
  assert.deepEqual(conditions([...SERVICES, route("[{backendRefs: [{name: x, kind: Bucket}]}]")]), [
    "Accepted",
    "InvalidKind",
  ]);
  assert.deepEqual(conditions([...SERVICES, route("[{filters: [{type: ExtensionRef}]}]")]), [
    "UnsupportedValue",
    "ResolvedRefs",
  ]);
  assert.deepEqual(conditions([route("[{}]")]), ["NoMatchingParent", "ResolvedRefs"]);
});

test("kinds and versions that are not supported are said to be, with file, line and object", () => {
  const { problems } = worldOf([
    route("[{}]").replace("kind: HTTPRoute", "kind: UDPRoute"),
    route("[{}]").replace("k8s.io/v1", "k8s.io/v9"),
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ignored}\n",
  ]);
  assert.deepEqual(
    problems.map(({ line, object, field }) => [line, object, field]),
    [
      [2, "UDPRoute prod/r", "kind"],
      [9, "HTTPRoute prod/r", "apiVersion"],
    ],
  );
});
