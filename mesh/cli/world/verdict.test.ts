import assert from "node:assert/strict";
import { test } from "node:test";
import { describeVerdict } from "@hauberk/mesh/policy/edges.ts";
import { ask } from "@hauberk/mesh/policy/question.ts";
import { parseFile } from "@hauberk/mesh/source/manifests/parse.ts";
import { settingsOf } from "./settings.ts";
import { QuestionWords } from "./words.ts";
import { worldOfDocuments } from "./world.ts";

const deployment = (name: string, ports = "[{name: http, containerPort: 8080}]") => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      serviceAccountName: ${name}
      containers: [{name: c, ports: ${ports}, readinessProbe: {httpGet: {path: /ready, port: 8080}}}]`;

const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}`;

const server = (fields = "") => `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}, port: http, ${fields}}`;

const route = (name: string, rules: string, hostnames = "[]") => `
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: ${name}, namespace: shop}
spec: {hostnames: ${hostnames}, parentRefs: [{group: policy.linkerd.io, kind: Server, name: web}], rules: ${rules}}`;

const policy = (name: string, target: string, required = "[{kind: ServiceAccount, name: front}]") => `
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: shop}
spec: {targetRef: ${target}, requiredAuthenticationRefs: ${required}}`;

const ON_SERVER = "{group: policy.linkerd.io, kind: Server, name: web}";
const onRoute = (name: string) => `{group: policy.linkerd.io, kind: HTTPRoute, name: ${name}}`;

const authentication = (kind: string, spec: string) =>
  `apiVersion: policy.hauberk.io/v1alpha1\nkind: ${kind}\nmetadata: {name: n, namespace: shop}\nspec: ${spec}`;
const required = (kind: string) => `[{group: policy.hauberk.io, kind: ${kind}, name: n}]`;
const grpc = (type: string, method: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: g, namespace: shop}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: web}]
  rules: [{matches: [{method: {type: ${type}, service: a.B, method: ${method}}}]}]`;
const call = (path: string) => ({ path, method: "POST" });

function world(texts: readonly string[], values: unknown = {}) {
  const parsed = parseFile("world.yaml", texts.join("\n---\n"));
  const made = worldOfDocuments(parsed.documents, settingsOf(values, "linkerd"), parsed.problems);
  assert.deepEqual(made.problems, []);
  return made;
}

/** The verdict of the first workload, in words. */
function asked(texts: readonly string[], question: object, values?: unknown): string {
  const words = QuestionWords.parse({ namespace: "shop", from: "shop/front", to: "svc/web:80", ...question });
  const [answer, ...others] = ask(
    words,
    world([deployment("web"), deployment("front"), SERVICE, ...texts], values),
  );
  assert.deepEqual(others, []);
  return answer === undefined ? "nobody" : describeVerdict(answer.verdict);
}

test("S0-12: with a Server and a policy, that caller gets in and nobody else", () => {
  const texts = [server(), policy("p", ON_SERVER)];
  assert.equal(asked(texts, {}), "allowed by AuthorizationPolicy shop/p");
  for (const from of ["unmeshed", "shop/other", "other/front", "spiffe://cluster.local/ns/shop/sa/front"])
    assert.equal(asked(texts, { from }), "denied (unauthorized)");
});

test("a destination is a service, a controller, a pod or a Server, by port number or name", () => {
  const texts = [server(), policy("p", ON_SERVER)];
  for (const to of ["svc/web:80", "deploy/web:8080", "deploy/web:http", "po/web:http", "srv/web"])
    assert.equal(asked(texts, { to }), "allowed by AuthorizationPolicy shop/p", to);
  for (const to of ["svc/web:81", "deploy/gone:80", "deploy/web:https"])
    assert.equal(asked(texts, { to }), "nobody");
});

test("without a Server the default of pod, namespace and mesh decides, in this order", () => {
  const values = { proxy: { defaultInboundPolicy: "deny" } };
  assert.equal(asked([], { from: "unmeshed" }), "allowed by default:all-unauthenticated");
  assert.equal(asked([], {}, values), "denied (unauthorized)");
  const namespace = `apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {config.linkerd.io/default-inbound-policy: all-authenticated}}`;
  assert.equal(asked([namespace], {}, values), "allowed by default:all-authenticated");
  assert.equal(asked([namespace], { from: "unmeshed" }, values), "denied (unauthorized)");
});

test("a cluster policy is about the client's address", () => {
  const texts = [server("accessPolicy: cluster-unauthenticated")];
  assert.equal(
    asked(texts, { from: "unmeshed", ip: "10.1.2.3" }),
    "allowed by default:cluster-unauthenticated",
  );
  assert.equal(asked(texts, { from: "unmeshed", ip: "192.0.2.1" }), "denied (unauthorized)");
});

test("an audit admits whom nothing else does, and says so", () => {
  const texts = [server("accessPolicy: audit"), policy("p", ON_SERVER)];
  assert.equal(asked(texts, {}), "allowed by AuthorizationPolicy shop/p");
  assert.equal(asked(texts, { from: "unmeshed" }), "audited by default:audit");
});

test("routes are chosen by host, then path, then method, then headers; a route opens only itself", () => {
  const texts = [
    server("proxyProtocol: HTTP/1"),
    route("read", "[{matches: [{path: {value: /a}, method: GET}]}]"),
    route("deep", "[{matches: [{path: {value: /a/b}}]}]"),
    route(
      "exact",
      "[{matches: [{path: {type: Exact, value: /a/b}, headers: [{name: x-role, value: admin}]}]}]",
    ),
    route("host", "[{matches: [{path: {value: /}}]}]", "[only.test]"),
    ...["read", "deep", "exact", "host"].map((name) => policy(name, onRoute(name))),
  ];
  const by = (question: object) => asked(texts, question);
  assert.equal(by({ path: "/a/x" }), "allowed by AuthorizationPolicy shop/read");
  assert.equal(by({ path: "/a/b/c" }), "allowed by AuthorizationPolicy shop/deep");
  assert.equal(by({ path: "/a/b", header: ["X-Role: admin"] }), "allowed by AuthorizationPolicy shop/exact");
  assert.equal(by({ path: "/a/b", header: ["X-Role: user"] }), "allowed by AuthorizationPolicy shop/deep");
  assert.equal(by({ path: "/a/b", host: "ONLY.test:80" }), "allowed by AuthorizationPolicy shop/host");
  assert.equal(by({ path: "/a", method: "POST" }), "denied (route-not-found)");
  assert.equal(by({ path: "/ab" }), "denied (route-not-found)");
});

test("a path that has two readings is refused where rules look at paths, and judged in its one form", () => {
  const texts = [
    server("proxyProtocol: HTTP/1"),
    route("r", "[{matches: [{path: {value: /admin}}]}]"),
    policy("r", onRoute("r")),
  ];
  assert.equal(asked(texts, { path: "/x/..%2fadmin" }), "denied (ambiguous-path)");
  assert.equal(asked(texts, { path: "/x/%2e%2e//%61dmin/y" }), "allowed by AuthorizationPolicy shop/r");
});

test("the paths of probes are open to where probes come from", () => {
  const texts = [server("proxyProtocol: HTTP/1")];
  const values = { policyController: { probeNetworks: ["10.0.0.0/8"] } };
  const probe = { from: "unmeshed", path: "/ready" };
  assert.equal(asked(texts, { ...probe, ip: "10.0.0.1" }, values), "allowed by default:probe");
  assert.equal(asked(texts, { ...probe, ip: "192.0.2.1" }, values), "denied (unauthorized)");
  assert.equal(asked(texts, { ...probe, ip: "10.0.0.1", path: "/other" }, values), "denied (unauthorized)");
});

test("bytes pass where nothing looks at requests, and are refused where something does", () => {
  const plain = deployment("plain").replace(/, readinessProbe.*\}\}\]/, "}]");
  assert.equal(asked([plain], { bytes: true, to: "deploy/plain" }), "allowed by default:all-unauthenticated");
  // The paths of its probes are a policy of the port, which silence must not lead around.
  assert.equal(asked([], { bytes: true }), "denied (not-http)");
  const http = [server("proxyProtocol: HTTP/1"), policy("p", ON_SERVER)];
  assert.equal(asked(http, { bytes: true }), "denied (not-http)");
  const opaque = [server("proxyProtocol: opaque"), policy("p", ON_SERVER)];
  assert.equal(asked(opaque, {}), "allowed by AuthorizationPolicy shop/p");
  assert.equal(asked(opaque, { from: "unmeshed", bytes: true }), "denied (unauthorized)");
});

test("headers are judged, and what only the application's world can say is told as a condition", () => {
  const header = [
    server(),
    policy("p", ON_SERVER, required("HeaderAuthentication")),
    authentication("HeaderAuthentication", "{headers: [{name: x-role, value: admin}]}"),
  ];
  assert.equal(asked(header, { header: ["x-role: admin"] }), "allowed by AuthorizationPolicy shop/p");
  assert.equal(asked(header, { header: ["x-role: user"] }), "denied (unauthorized)");
  const external = [
    server(),
    policy("p", ON_SERVER, required("ExternalAuthorization")),
    authentication("ExternalAuthorization", "{backendRef: {name: web, port: 80}}"),
  ];
  assert.equal(
    asked(external, {}),
    "allowed by AuthorizationPolicy shop/p if ExternalAuthorization shop/n is met",
  );
});

test("methods of gRPC are routes, by name and by expression", () => {
  const target = "{group: gateway.networking.k8s.io, kind: GRPCRoute, name: g}";
  for (const protocol of ["gRPC", "HTTP/2"]) {
    const texts = [server(`proxyProtocol: ${protocol}`), policy("p", target)];
    assert.equal(
      asked([...texts, grpc("Exact", "Get")], call("/a.B/Get")),
      "allowed by AuthorizationPolicy shop/p",
    );
    assert.equal(asked([...texts, grpc("Exact", "Get")], call("/a.B/Put")), "denied (route-not-found)");
    assert.equal(
      asked([...texts, grpc("RegularExpression", '"G.*"')], call("/a.B/Got")),
      "allowed by AuthorizationPolicy shop/p",
    );
  }
});
