/** Sessions and hashed keys: manifests on one side, what our proxy is told on the other. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { OutboundPolicyOverlaySchema } from "../api/gen/hauberk/proxy/v1/overlay_pb.ts";
import { OutboundPolicySchema } from "../api/gen/outbound_pb.ts";
import { parseAuthority } from "../model/authority.ts";
import { outboundPolicy } from "../policy/outbound.ts";
import { statusesOf, warningsOf } from "../policy/status.ts";
import { parseConfig } from "./config.ts";
import { worldOf } from "./fixture.ts";
import { sessionSecret } from "./session_secret.ts";

const service = (name: string, annotations = ""): string => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: prod, annotations: {${annotations}}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 8080}]}
`;
const route = (rule: string, kind = "HTTPRoute"): string => `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: {name: r, namespace: prod}
spec: {parentRefs: [{name: web, kind: Service, group: core}], rules: [{${rule}}]}
`;
const SECRET = new Uint8Array(32).fill(7);

function endpointAt(): never {
  return assert.fail("no address is asked about");
}

/** The overlay of the answer for a service: its first rule. */
function ruleOf(texts: readonly string[], { name = "web", secret = SECRET } = {}) {
  const { context, settings } = worldOf(texts);
  const target = parseAuthority(`${name}.prod.svc.cluster.local:8080`, settings.clusterDomain);
  assert.ok(target);
  const policy = outboundPolicy(
    { target, sourceNamespace: "prod" },
    { snapshot: context.snapshot, settings: { ...settings, sessionSecret: secret }, endpointAt },
  );
  assert.ok(policy);
  const { protocol } = fromBinary(OutboundPolicyOverlaySchema, toBinary(OutboundPolicySchema, policy));
  return (protocol?.grpc ?? protocol?.detect?.http1)?.routes[0]?.rules[0];
}

const sessionOf = (texts: readonly string[], options?: Parameters<typeof ruleOf>[1]) =>
  ruleOf(texts, options)?.extension?.session;

test("a rule's session is told with its key, and goes before the service's", () => {
  const own = `sessionPersistence: {sessionName: sid, absoluteTimeout: 1h, idleTimeout: 5m, cookieConfig: {lifetimeType: Permanent}}`;
  const annotated = service(
    "web",
    "hauberk.io/session-persistence: header:x-s, hauberk.io/session-idle-timeout: 9s",
  );
  for (const kind of ["HTTPRoute", "GRPCRoute"]) {
    const session = sessionOf([annotated, route(own, kind)]);
    assert.deepEqual(session?.carrier, { case: "cookie", value: "sid" });
    assert.deepEqual(
      [session?.absoluteTimeoutMs, session?.idleTimeoutMs, session?.permanent, session?.key.length],
      [3_600_000n, 300_000n, true, 32],
    );
    assert.deepEqual(sessionOf([annotated, route("", kind)])?.carrier, { case: "header", value: "x-s" });
  }
  assert.deepEqual(sessionOf([annotated])?.idleTimeoutMs, 9_000n);
  assert.equal(sessionOf([service("web")]), undefined);
});

test("each service has a key of its own, and the same from the same secret", () => {
  const annotation = "hauberk.io/session-persistence: cookie";
  const texts = [service("web", annotation), service("api", annotation)];
  const key = (options?: Parameters<typeof ruleOf>[1]) =>
    Buffer.from(sessionOf(texts, options)?.key ?? []).toString("hex");
  assert.equal(key(), key());
  assert.notEqual(key(), key({ name: "api" }));
  assert.notEqual(key(), key({ secret: new Uint8Array(32) }));
});

test("a session of a kind that is not known fails its rule, and a mistake is named", () => {
  const unknown = worldOf([service("web"), route("sessionPersistence: {type: Magic}")]);
  const condition = statusesOf(unknown.snapshot, unknown.settings)[0]?.conditions[0];
  assert.match(condition?.message ?? "", /^session persistence of type Magic is not supported/);
  for (const [session, field] of [
    ["{sessionName: 'a b'}", "sessionName"],
    ["{idleTimeout: soon}", "idleTimeout"],
    ["{cookieConfig: {lifetimeType: Permanent}}", "absoluteTimeout"],
  ] as const) {
    const [problem] = worldOf([service("web"), route(`sessionPersistence: ${session}`)]).problems;
    assert.equal(problem?.field, `spec.rules[0].sessionPersistence.${field}`);
  }
});

test("a service's key for hashing goes with its backend, and what is not understood is a warning", () => {
  const rows: readonly (readonly [string, unknown, number])[] = [
    ["hauberk.io/consistent-hash: header:x-user", { case: "header", value: "x-user" }, 125],
    ["hauberk.io/consistent-hash: cookie:sid", { case: "cookie", value: "sid" }, 125],
    ["hauberk.io/consistent-hash: query:user", { case: "query", value: "user" }, 125],
    [
      "hauberk.io/consistent-hash: source-ip, hauberk.io/consistent-hash-load-factor: '2'",
      { case: "sourceIp", value: true },
      200,
    ],
  ];
  for (const [annotation, key, loadPercent] of rows) {
    const backends = ruleOf([service("web", annotation)])?.backends?.firstAvailable?.backends;
    const hash = backends?.[0]?.backend?.extension?.hash;
    assert.deepEqual([hash?.key, hash?.loadPercent], [key, loadPercent]);
  }
  for (const wrong of ["header", "path", "header:a b", "source-ip:x", "cookie:"]) {
    const world = worldOf([service("web", `hauberk.io/consistent-hash: '${wrong}'`)]);
    assert.equal(warningsOf(world.snapshot).length, 1, wrong);
  }
});

test("the secret is the same while its file or the issuer's key is", async () => {
  const dir = await mkdtemp(join(tmpdir(), "hb-secret-"));
  try {
    const config = (...flags: string[]) => parseConfig(["--manifests", dir, ...flags], {});
    await writeFile(join(dir, "issuer.crt"), "certificate");
    await writeFile(join(dir, "issuer.key"), "private key");
    await writeFile(join(dir, "secret"), "x".repeat(32));
    await writeFile(join(dir, "short"), "x");
    const issuer = config("--issuer-dir", dir, "--join-token-key", "k");
    const own = config("--session-key", join(dir, "secret"));
    assert.deepEqual(await sessionSecret(issuer), await sessionSecret(issuer));
    assert.deepEqual(await sessionSecret(own), await sessionSecret(own));
    assert.notDeepEqual(await sessionSecret(own), await sessionSecret(issuer));
    assert.notDeepEqual(await sessionSecret(config()), await sessionSecret(config()));
    await assert.rejects(sessionSecret(config("--session-key", join(dir, "short"))), /fewer than 32 bytes/);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("faults and sessions of a service hold for the routes of its profile, too", () => {
  const profile = `apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: web.prod.svc.cluster.local, namespace: prod}
spec: {routes: [{name: any, condition: {pathRegex: "/.*"}}]}
`;
  const fault = `apiVersion: policy.hauberk.io/v1alpha1
kind: HTTPFaultInjection
metadata: {name: drill, namespace: prod}
spec: {targetRef: {kind: Service, name: web}, delay: 1s, window: {end: "2100-01-01T00:00:00Z"}}
`;
  const rule = ruleOf([service("web", "hauberk.io/session-persistence: cookie"), profile, fault]);
  assert.ok(rule?.extension?.condition !== undefined, "it is the profile's rule");
  assert.equal(rule.extension.session?.carrier.case, "cookie");
  assert.deepEqual(
    rule.filters.map(({ extension }) => extension?.filter?.kind.case),
    ["fault"],
  );
});
