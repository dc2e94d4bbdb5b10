import assert from "node:assert/strict";
import test from "node:test";
import type { Reported } from "./trust-grpc.ts";
import { isStaleReports, readReports, REPORTS_STALE_MS, writeReports } from "./trust-objects.ts";

const report = (uid: string, bundle: string, atMs: number): Reported => ({
  workload: { of: "Pod", namespace: "shop", name: uid },
  uid,
  bundle,
  issuer: "i",
  notAfterMs: 0,
  atMs,
});

test("of what several replicas heard of a proxy, the latest counts", () => {
  const before = writeReports([report("a", "old", 5_000), report("b", "old", 5_000)], 9_000);
  const after = writeReports([report("a", "new", 8_000)], 9_000);
  for (const texts of [
    [before, after],
    [after, before],
  ]) {
    const proven = readReports(texts);
    assert.deepEqual(
      ["a", "b"].map((uid) => proven.get(uid)?.bundle),
      ["new", "old"],
    );
  }
});

test("a replica that writes nonsense proves nothing, and one that writes no more is gone in time", () => {
  assert.equal(readReports(["", "{}", '{"atMs":1,"reports":{"b":{"i":{"uid":"x"}}}}']).size, 0);
  const text = writeReports([], 1_000);
  assert.ok(!isStaleReports(text, 1_000 + REPORTS_STALE_MS));
  assert.ok(isStaleReports(text, 1_001 + REPORTS_STALE_MS));
  assert.ok(isStaleReports("nonsense", Date.now()));
});

test("twenty thousand proxies fit into a ConfigMap", () => {
  const uid = "5f0c1d1e-0000-4000-8000-000000000000";
  const reports = Array.from({ length: 20_000 }, (_, n) =>
    report(uid.slice(0, -6) + String(n).padStart(6, "0"), "b".repeat(64), 1_795_291_524_000),
  );
  assert.ok(writeReports(reports, 0).length < 1_048_576 * 0.98);
});
