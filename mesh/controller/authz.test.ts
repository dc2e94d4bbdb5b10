/** Requirements of authorizations beyond the client's identity: what is written, what is answered, what is said of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { AuthzExtensionSchema } from "../api/gen/hauberk/proxy/v1/inbound_pb.ts";
import type { Authz } from "../api/gen/inbound_pb.ts";
import { keyOfLocation } from "../model/jwks.ts";
import { inboundPolicy } from "../policy/inbound.ts";
import { statusesOf } from "../policy/status.ts";
import { worldOf } from "./fixture.ts";

const POD = `apiVersion: v1
kind: Pod
metadata: {name: payments-1, namespace: prod, labels: {app: payments}}
spec: {serviceAccountName: payments, containers: [{name: app, ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.1.0.1, conditions: [{type: Ready, status: "True"}]}
`;
const SERVER = `apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: payments, namespace: prod}
spec: {podSelector: {matchLabels: {app: payments}}, port: http}
`;
const JUDGE = `apiVersion: v1
kind: Service
metadata: {name: judge, namespace: prod}
spec: {clusterIP: 10.9.0.1, ports: [{name: grpc, port: 9000}]}
`;
const KEY = "{kty: OKP, crv: Ed25519, kid: a, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}";

const ours = (kind: string, spec: string) =>
  `apiVersion: policy.hauberk.io/v1alpha1\nkind: ${kind}\nmetadata: {name: it, namespace: prod}\nspec: ${spec}\n`;

const policy = (...references: readonly string[]) => `apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: p, namespace: prod}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: payments}
  requiredAuthenticationRefs: [${references.join(", ")}]
`;

const ref = (kind: string, group = "policy.hauberk.io") => `{group: ${group}, kind: ${kind}, name: it}`;
const WEB = "{kind: ServiceAccount, name: web, namespace: frontend}";

const jwt = (more: string) => `{issuer: i, audiences: [a], ${more}}`;

function extensionOf(authz: Authz) {
  const [field] = (authz.$unknown ?? []).filter(({ no }) => no === 1000);
  return field === undefined
    ? undefined
    : fromBinary(AuthzExtensionSchema, new BinaryReader(field.data).bytes());
}

/** The one authorization of the port, whose problems must be none. */
function answered(...texts: readonly string[]): Authz {
  const world = worldOf([POD, SERVER, JUDGE, ...texts]);
  assert.deepEqual(world.problems, []);
  const [authz, ...others] = world.inbound("prod/payments-1", 8080)?.authorizations ?? [];
  assert.ok(authz !== undefined && others.length === 0);
  return authz;
}

test("a peer that skips the extension admits nobody", () => {
  const spec = `{issuer: i, audiences: [a], jwks: {keys: [${KEY}]}}`;
  for (const [kind, text, requires] of [
    ["HeaderAuthentication", "{headers: [{name: X-A, value: b}]}", "headers"],
    ["JWTAuthentication", spec, "token"],
    ["ExternalAuthorization", "{backendRef: {name: judge, port: 9000}}", "external"],
  ] as const) {
    for (const references of [[ref(kind)], [ref(kind), WEB]]) {
      const authz = answered(ours(kind, text), policy(...references));
      const permit = authz.authentication?.permit;
      assert.ok(permit?.case === "meshTLS" && permit.value.clients.case === "identities", kind);
      assert.deepEqual(
        permit.value.clients.value.identities.map(({ name }) => name),
        ["requirements-not-understood.invalid"],
      );
      assert.deepEqual(permit.value.clients.value.suffixes, []);
      const extension = extensionOf(authz);
      assert.deepEqual(extension?.requires, [requires]);
      assert.deepEqual(
        [extension.proof?.anyone, extension.proof?.identities],
        references.length === 1
          ? [true, []]
          : [false, ["web.frontend.serviceaccount.identity.linkerd.cluster.local"]],
      );
    }
  }
});

test("what is written arrives at the proxy", () => {
  const headers = answered(
    ours(
      "HeaderAuthentication",
      "{headers: [{name: X-A, values: [b, c]}, {name: x-d, type: Prefix, value: e}, {name: f, type: NotPresent}]}",
    ),
    policy(ref("HeaderAuthentication")),
  );
  assert.deepEqual(
    extensionOf(headers)?.headers.map(({ name, test: { case: kind } }) => [name, kind]),
    [
      ["x-a", "exact"],
      ["x-d", "prefix"],
      ["f", "absent"],
    ],
  );
  const external = extensionOf(
    answered(
      ours(
        "ExternalAuthorization",
        "{backendRef: {name: judge, port: 9000}, cache: 2s, requestHeaders: [X-A], setHeaders: [X-B]}",
      ),
      policy(ref("ExternalAuthorization")),
    ),
  )?.external;
  assert.equal(external?.address, "10.9.0.1:9000");
  assert.equal(external.authority, "judge.prod.svc.cluster.local:9000");
  assert.deepEqual(
    [external.timeoutMs, external.cacheMs, external.dangerousAllowOnFailure],
    [250, 2000, false],
  );
  assert.deepEqual([external.headers, external.sets], [["x-a"], ["x-b"]]);
  const token = extensionOf(
    answered(
      ours(
        "JWTAuthentication",
        `{issuer: i, audiences: [a], algorithms: [ES256, EdDSA], jwks: {keys: [${KEY}]}, claims: [{path: [x, y], contains: [z]}]}`,
      ),
      policy(ref("JWTAuthentication")),
    ),
  )?.token;
  assert.deepEqual(
    token?.keys.map(({ id, algorithms, point }) => [id, algorithms, point.length]),
    [["a", ["EdDSA"], 32]],
  );
  assert.deepEqual(
    token.sources.map(({ from, prefix }) => [from.value, prefix]),
    [["authorization", "Bearer "]],
  );
  assert.deepEqual(
    token.claims.map(({ path, contains }) => [path, contains]),
    [[["x", "y"], ["z"]]],
  );
});

test("a mistake names its object and field", () => {
  for (const [kind, spec, field, message] of [
    ["HeaderAuthentication", "{headers: []}", "spec.headers", /./],
    [
      "HeaderAuthentication",
      "{headers: [{name: Host, value: a}]}",
      "spec.headers[0].name",
      /which no policy can speak of/,
    ],
    [
      "HeaderAuthentication",
      "{headers: [{name: l5d-client-id, value: a}]}",
      "spec.headers[0].name",
      /which no policy/,
    ],
    ["HeaderAuthentication", "{headers: [{name: a}]}", "spec.headers[0].value", /is required/],
    [
      "HeaderAuthentication",
      "{headers: [{name: a, type: RegularExpression, value: '(?=a)'}]}",
      "spec.headers[0].value",
      /lookaround/,
    ],
    ["JWTAuthentication", jwt(""), "spec.jwks", /exactly one of jwks and jwksUri/],
    ["JWTAuthentication", jwt("jwksUri: 'http://a/b'"), "spec.jwksUri", /https/],
    ["JWTAuthentication", jwt("jwksUri: 'https://a/b', jwksRefresh: 1s"), "spec.jwksRefresh", /5s to 24h/],
    ["JWTAuthentication", jwt("jwks: {keys: []}"), "spec.jwks", /has no key/],
    ["JWTAuthentication", jwt("jwks: {keys: [{kty: oct, k: c2VjcmV0}]}"), "spec.jwks", /key type oct/],
    [
      "JWTAuthentication",
      jwt(`jwks: {keys: [${KEY.replace("}", ", d: abc}")}]}`),
      "spec.jwks",
      /private key/,
    ],
    ["JWTAuthentication", jwt(`algorithms: [HS256], jwks: {keys: [${KEY}]}`), "spec.algorithms[0]", /./],
    ["JWTAuthentication", `{issuer: i, audiences: [], jwks: {keys: [${KEY}]}}`, "spec.audiences", /./],
    [
      "JWTAuthentication",
      jwt(`jwks: {keys: [${KEY}]}, claims: [{anyOf: [a]}]`),
      "spec.claims[0].claim",
      /exactly one of claim and path/,
    ],
    ["JWTAuthentication", jwt(`jwks: {keys: [${KEY}]}, clockSkewSeconds: 301`), "spec.clockSkewSeconds", /./],
    ["ExternalAuthorization", "{backendRef: {name: judge}}", "spec.backendRef.port", /./],
    [
      "ExternalAuthorization",
      "{backendRef: {name: judge, port: 1}, timeout: 11s}",
      "spec.timeout",
      /10000 ms/,
    ],
    [
      "ExternalAuthorization",
      "{backendRef: {name: judge, port: 1}, failurePolicy: Allow}",
      "spec.failurePolicy",
      /./,
    ],
    [
      "ExternalAuthorization",
      "{backendRef: {name: judge, port: 1}, setHeaders: [connection]}",
      "spec.setHeaders[0]",
      /which no policy/,
    ],
  ] as const) {
    const [problem] = worldOf([ours(kind, spec)]).problems;
    assert.equal(problem?.object, `${kind} prod/it`, spec);
    assert.equal(problem.field, field, spec);
    assert.match(problem.message, message, spec);
  }
});

test("a policy that cannot be met admits nobody, and its status says why", () => {
  const external = ours("ExternalAuthorization", "{backendRef: {name: judge, port: 9001}}");
  const byUri = ours("JWTAuthentication", "{issuer: i, audiences: [a], jwksUri: 'https://a/b'}");
  for (const [reference, more, reason] of [
    [ref("HeaderAuthentication"), [], "AuthenticationNotFound"],
    [ref("Tarot", "example.com"), [], "UnknownAuthentication"],
    [ref("ExternalAuthorization"), [external], "BackendNotFound"],
    [ref("JWTAuthentication"), [byUri], "KeysUnavailable"],
  ] as const) {
    const world = worldOf([POD, SERVER, JUDGE, policy(reference), ...more]);
    assert.deepEqual(world.inbound("prod/payments-1", 8080)?.authorizations, [], reason);
    const [status] = statusesOf(world.snapshot, world.settings);
    assert.equal(status?.conditions[1]?.reason, reason);
  }
  const { problems } = worldOf([policy(ref("Tarot", "example.com"))]);
  assert.deepEqual(
    problems.map(({ severity, field }) => [severity, field]),
    [["warning", "spec.requiredAuthenticationRefs[0].kind"]],
  );
});

test("keys that were fetched count like those that are written", () => {
  const byUri = ours("JWTAuthentication", "{issuer: i, audiences: [a], jwksUri: 'https://a/b'}");
  const { snapshot, settings } = worldOf([POD, SERVER, byUri, policy(ref("JWTAuthentication"))]);
  const location = { type: "uri", uri: "https://a/b", caBundle: undefined, refreshMs: 300_000 } as const;
  const material = { type: "point", point: new Uint8Array(32) } as const;
  const keySets = new Map([
    [keyOfLocation(location), { keys: [{ id: "k", algorithms: ["EdDSA"] as const, material }] }],
  ]);
  const query = { workload: { of: "Pod", namespace: "prod", name: "payments-1" }, port: 8080 } as const;
  const [authz] = inboundPolicy(query, { snapshot, settings, keySets })?.authorizations ?? [];
  assert.ok(authz !== undefined);
  assert.deepEqual(
    extensionOf(authz)?.token?.keys.map(({ id }) => id),
    ["k"],
  );
});

test("an audit is asked last, whatever else is written", () => {
  const audit = SERVER.replace("port: http", "port: http, accessPolicy: audit");
  const names = worldOf([POD, audit, policy(WEB)])
    .inbound("prod/payments-1", 8080)
    ?.authorizations.map(({ labels }) => labels["name"]);
  assert.deepEqual(names, ["p", "audit"]);
});
