import assert from "node:assert/strict";
import test from "node:test";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import fc from "fast-check";
import { cbomOf } from "./cbom.ts";
import type { CryptoInventory } from "./inventory.ts";
import { describeSeconds, edgeRows, inventoryMetrics } from "./print.ts";

const MESH = { name: "mesh", version: "1.0.0" };
const AT = "2026-11-21T12:00:00.000Z";

const word = fc.string({ minLength: 1, maxLength: 12 });
const proxies = fc.uniqueArray(
  fc.record({
    namespace: word,
    pod: word,
    identity: fc.oneof(fc.constant(""), word),
    version: fc.oneof(fc.constant(""), fc.constant("1.0.0")),
    module: fc.record({
      name: word,
      version: word,
      mode: fc.constantFrom("approved", "not-approved", "unknown"),
    }),
    groups: fc.subarray(["X25519MLKEM768", "x25519", "other"]),
    suites: fc.subarray(["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]),
    certificate: fc.record({
      notAfter: fc.constantFrom(AT, "2026-11-22T12:00:00.000Z"),
      keyType: word,
      signatureAlgorithm: fc.constantFrom("unknown", "ecdsa-p256-sha256", "ml-dsa-65"),
    }),
    refusedIncompatible: fc.nat(),
    countsDecisions: fc.boolean(),
  }),
  { maxLength: 4, selector: ({ namespace, pod }) => `${namespace} ${pod}` },
);
const edges = fc.uniqueArray(
  fc.record({
    client: fc.oneof(fc.constant(""), word),
    server: word,
    version: fc.constant("TLSv1.3"),
    suite: fc.constantFrom("TLS_AES_256_GCM_SHA384", "TLS_NEW"),
    group: fc.constantFrom("X25519MLKEM768", "x25519", "new"),
    connections: fc.integer({ min: 1 }),
    open: fc.nat(),
  }),
  { maxLength: 4, selector: (edge) => JSON.stringify([edge.client, edge.server, edge.suite, edge.group]) },
);
const inventories: fc.Arbitrary<CryptoInventory> = fc.record({
  at: fc.constant(AT),
  proxies,
  edges,
  plain: fc.constant([]),
  silent: fc.array(word, { maxLength: 2 }),
});

void test("every inventory is a valid CycloneDX 1.6 document", async () => {
  const validator = new Validation.JsonStrictValidator(Spec.Spec1dot6.version);
  await fc.assert(
    fc.asyncProperty(inventories, async (inventory) => {
      assert.equal(await validator.validate(cbomOf(inventory, MESH)), null);
    }),
    { numRuns: 40 },
  );
});

void test("an edge says the first end of either side's certificates, and both modules", () => {
  const proxy = (pod: string, hours: number, mode: "approved" | "unknown") => ({
    namespace: "shop",
    pod,
    identity: pod,
    version: "1",
    module: { name: "aws-lc", version: "unknown", mode },
    groups: [],
    suites: [],
    certificate: {
      notAfter: new Date(Date.parse(AT) + hours * 3_600_000).toISOString(),
      keyType: "ecdsa-p256",
      signatureAlgorithm: "ecdsa-p256-sha256",
    },
    refusedIncompatible: 0,
    countsDecisions: true,
  });
  const inventory: CryptoInventory = {
    at: AT,
    proxies: [proxy("web", 5, "approved"), proxy("pay", 3, "unknown")],
    edges: [
      {
        client: "web",
        server: "pay",
        version: "TLSv1.3",
        suite: "S",
        group: "x25519",
        connections: 2,
        open: 1,
      },
    ],
    plain: [],
    silent: [],
  };
  const [row] = edgeRows(inventory);
  assert.equal(row?.secondsLeft, 3 * 3_600);
  assert.equal(row?.postQuantum, false);
  assert.equal(row?.module, "aws-lc (approved mode), aws-lc (mode unknown)");
  assert.match(
    inventoryMetrics(inventory),
    /^hauberk_crypto_edge_connections\{client_id="web",server_id="pay",.*post_quantum="false"\} 2$/m,
  );
});

void test("a time left is said in its two largest units", () => {
  assert.deepEqual(
    [0, 59, 3_600, 86_400 * 2 + 3_700].map((seconds) => describeSeconds(seconds)),
    ["ended", "0m", "1h 0m", "2d 1h"],
  );
  assert.equal(describeSeconds(undefined), "unknown");
});
