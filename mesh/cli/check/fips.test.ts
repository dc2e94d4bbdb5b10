import assert from "node:assert/strict";
import { test } from "node:test";
import type { CryptoInventory } from "@hauberk/compliance/inventory/inventory.ts";
import { FIPS_CHECKS, type FipsFacts } from "./fips.ts";
import { runChecks } from "./results.ts";

type Proxy = CryptoInventory["proxies"][number];
type Edge = CryptoInventory["edges"][number];

const PROXY: Proxy = {
  namespace: "shop",
  pod: "web",
  identity: "web",
  version: "1",
  module: { name: "AWS-LC FIPS", version: "3.1.0", mode: "approved" },
  groups: ["X25519MLKEM768", "SecP256r1MLKEM768", "secp256r1", "secp384r1"],
  suites: ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"],
  certificate: { keyType: "ecdsa-p256", signatureAlgorithm: "ecdsa-p256-sha256" },
  refusedIncompatible: 0,
  countsDecisions: true,
};
const EDGE: Edge = {
  client: "web",
  server: "db",
  version: "TLSv1.3",
  suite: "TLS_AES_128_GCM_SHA256",
  group: "X25519MLKEM768",
  connections: 1,
  open: 1,
};
const COMPONENT = {
  name: "linkerd/identity:9990",
  module: "OpenSSL FIPS Provider",
  version: "3.1.2",
  isApproved: true,
};

const facts = (change: {
  readonly proxy?: Partial<Proxy>;
  readonly edge?: Partial<Edge>;
  readonly component?: Partial<typeof COMPONENT>;
  readonly silent?: readonly string[];
}): FipsFacts => ({
  inventory: {
    at: "2026-11-21T12:00:00.000Z",
    proxies: [{ ...PROXY, ...change.proxy }],
    edges: [{ ...EDGE, ...change.edge }],
    plain: [],
    silent: [],
  },
  components: [{ ...COMPONENT, ...change.component }],
  silent: change.silent ?? [],
});

/** The checks that are not well, and how. */
const unwell = (of: FipsFacts) =>
  runChecks(FIPS_CHECKS, of)
    .filter(({ finding }) => finding.type !== "success")
    .map(({ description, finding }) => [description, finding.type]);

test("a mesh of the profile is well in every respect", () => {
  assert.deepEqual(unwell(facts({})), []);
});

test("B-19: each thing out of approved mode is found by its own check, and by no other", () => {
  const cases: readonly (readonly [FipsFacts, string, "error" | "warning"])[] = [
    [facts({ component: { isApproved: false } }), "control plane components are in approved mode", "error"],
    [
      facts({ component: { version: "3.5.4" } }),
      "control plane components run modules with a certificate",
      "warning",
    ],
    [
      facts({ proxy: { module: { ...PROXY.module, mode: "not-approved" } } }),
      "proxies are in approved mode",
      "error",
    ],
    [
      facts({ proxy: { module: { ...PROXY.module, version: "4.2.0" } } }),
      "proxies run modules with a certificate",
      "error",
    ],
    [facts({ proxy: { groups: ["x25519"] } }), "proxies offer approved algorithms only", "error"],
    [
      facts({ proxy: { certificate: { keyType: "ed25519", signatureAlgorithm: "ed25519" } } }),
      "proxies' certificates are of approved algorithms",
      "error",
    ],
    [
      facts({ edge: { suite: "TLS_CHACHA20_POLY1305_SHA256" } }),
      "connections negotiate approved groups and suites",
      "error",
    ],
    [facts({ silent: ["shop/db: no answer"] }), "every component and every proxy answers", "error"],
  ];
  for (const [of, description, type] of cases) assert.deepEqual(unwell(of), [[description, type]]);
});

test("a mesh in which nothing answers is not well", () => {
  const nothing = {
    inventory: { ...facts({}).inventory, proxies: [], edges: [] },
    components: [],
    silent: [],
  };
  assert.deepEqual(unwell(nothing), [["every component and every proxy answers", "error"]]);
});
