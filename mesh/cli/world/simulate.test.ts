import assert from "node:assert/strict";
import { test } from "node:test";
import type { ObservedEdge } from "@hauberk/mesh/policy/observed.ts";
import { observedAt } from "@hauberk/mesh/policy/observed.ts";
import { suggestPolicies } from "@hauberk/mesh/policy/suggest.ts";
import { parseFile } from "@hauberk/mesh/source/manifests/parse.ts";
import { junit, readCases, runCases } from "./cases.ts";
import { removedOf } from "./change.ts";
import { settingsOf } from "./settings.ts";
import { simulate } from "./simulate.ts";
import { tried } from "./tried.ts";
import { worldOfDocuments } from "./world.ts";

const deployment = (name: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  template:
    metadata: {labels: {app: ${name}, pod-template-hash: abc}}
    spec: {serviceAccountName: ${name}, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}`;

const SERVER = `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, port: http}`;

const POLICY = `
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: front, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: web}
  requiredAuthenticationRefs: [{kind: ServiceAccount, name: front}]`;

const documentsOf = (...texts: readonly string[]) => parseFile("w.yaml", texts.join("\n---\n")).documents;
const worldOf = (...texts: readonly string[]) =>
  worldOfDocuments(documentsOf(deployment("web"), deployment("front"), ...texts), settingsOf({}, "linkerd"));

const FRONT = "front.shop.serviceaccount.identity.linkerd.cluster.local";
const seen = (client: string, more: Partial<ObservedEdge> = {}): ObservedEdge => ({
  namespace: "shop",
  pod: "web",
  port: 8080,
  client,
  protocol: "http",
  route: "",
  allowed: 5,
  denied: 0,
  ...more,
});

const simulated = (
  before: readonly string[],
  texts: readonly string[],
  remove: readonly string[],
  traffic: readonly ObservedEdge[] = [],
) =>
  simulate(
    worldOf(...before),
    {
      ok: true,
      documents: documentsOf(...texts),
      removed: remove.flatMap((word) => removedOf(word) ?? []),
      defaultInboundPolicy: undefined,
    },
    { observed: traffic, onlyObserved: false },
  );

test("a Server that denies turns everybody away whom no policy names, seen edges first", () => {
  const { changed, judged } = simulated([], [SERVER, POLICY], [], [seen(""), seen(FRONT)]);
  assert.ok(judged > changed.length);
  assert.deepEqual(
    changed.map(({ from, to, isObserved, isLoss }) => [from, to, isObserved, isLoss]),
    [
      ["unmeshed", "shop/Deployment/web:8080", true, true],
      ["shop/web", "shop/Deployment/web:8080", false, true],
      ["unmeshed", "shop/Deployment/web:8080", false, true],
    ],
  );
});

test("an object that is taken away takes its access with it; one that changes nothing changes nothing", () => {
  const { changed } = simulated([SERVER, POLICY], [], ["AuthorizationPolicy/shop/front"]);
  assert.deepEqual(
    changed.map(({ from, before, after }) => [from, before, after]),
    [["shop/front", "allowed by AuthorizationPolicy shop/front", "denied (unauthorized)"]],
  );
  assert.deepEqual(simulated([SERVER, POLICY], [POLICY], []).changed, []);
});

test("what cannot be read or is not there is told, and so is what admission would refuse", () => {
  const gone = simulated([], [], ["Server/shop/gone"]);
  assert.deepEqual(gone.problems, ["Server shop/gone is not there"]);
  const twin = SERVER.replace("name: web", "name: twin");
  assert.match(simulated([SERVER], [twin], []).refused[0] ?? "", /^Server shop\/twin: spec\.podSelector: /);
});

test("what is generated lets in what was seen and nobody else, and says what it cannot let in", () => {
  const world = worldOf();
  const traffic = [seen(FRONT), seen("", { allowed: 2 })];
  const { objects, notes } = suggestPolicies(traffic, world, { accessPolicy: "deny" });
  assert.deepEqual(
    objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    ["Server web-http", "MeshTLSAuthentication web-http-clients", "AuthorizationPolicy web-http-clients"],
  );
  assert.deepEqual(objects[0]?.spec["podSelector"], { matchLabels: { app: "web" } });
  assert.match(notes[0] ?? "", /shop\/web port 8080: 2 requests/);
  assert.deepEqual(tried(objects, traffic, world), []);
  const stranger = seen("back.shop.serviceaccount.identity.linkerd.cluster.local");
  assert.equal(tried(objects, [stranger], world).length, 1);
});

test("where a policy already speaks for a client, nothing wider is generated", () => {
  const { objects } = suggestPolicies([seen(FRONT)], worldOf(SERVER, POLICY), { accessPolicy: "deny" });
  assert.deepEqual(objects, []);
});

test("identities of other meshes are written as names, and bytes make an opaque Server", () => {
  const foreign = "a.b.serviceaccount.identity.linkerd.other.test";
  const { objects } = suggestPolicies([seen(foreign, { protocol: "tcp" })], worldOf(), {
    accessPolicy: "audit",
  });
  assert.deepEqual(objects[1]?.spec, { identities: [foreign] });
  assert.deepEqual(
    [objects[0]?.spec["proxyProtocol"], objects[0]?.spec["accessPolicy"]],
    ["opaque", "audit"],
  );
});

test("edges are summed from counters, without probes and the proxy's own ports", () => {
  const labels = {
    target_port: "8080",
    tls: "true",
    client_id: FRONT,
    route_kind: "default",
    authz_kind: "x",
  };
  const name = "inbound_http_authz_allow_total";
  const edges = observedAt(
    [
      { name, labels, value: 2 },
      { name, labels: { ...labels, authz_name: "other" }, value: 3 },
      { name: "inbound_http_authz_deny_total", labels, value: 1 },
      { name, labels: { ...labels, target_port: "4191" }, value: 9 },
      { name, labels: { ...labels, authz_kind: "default", authz_name: "probe" }, value: 9 },
      {
        name: "inbound_tcp_authz_allow_total",
        labels: { target_port: "8080", tls: "no_identity" },
        value: 1,
      },
      { name: "other_total", labels, value: 1 },
    ],
    { namespace: "shop", name: "web" },
  );
  assert.deepEqual(
    edges.map(({ client, protocol, allowed, denied }) => [client, protocol, allowed, denied]),
    [
      [FRONT, "http", 5, 1],
      ["", "tcp", 1, 0],
    ],
  );
});

const cases = (text: string) =>
  readCases(
    documentsOf(`apiVersion: policy.hauberk.io/v1alpha1
kind: PolicyTest
metadata: {name: web, namespace: shop}
spec: {cases: [${text}]}`),
  );

const TO = "to: {kind: Deployment, name: web, port: http}";

test("a case passes if every workload does what is expected, and fails with what it does instead", () => {
  const { cases: read, problems } = cases(
    [
      `{name: a, from: {serviceAccount: front}, ${TO}, expect: allow, by: AuthorizationPolicy shop/front}`,
      `{name: b, from: {unmeshed: true}, ${TO}, expect: deny}`,
      `{name: c, from: {serviceAccount: front}, ${TO}, expect: deny}`,
      `{name: d, from: {serviceAccount: front}, ${TO}, expect: allow, by: default:audit}`,
      `{name: e, from: {serviceAccount: front}, to: {kind: pod, name: gone, port: 1}, expect: deny}`,
    ].join(", "),
  );
  assert.deepEqual(problems, []);
  const results = runCases(read, worldOf(SERVER, POLICY));
  assert.deepEqual(
    results.map(({ failure }) => failure?.split(",")[0]),
    [
      undefined,
      undefined,
      "expected deny",
      "expected to be let in by default:audit",
      "the destination has no such port",
    ],
  );
  const xml = junit(results);
  assert.match(xml, /<testsuite name="web" tests="5" failures="3">/);
  assert.ok(!/<failure message="[^"]*</.test(xml));
});

test("a case that is wrong is named with file, line and field", () => {
  for (const [text, expected] of [
    [`{name: a, from: {}, ${TO}, expect: allow}`, /^w\.yaml:4: spec\.cases\[0\]\.from: exactly one of/],
    [`{name: a, from: {unmeshed: true}, ${TO}, expect: maybe}`, /spec\.cases\[0\]\.expect/],
    [`{name: a, from: {unmeshed: true}, ${TO}, expect: deny, extra: 1}`, /spec\.cases\[0\]: .*extra/],
    ["", /spec\.cases: /],
  ] as const)
    assert.match(cases(text).problems[0] ?? "", expected, text);
});
