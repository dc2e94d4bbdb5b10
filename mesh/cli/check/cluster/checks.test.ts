import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { generateKeyPair } from "@hauberk/crypto/algorithms.ts";
import { readCertificatesPem, type Certificate } from "@hauberk/crypto/certificate.ts";
import { createTrustAnchor, issueLeaf, randomSerial } from "@hauberk/crypto/issue.ts";
import { newAuthority } from "@hauberk/mesh/install/issuer.ts";
import { expectedNames } from "@hauberk/mesh/install/names.ts";
import { DEFINITIONS } from "@hauberk/mesh/install/crd/definitions.ts";
import { nameOf } from "@hauberk/mesh/install/crd/definition.ts";
import { mergeTrees, parseValues } from "@hauberk/mesh/install/values/values.ts";
import { CHECKS } from "../checks.ts";
import type { Learnt } from "../facts.ts";
import { runChecks, mayPass } from "../results.ts";
import { checksFor, type Report } from "./checks.ts";
import { needed, questionKey } from "./access.ts";
import type { ClusterFacts, PodFact } from "./facts.ts";

const NOW_MS = Date.parse("2026-06-01T00:00:00Z");
const DAY_MS = 86_400_000;

const ok = <T>(value: T): Learnt<T> => ({ ok: true, value });
const authority = newAuthority(parseValues(), "linkerd", NOW_MS - DAY_MS);
const values = parseValues(mergeTrees(authority, { linkerdVersion: "1.0.0" }));
const anchors = readCertificatesPem(values.identityTrustAnchorsPEM);
const issuer = readCertificatesPem(values.identity.issuer.tls.crtPEM);

function webhookCertificates(lifeMs: number): readonly [authority: Certificate, leaf: Certificate] {
  const keys = generateKeyPair("ecdsa-p256-sha256");
  const nowMs = NOW_MS - DAY_MS;
  const root = createTrustAnchor({
    commonName: "webhook",
    keys,
    serial: randomSerial(),
    nowMs,
    lifeMs: 400 * DAY_MS,
  });
  const leaf = issueLeaf(root, {
    publicKey: generateKeyPair("ecdsa-p256-sha256").publicKey,
    names: [{ kind: "dns", value: "linkerd-proxy-injector.linkerd.svc" }],
    serial: randomSerial(),
    nowMs,
    lifeMs,
  });
  return [root.certificate, leaf];
}

const [webhookAuthority, webhookLeaf] = webhookCertificates(365 * DAY_MS);

function pod(name: string, more: Partial<PodFact> = {}): PodFact {
  return {
    namespace: "shop",
    name,
    labels: { "linkerd.io/control-plane-ns": "linkerd", app: name },
    annotations: { "linkerd.io/proxy-version": "1.0.0" },
    phase: "Running",
    isReady: true,
    unschedulable: undefined,
    isLeaving: false,
    onHostNetwork: false,
    ips: ["10.1.0.7"],
    containers: [
      { name: "linkerd-proxy", image: "hauberk/proxy:1.0.0", isReady: true, reason: undefined, ports: [] },
    ],
    ...more,
  };
}

const KINDS = [
  "ClusterRole",
  "ClusterRoleBinding",
  "ServiceAccount",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
];

const WELL: ClusterFacts = {
  nowMs: NOW_MS,
  cliVersion: "1.0.0",
  expectedVersion: "1.0.0",
  namespace: "linkerd",
  cniNamespace: "linkerd-cni",
  dataPlane: "shop",
  server: ok("v1.36.3"),
  kinds: ok(
    new Set([
      ...DEFINITIONS.map(nameOf),
      "httproutes.gateway.networking.k8s.io",
      "grpcroutes.gateway.networking.k8s.io",
    ]),
  ),
  config: ok(values),
  objects: ok(new Map(KINDS.map((kind) => [kind, new Set(expectedNames(kind, values, "linkerd"))]))),
  cni: ok(
    new Map(
      [
        ["ConfigMap", "linkerd-cni-config"],
        ["ClusterRole", "linkerd-cni"],
        ["ClusterRoleBinding", "linkerd-cni"],
        ["ServiceAccount", "linkerd-cni"],
        ["DaemonSet", "linkerd-cni"],
      ].map(([kind = "", name = ""]) => [kind, new Set([name])]),
    ),
  ),
  cniDaemon: ok({ name: "linkerd-cni", wanted: 1, ready: 1 }),
  replicaSets: ok([{ name: "linkerd-destination-1", wanted: 1, ready: 1 }]),
  pods: ok([
    pod("web"),
    pod("linkerd-destination-1", {
      namespace: "linkerd",
      labels: {
        "linkerd.io/control-plane-ns": "linkerd",
        "linkerd.io/control-plane-component": "destination",
      },
    }),
  ]),
  services: ok([
    {
      namespace: "shop",
      name: "web",
      labels: {},
      annotations: {},
      clusterIps: ["10.2.0.1"],
      selector: { app: "web" },
      ports: [{ port: 80, targetPort: 8080 }],
    },
  ]),
  nodes: ok([{ name: "node-1", podCidrs: ["10.1.0.0/24"], runtime: "containerd://2.3.7" }]),
  namespaces: ok([
    { name: "linkerd", labels: {}, annotations: {} },
    { name: "shop", labels: {}, annotations: {} },
  ]),
  anchors: ok(anchors),
  issuer: ok(issuer),
  webhooks: ["proxy-injector", "sp-validator", "policy-validator"].map((name) => ({
    name,
    serving: ok(webhookLeaf),
    bundle: ok([webhookAuthority]),
  })),
  heartbeats: ok([{ node: "node-1", atMs: NOW_MS - 5_000 }]),
  access: ok(new Map(needed("linkerd").flatMap(({ asks }) => asks.map((ask) => [questionKey(ask), true])))),
};

const WISH = { namespace: "linkerd", cniNamespace: "linkerd-cni", withCni: true };

function notWell(report: Report, facts: ClusterFacts): readonly string[] {
  return runChecks(checksFor(report, WISH), facts)
    .filter(({ finding }) => finding.type !== "success")
    .map(({ hint, finding }) => `${finding.type} ${hint.slice(hint.indexOf("#") + 1)}`);
}

const [shop] = WELL.services.ok ? WELL.services.value : [];
assert.ok(shop);

test("a cluster that is well has nothing to say in any report", () => {
  for (const report of ["crds", "control-plane", "proxy"] as const)
    assert.deepEqual(notWell(report, WELL), [], report);
  assert.deepEqual(notWell("pre", { ...WELL, namespaces: ok([]) }), []);
});

const CASES: readonly (readonly [
  what: string,
  report: Report,
  facts: Partial<ClusterFacts>,
  found: readonly string[],
])[] = [
  [
    "an API server that does not answer",
    "crds",
    { server: { ok: false, why: "refused" } },
    ["error k8s-api"],
  ],
  ["an old API server", "crds", { server: ok("v1.29.1") }, ["error k8s-version"]],
  ["missing kinds", "crds", { kinds: ok(new Set()) }, ["error l5d-existence-crd"]],
  ["a namespace that exists already", "pre", {}, ["error pre-ns"]],
  [
    "no right to create",
    "pre",
    {
      namespaces: ok([]),
      access: ok(
        new Map(
          [...(WELL.access.ok ? WELL.access.value : [])].map(([key]) => [
            key,
            !key.startsWith("create secrets"),
          ]),
        ),
      ),
    },
    ["error pre-k8s"],
  ],
  [
    "a clock that is wrong",
    "pre",
    { namespaces: ok([]), heartbeats: ok([{ node: "a", atMs: NOW_MS - 600_000 }]) },
    ["warning pre-k8s-clock-skew"],
  ],
  [
    "no control plane",
    "control-plane",
    { config: { ok: false, why: "not found" } },
    ["error l5d-existence-linkerd-config"],
  ],
  [
    "a pod that finds no node",
    "control-plane",
    {
      pods: ok([
        pod("linkerd-identity-1", {
          namespace: "linkerd",
          phase: "Pending",
          isReady: false,
          unschedulable: "0/1 nodes",
          labels: { "linkerd.io/control-plane-component": "identity" },
        }),
      ]),
    },
    ["warning l5d-existence-unschedulable-pods", "error l5d-api-control-ready"],
  ],
  [
    "a missing role",
    "control-plane",
    { objects: ok(new Map([["ClusterRole", new Set<string>()]])) },
    ["error l5d-existence-cr"],
  ],
  [
    "pods outside of the networks",
    "control-plane",
    { pods: ok([...(WELL.pods.ok ? WELL.pods.value : []), pod("far", { ips: ["8.8.8.8"] })]) },
    ["error l5d-cluster-networks-pods"],
  ],
  [
    "an expired issuer",
    "control-plane",
    { nowMs: NOW_MS + 366 * DAY_MS },
    ["error l5d-identity-issuer-cert-is-time-valid"],
  ],
  [
    "an issuer of another mesh",
    "control-plane",
    {
      issuer: ok(
        readCertificatesPem(parseValues(newAuthority(values, "linkerd", NOW_MS)).identity.issuer.tls.crtPEM),
      ),
    },
    ["error l5d-identity-issuer-cert-issued-by-trust-anchor"],
  ],
  [
    "a webhook that is not trusted",
    "control-plane",
    { webhooks: [{ name: "proxy-injector", serving: ok(webhookLeaf), bundle: ok(anchors) }] },
    ["error l5d-proxy-injector-webhook-cert-valid"],
  ],
  [
    "docker without root",
    "control-plane",
    { nodes: ok([{ name: "a", podCidrs: [], runtime: "docker://20" }]) },
    ["error l5d-proxy-init-run-as-root"],
  ],
  [
    "another version",
    "proxy",
    { expectedVersion: "1.1.0" },
    [
      "warning l5d-version-cli",
      "warning l5d-version-control",
      "warning l5d-cp-proxy-version",
      "warning l5d-data-plane-version",
    ],
  ],
  ["no namespace of this name", "proxy", { dataPlane: "shp" }, ["error l5d-data-plane-exists"]],
  [
    "an annotation as a label",
    "proxy",
    { services: ok([{ ...shop, labels: { "config.linkerd.io/opaque-ports": "80" } }]) },
    ["warning l5d-data-plane-services-labels"],
  ],
  [
    "an annotation for pods on a Service",
    "proxy",
    { services: ok([{ ...shop, annotations: { "config.linkerd.io/proxy-log-level": "debug" } }]) },
    ["warning l5d-data-plane-services-annotations"],
  ],
  [
    "opaque on one side",
    "proxy",
    { services: ok([{ ...shop, annotations: { "config.linkerd.io/opaque-ports": "80" } }]) },
    ["warning linkerd-opaque-ports-definition"],
  ],
];

for (const [what, report, facts, found] of CASES) {
  test(`${what} is found, and nothing else`, () => {
    assert.deepEqual(notWell(report, { ...WELL, ...facts }), found);
  });
}

function waitingHelps(facts: Partial<ClusterFacts>): boolean {
  return mayPass(runChecks(checksFor("control-plane", WISH), { ...WELL, ...facts }));
}

test("waiting helps where pods are not ready yet, and not where a role is missing", () => {
  assert.equal(waitingHelps({ replicaSets: ok([{ name: "a", wanted: 1, ready: 0 }]) }), true);
  assert.equal(waitingHelps({ objects: ok(new Map()) }), false);
});

test("every hint of every check resolves to an anchor of the page", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../../docs/guide/check.md"), "utf8");
  const anchors = new Set([...page.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id));
  const reports = ["pre", "crds", "proxy"] as const;
  const hints = [...CHECKS, ...reports.flatMap((report) => checksFor(report, WISH))].map(({ hint }) => hint);
  assert.ok(hints.length > 60);
  assert.deepEqual(
    [...new Set(hints)].filter((hint) => !anchors.has(hint)),
    [],
  );
});
