/** Evidence of a mesh in which everything that can be well is: what tests of faults start from. */
import type { ProxyCrypto } from "../inventory/inventory.ts";
import type { Evidence, Source } from "./evidence.ts";

const AT = "2026-11-21T12:00:00.000Z";
const D = (digit: string) => `sha256:${digit.repeat(64)}`;
const source = (query: string, object: string): Source => ({ query, object, at: AT, digest: D("e") });

function known<T>(query: string, object: string, value: T): { known: true; source: Source; value: T } {
  return { known: true, source: source(query, object), value };
}

const BUNDLE = "b".repeat(64);

const identity = (account: string) => `${account}.serviceaccount.identity.linkerd.cluster.local`;

const proxy = (namespace: string, pod: string, account: string): ProxyCrypto => ({
  namespace,
  pod,
  identity: identity(account),
  version: "1.0.0",
  module: { name: "AWS-LC FIPS", version: "3.1.0", mode: "approved" },
  groups: ["X25519MLKEM768"],
  suites: ["TLS_AES_256_GCM_SHA384"],
  certificate: {
    notAfter: "2026-11-22T08:00:00.000Z",
    keyType: "ecdsa-p256",
    signatureAlgorithm: "ecdsa-p256-sha256",
  },
  refusedIncompatible: 0,
  trustBundle: BUNDLE,
  countsDecisions: true,
});

const edge = (client: string, server: string, connections: number) => ({
  client: identity(client),
  server: identity(server),
  version: "TLSv1.3",
  suite: "TLS_AES_256_GCM_SHA384",
  group: "X25519MLKEM768",
  connections,
  open: 1,
});

const authority = (name: string, notAfter: string) => ({
  name,
  facts: {
    keyType: "ecdsa-p256",
    signatureAlgorithm: "ecdsa-p256-sha256",
    notBefore: "2026-01-01T00:00:00.000Z",
    notAfter,
    fingerprint: "ab".repeat(32),
  },
});

const DEMANDS = ["signature", "provenance", "bom", "vex", "summary", "testResult"] as const;
const IMAGE = { proxy: D("1"), controller: D("2") } as const;

const guard = (workload: string, port: number) => ({
  workload,
  port,
  server: `Server ${workload}`,
  explicit: true,
  unauthenticated: false,
  by: ["AuthorizationPolicy only-web"],
});

/** A new one each time: tests change it. */
export const healthy = (): Evidence => ({
  format: "hauberk-evidence/v1",
  at: AT,
  collector: { program: "hauberk", version: "1.0.0" },
  system: { kind: "cluster", name: "shop", namespace: "linkerd" },
  crypto: known("GET /metrics of every proxy", "3 proxies", {
    at: AT,
    proxies: [
      proxy("linkerd", "destination-1", "linkerd-destination.linkerd"),
      proxy("shop", "pay-1", "pay.shop"),
      proxy("shop", "web-1", "web.shop"),
    ],
    edges: [
      { ...edge("", "linkerd-destination.linkerd", 3), client: "" },
      edge("web.shop", "linkerd-destination.linkerd", 4),
      edge("web.shop", "pay.shop", 120),
    ],
    plain: [],
    silent: [],
  }),
  workloads: known("list Pods", "all namespaces", [
    {
      namespace: "linkerd",
      pod: "destination-1",
      meshed: true,
      own: true,
      images: { destination: IMAGE.controller, "linkerd-proxy": IMAGE.proxy },
    },
    { namespace: "shop", pod: "pay-1", meshed: true, own: false, images: { "linkerd-proxy": IMAGE.proxy } },
    { namespace: "shop", pod: "web-1", meshed: true, own: false, images: { "linkerd-proxy": IMAGE.proxy } },
  ]),
  guards: known("authorizations at every port", "2 workloads", [
    guard("shop/pay-1", 80),
    guard("shop/web-1", 80),
  ]),
  anchors: known("ConfigMap linkerd-identity-trust-roots", "linkerd", [
    authority("root.linkerd.cluster.local", "2036-01-01T00:00:00.000Z"),
  ]),
  issuer: known("Secret linkerd-identity-issuer", "linkerd", [
    authority("identity.linkerd.cluster.local", "2027-11-01T00:00:00.000Z"),
  ]),
  rotation: known("ConfigMap hauberk-trust", "linkerd", {
    phase: "steady",
    bundle: BUNDLE,
    proxies: 3,
    proven: 3,
  }),
  record: known("ConfigMaps hauberk-audit-*", "linkerd", { entries: 4, ok: true }),
  release: known("verify release-1.0.0", "2 images", {
    where: "release-1.0.0",
    version: "1.0.0",
    builder: "https://build.test",
    gate: "https://gate.test",
    checks: Object.entries(IMAGE).flatMap(([image, subject]) =>
      DEMANDS.map((demand) => ({ image, part: "linux/amd64", demand, subject, ok: true, detail: "" })),
    ),
    components: 120,
    vulnerabilities: { not_affected: 2 },
    advisoriesAt: "2026-11-18T00:00:00.000Z",
    conformance: { result: "PASSED", passed: 20, warned: 1, failed: 0 },
  }),
});
