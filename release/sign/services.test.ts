import assert from "node:assert/strict";
import test from "node:test";
import { readServices } from "./services.ts";

const NOW = new Date("2026-06-01T00:00:00Z");

const service = (url: string, majorApiVersion: number, start: string, end?: string) => ({
  url,
  majorApiVersion,
  validFor: end === undefined ? { start } : { start, end },
  operator: "test",
});

const configuration = (rekorTlogUrls: readonly unknown[]) =>
  JSON.stringify({
    mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    caUrls: [service("https://ca.test/", 1, "2025-01-01T00:00:00Z")],
    oidcUrls: [],
    rekorTlogUrls,
    rekorTlogConfig: { selector: "ANY" },
    tsaUrls: [service("https://clock.test/api/v1/timestamp", 1, "2025-01-01T00:00:00Z")],
    tsaConfig: { selector: "ANY" },
  });

void test("of several logs the newest of our version that is in force is taken", () => {
  const logs = [
    service("https://log-2025.test", 2, "2025-01-01T00:00:00Z"),
    service("https://log-2026.test", 2, "2026-01-01T00:00:00Z"),
    service("https://log-2027.test", 2, "2027-01-01T00:00:00Z"),
    service("https://log-ended.test", 2, "2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z"),
    service("https://log-v1.test", 1, "2026-03-01T00:00:00Z"),
  ];
  assert.deepEqual(readServices(configuration(logs), NOW), {
    authority: "https://ca.test",
    log: "https://log-2026.test",
    clock: "https://clock.test/api/v1/timestamp",
  });
});

void test("a configuration without a log of our version, or of another shape, is refused by name", () => {
  const old = [service("https://log-v1.test", 1, "2025-01-01T00:00:00Z")];
  assert.throws(() => readServices(configuration(old), NOW), /rekorTlogUrls has no service of version 2/);
  assert.throws(() => readServices("{}", NOW), /signing configuration: .*mediaType/s);
  const file = [service("file:///etc/passwd", 2, "2025-01-01T00:00:00Z")];
  assert.throws(() => readServices(configuration(file), NOW), /url/i);
});
