import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { WeightedAddrSchema } from "../api/gen/destination_pb.ts";
import { wireTcpAddress } from "../api/wire.ts";
import { parseIp } from "../model/address.ts";
import { changed, digestValue, EMPTY_DIGEST, murmur3 } from "./digest.ts";

function at(ip: string, port: number) {
  const parsed = parseIp(ip);
  assert.ok(parsed !== undefined);
  return wireTcpAddress(parsed, port);
}

function plain(ip: string, port: number, weight = 10_000) {
  return create(WeightedAddrSchema, { addr: at(ip, port), weight });
}

const FULL = create(WeightedAddrSchema, {
  addr: at("fd00::1", 443),
  weight: 10_000,
  metricLabels: { zone: "zone-a", pod: "web-1" },
  tlsIdentity: {
    strategy: {
      case: "dnsLikeIdentity",
      value: { name: "Web.shop.serviceaccount.identity.linkerd.cluster.local." },
    },
  },
  protocolHint: { protocol: { case: "h2", value: {} }, opaqueTransport: { inboundPort: 4143 } },
});

test("the hash is MurmurHash3", () => {
  const table: readonly (readonly [string, number, number])[] = [
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["hello", 0, 0x248bfa47],
    ["hello, world", 0, 0x149bbb7f],
    ["The quick brown fox jumps over the lazy dog", 0, 0x2e4ff723],
  ];
  for (const [text, seed, expected] of table) assert.equal(murmur3(seed, Buffer.from(text)), expected, text);
});

// The same endpoints and digests stand in `proxy/control/src/digest.rs`.
test("the proxy computes the same", () => {
  const one = changed(EMPTY_DIGEST, { added: [plain("10.1.2.3", 8080)], removed: [] });
  assert.equal(digestValue(one), 4359126380070062900n);
  assert.equal(digestValue(changed(one, { added: [FULL], removed: [] })), 14708608116386085115n);
});

test("changes add up to the digest of the whole set, in any order", () => {
  const entry = fc.record({ last: fc.integer({ min: 1, max: 20 }), weight: fc.integer({ min: 0, max: 3 }) });
  const set = fc
    .uniqueArray(entry, { selector: ({ last }) => last })
    .map((entries) => entries.map(({ last, weight }) => plain(`10.0.0.${last}`, 80, weight)));
  fc.assert(
    fc.property(set, set, (before, after) => {
      const whole = changed(EMPTY_DIGEST, { added: before, removed: [] });
      const stepped = changed(whole, { added: after, removed: before });
      assert.deepEqual(stepped, changed(EMPTY_DIGEST, { added: after.toReversed(), removed: [] }));
    }),
  );
});
