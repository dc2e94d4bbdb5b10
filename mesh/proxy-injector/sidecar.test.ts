import assert from "node:assert/strict";
import { test } from "node:test";
import { injection, sidecar } from "./sidecar.ts";
import type { SidecarConfig, SidecarPod } from "./sidecar.ts";

const CONTROL = "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local";
const config: SidecarConfig = {
  clusterDomain: "cluster.local",
  trustDomain: "cluster.local",
  trustAnchorsPem: "PEM",
  clusterNetworks: ["10.0.0.0/8", "fd00::/8"],
  defaultInboundPolicy: "all-unauthenticated",
  destination: { addr: "10.244.0.10:8086", name: CONTROL },
  policy: { addr: "10.244.0.10:8090", name: CONTROL },
  identity: { addr: "10.244.0.10:8080", name: CONTROL },
  identityDir: "/state/identity",
  tokenFile: "/state/token",
  logLevel: "warn",
  logFormat: "plain",
  exempt: { type: "mark", mark: 0x8102 },
  environment: {},
};

test("an access log may choose its fields, and an annotation of ours that is not known is a problem", () => {
  const made = sidecar(
    pod({
      "config.linkerd.io/access-log": "json",
      "config.hauberk.io/access-log-fields": "status,uri",
      "config.hauberk.io/access-log-feilds": "status",
    }),
    config,
  );
  assert.equal(made.sidecar.environment["LINKERD2_PROXY_ACCESS_LOG"], "json");
  assert.equal(made.sidecar.environment["HAUBERK_PROXY_ACCESS_LOG_FIELDS"], "status,uri");
  assert.deepEqual(
    made.problems.map(({ annotation }) => annotation),
    ["config.hauberk.io/access-log-feilds"],
  );
});

test("a pod may require a post-quantum group of its peers, and no third thing", () => {
  const annotation = "config.hauberk.io/post-quantum";
  const required = sidecar(pod({ [annotation]: "require" }), config);
  assert.equal(required.sidecar.environment["HAUBERK_PROXY_POST_QUANTUM"], "require");
  assert.deepEqual(required.problems, []);
  const misspelt = sidecar(pod({ [annotation]: "required" }), config);
  assert.equal(misspelt.sidecar.environment["HAUBERK_PROXY_POST_QUANTUM"], undefined);
  assert.equal(misspelt.problems.length, 1);
});

test("a pod is tapped by the one who may, unless it says no", () => {
  const tap = "tap.linkerd-viz.serviceaccount.identity.linkerd.cluster.local";
  const variable = "LINKERD2_PROXY_TAP_SVC_NAME";
  const withTap = { ...config, tap };
  const disabled = pod({ "viz.linkerd.io/disable-tap": "true" });
  assert.equal(sidecar(pod(), config).sidecar.environment[variable], undefined);
  assert.equal(sidecar(pod(), withTap).sidecar.environment[variable], tap);
  assert.equal(sidecar(disabled, withTap).sidecar.environment[variable], undefined);
});

function pod(
  annotations: Record<string, string> = {},
  namespaceAnnotations: Record<string, string> = {},
): SidecarPod {
  return {
    namespace: "prod",
    name: "payments-0",
    node: "standalone",
    serviceAccount: "payments",
    ips: ["10.244.0.12"],
    ports: [8080, 9090],
    annotations,
    namespaceAnnotations,
  };
}

const variable = (name: string, annotations: Record<string, string>, ns: Record<string, string> = {}) =>
  sidecar(pod(annotations, ns), config).sidecar.environment[`LINKERD2_PROXY_${name}`];

test("a pod without annotations gets Linkerd's environment, to the letter", () => {
  const { sidecar: made, problems } = sidecar(pod(), config);
  assert.deepEqual(problems, []);
  assert.deepEqual(made.environment, {
    LINKERD2_PROXY_INBOUND_LISTEN_ADDR: "0.0.0.0:4143",
    LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR: "127.0.0.1:4140",
    LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS: "127.0.0.1:4140,[::1]:4140",
    LINKERD2_PROXY_ADMIN_LISTEN_ADDR: "0.0.0.0:4191",
    LINKERD2_PROXY_CONTROL_LISTEN_ADDR: "0.0.0.0:4190",
    LINKERD2_PROXY_INBOUND_IPS: "10.244.0.12",
    LINKERD2_PROXY_INBOUND_PORTS: "8080,9090",
    LINKERD2_PROXY_DESTINATION_SVC_ADDR: "10.244.0.10:8086",
    LINKERD2_PROXY_DESTINATION_SVC_NAME: CONTROL,
    LINKERD2_PROXY_DESTINATION_CONTEXT: '{"ns":"prod","nodeName":"standalone","pod":"payments-0"}',
    LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS: "10.0.0.0/8,fd00::/8",
    LINKERD2_PROXY_DESTINATION_PROFILE_SUFFIXES: "svc.cluster.local.",
    LINKERD2_PROXY_POLICY_SVC_ADDR: "10.244.0.10:8090",
    LINKERD2_PROXY_POLICY_SVC_NAME: CONTROL,
    LINKERD2_PROXY_POLICY_WORKLOAD: '{"ns":"prod","pod":"payments-0"}',
    LINKERD2_PROXY_POLICY_CLUSTER_NETWORKS: "10.0.0.0/8,fd00::/8",
    LINKERD2_PROXY_CONTROL_STREAM_INITIAL_TIMEOUT: "3s",
    LINKERD2_PROXY_CONTROL_STREAM_IDLE_TIMEOUT: "5m",
    LINKERD2_PROXY_CONTROL_STREAM_LIFETIME: "1h",
    LINKERD2_PROXY_INBOUND_DEFAULT_POLICY: "all-unauthenticated",
    LINKERD2_PROXY_IDENTITY_DIR: "/state/identity",
    LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS: "PEM",
    LINKERD2_PROXY_IDENTITY_TOKEN_FILE: "/state/token",
    LINKERD2_PROXY_IDENTITY_SVC_ADDR: "10.244.0.10:8080",
    LINKERD2_PROXY_IDENTITY_SVC_NAME: CONTROL,
    LINKERD2_PROXY_IDENTITY_LOCAL_NAME: "payments.prod.serviceaccount.identity.linkerd.cluster.local",
    LINKERD2_PROXY_LOG: "warn",
    LINKERD2_PROXY_LOG_FORMAT: "plain",
    LINKERD2_PROXY_INBOUND_CONNECT_TIMEOUT: "100ms",
    LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT: "1000ms",
    LINKERD2_PROXY_INBOUND_DISCOVERY_IDLE_TIMEOUT: "90s",
    LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT: "5s",
    LINKERD2_PROXY_INBOUND_ACCEPT_KEEPALIVE: "10000ms",
    LINKERD2_PROXY_OUTBOUND_CONNECT_KEEPALIVE: "10000ms",
    LINKERD2_PROXY_INBOUND_ACCEPT_USER_TIMEOUT: "30s",
    LINKERD2_PROXY_OUTBOUND_CONNECT_USER_TIMEOUT: "30s",
    LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION: "25,587,3306,4444,5432,6379,9300,11211",
    HAUBERK_PROXY_MARK: "33026",
  });
  assert.deepEqual(made.init, [
    "--incoming-proxy-port",
    "4143",
    "--outgoing-proxy-port",
    "4140",
    "--proxy-mark",
    "33026",
    "--inbound-ports-to-ignore",
    "4190,4191,4567,4568",
    "--outbound-ports-to-ignore",
    "4567,4568",
  ]);
});

test("a pod's annotation counts before its namespace's", () => {
  const ns = {
    "config.linkerd.io/default-inbound-policy": "deny",
    "config.linkerd.io/proxy-log-level": "debug",
  };
  assert.equal(variable("INBOUND_DEFAULT_POLICY", {}, ns), "deny");
  assert.equal(
    variable("INBOUND_DEFAULT_POLICY", { "config.linkerd.io/default-inbound-policy": "audit" }, ns),
    "audit",
  );
  assert.equal(variable("LOG", {}, ns), "debug");
});

test("annotations become the variables that Linkerd's injector sets", () => {
  const table: readonly (readonly [string, string, string, string])[] = [
    ["opaque-ports", "7070,9000-9010", "INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION", "7070,9000-9010"],
    ["inbound-port", "5143", "INBOUND_LISTEN_ADDR", "0.0.0.0:5143"],
    ["admin-port", "5191", "ADMIN_LISTEN_ADDR", "0.0.0.0:5191"],
    ["proxy-cpu-limit", "1500m", "CORES", "2"],
    ["proxy-disable-inbound-protocol-detect-timeout", "true", "INBOUND_DETECT_TIMEOUT", "365d"],
    ["proxy-admin-shutdown", "enabled", "SHUTDOWN_ENDPOINT_ENABLED", "true"],
    ["enable-external-profiles", "true", "DESTINATION_PROFILE_SUFFIXES", "."],
    ["shutdown-grace-period", "30s", "SHUTDOWN_GRACE_PERIOD", "30s"],
  ];
  for (const [annotation, value, name, expected] of table)
    assert.equal(variable(name, { [`config.linkerd.io/${annotation}`]: value }), expected, annotation);
});

const list = (...entries: readonly object[]) => ({
  "config.linkerd.io/proxy-additional-env": JSON.stringify(entries),
});

test("additional environment is merged by name, and the pod's comes last", () => {
  const made = sidecar(
    pod(list({ name: "A", value: "pod" }), list({ name: "A", value: "ns" }, { name: "B", value: "ns" })),
    { ...config, environment: { A: "mesh", C: "mesh" } },
  ).sidecar.environment;
  assert.deepEqual([made["A"], made["B"], made["C"]], ["pod", "ns", "mesh"]);
});

test("what cannot be obeyed is a problem, and the default holds", () => {
  const table: readonly (readonly [string, string, RegExp])[] = [
    ["default-inbound-policy", "open", /Invalid option/],
    ["opaque-ports", "80,http", /no list of ports/],
    ["opaque-ports", "9-1", /no list of ports/],
    ["inbound-port", "0", />=1/],
    ["proxy-inbound-connect-timeout", "soon", /no duration/],
    ["proxy-additional-env", "{}", /no JSON list/],
    ["no-such-setting", "x", /no annotation that this version knows/],
  ];
  for (const [annotation, value, expected] of table) {
    const { sidecar: made, problems } = sidecar(pod({ [`config.linkerd.io/${annotation}`]: value }), config);
    assert.equal(problems.length, 1, annotation);
    assert.equal(problems[0]?.annotation, `config.linkerd.io/${annotation}`);
    assert.match(problems[0]?.message ?? "", expected);
    assert.equal(made.environment["LINKERD2_PROXY_INBOUND_DEFAULT_POLICY"], "all-unauthenticated");
  }
});

test("skipped ports and networks go to the redirection, the proxy's own ports always", () => {
  const { init } = sidecar(
    pod({
      "config.linkerd.io/skip-inbound-ports": "22",
      "config.linkerd.io/skip-outbound-ports": "",
      "config.linkerd.io/skip-subnets": "192.168.0.0/16",
    }),
    { ...config, exempt: { type: "uid", uid: 2102 } },
  ).sidecar;
  assert.deepEqual(init.slice(4), [
    "--proxy-uid",
    "2102",
    "--inbound-ports-to-ignore",
    "4190,4191,22",
    "--subnets-to-ignore",
    "192.168.0.0/16",
  ]);
});

test("injection is asked for by pod or namespace, and anything else is no answer", () => {
  const enabled = { "linkerd.io/inject": "enabled" };
  assert.equal(injection({}, {}), "disabled");
  assert.equal(injection({}, enabled), "enabled");
  assert.equal(injection({ "linkerd.io/inject": "disabled" }, enabled), "disabled");
  assert.deepEqual(injection({ "linkerd.io/inject": "yes" }, enabled), {
    annotation: "linkerd.io/inject",
    message: "is yes: one of enabled, ingress, disabled",
  });
});
