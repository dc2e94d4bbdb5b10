import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalIp, cidrContains, formatCidr, formatIp, parseCidr, parseIp } from "./address.ts";
import { parseAuthority } from "./authority.ts";
import { parseDurationMs, parseGatewayDurationMs, parseGoDurationMs } from "./duration.ts";
import { hasPort, parsePorts } from "./ports.ts";
import { selects } from "./selector.ts";

test("every address has one spelling, and what is parsed can be written and parsed again", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const address = parseIp(text);
      assert.ok(address, text);
      const spelled = formatIp(address);
      assert.equal(isIP(spelled), address.family);
      assert.deepEqual(parseIp(spelled), address);
    }),
  );
});

test("what the platform does not take for an address is none", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9a-f:.]{0,20}$/), (text) => {
      assert.equal(parseIp(text) === undefined, isIP(text) === 0, text);
    }),
    { numRuns: 2_000 },
  );
  for (const bad of ["", "fe80::1%eth0", "1.2.3", "01.2.3.4", " 1.2.3.4"])
    assert.equal(canonicalIp(bad), undefined);
});

test("a network holds the addresses that share its prefix", () => {
  const cidr = parseCidr("10.96.0.1/12");
  assert.ok(cidr);
  assert.equal(formatCidr(cidr), "10.96.0.0/12");
  const holds = (text: string) => {
    const ip = parseIp(text);
    return ip !== undefined && cidrContains(cidr, ip);
  };
  assert.deepEqual(["10.96.0.0", "10.111.255.255", "10.112.0.0", "::a60:1"].map(holds), [
    true,
    true,
    false,
    false,
  ]);
  for (const bad of ["10.0.0.0/33", "::/129", "10.0.0.0/", "x/8", "1.2.3.4/8/8"])
    assert.equal(parseCidr(bad), undefined);
});

test("durations have a unit and no fraction", () => {
  for (const [text, ms] of [
    ["5ms", 5],
    ["3s", 3_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
  ] as const) {
    assert.equal(parseDurationMs(text), ms);
  }
  for (const bad of ["", "5", "1.5s", "-1s", "1h30m", "1w"]) assert.equal(parseDurationMs(bad), undefined);
  assert.equal(parseGatewayDurationMs("1h30m"), 5_400_000);
  assert.equal(parseGatewayDurationMs("10s500ms"), 10_500);
  for (const bad of ["", "10", "1d", "1.5s", "123456s"]) assert.equal(parseGatewayDurationMs(bad), undefined);
  assert.equal(parseGoDurationMs("1m30.5s"), 90_500);
  for (const bad of ["", "1", "-1s", "999999999999m"]) assert.equal(parseGoDurationMs(bad), undefined);
});

test("ports are numbers, ranges and names that are known", () => {
  const { ports, bad } = parsePorts("25, 4000-4010,smtp,nope,70000,5-3", new Map([["smtp", 587]]));
  assert.deepEqual(
    [25, 4005, 587, 26, 4011].map((port) => hasPort(ports, port)),
    [true, true, true, false, false],
  );
  assert.deepEqual(bad, ["nope", "70000", "5-3"]);
});

test("a selector holds when all of its parts do", () => {
  const labels = { app: "web", tier: "front" };
  const match = (matchExpressions: Parameters<typeof selects>[0]["matchExpressions"], matchLabels = {}) =>
    selects({ matchLabels, matchExpressions }, labels);
  assert.equal(match([]), true);
  assert.equal(match([], { app: "web" }), true);
  assert.equal(match([], { app: "api" }), false);
  assert.equal(match([{ operator: "In", key: "app", values: ["web", "api"] }]), true);
  assert.equal(match([{ operator: "In", key: "none", values: ["web"] }]), false);
  assert.equal(match([{ operator: "NotIn", key: "none", values: ["web"] }]), true);
  assert.equal(match([{ operator: "NotIn", key: "app", values: ["web"] }]), false);
  assert.equal(
    match([
      { operator: "Exists", key: "tier" },
      { operator: "DoesNotExist", key: "zone" },
    ]),
    true,
  );
});

const parse = (text: string) => {
  const authority = parseAuthority(text, "cluster.local");
  switch (authority?.type) {
    case "ip":
      return `ip ${formatIp(authority.ip)} ${authority.port}`;
    case "service":
      return `service ${authority.hostname ?? ""} ${authority.service.namespace}/${authority.service.name} ${authority.port}`;
    case "foreign":
      return `foreign ${authority.host} ${authority.port}`;
    case undefined:
      return undefined;
  }
};

test("authorities are addresses, services, pods of services, or foreign names", () => {
  const table: readonly (readonly [string, string | undefined])[] = [
    ["web.shop.svc.cluster.local:8080", "service  shop/web 8080"],
    ["Web.Shop.svc.cluster.local.", "service  shop/web 80"],
    ["db-0.db.shop.svc.cluster.local:5432", "service db-0 shop/db 5432"],
    ["10.1.2.3:80", "ip 10.1.2.3 80"],
    ["[fd00::1]:443", "ip fd00::1 443"],
    ["example.com:443", "foreign example.com 443"],
    ["a.b.c.d.svc.cluster.local:80", undefined],
    ["shop.svc.cluster.local:80", undefined],
    ["web.shop.svc.cluster.local:0", undefined],
    ["web.shop.svc.cluster.local:65536", undefined],
    ["[nope]:80", undefined],
    ["", undefined],
    ["a:b:c", undefined],
    ["a..:80", undefined],
    [".a:80", undefined],
    ["192.0.2.1.:80", undefined],
  ];
  for (const [text, expected] of table) assert.equal(parse(text), expected, text);
});
