/**
 * The digest of an endpoint set, computed alike by the proxy (`proxy/control/src/digest.rs`). Pure.
 *
 * It tells a set that went wrong on its way or in the proxy's fold from the one that was meant; it is no protection
 * against somebody who wants two sets to have one digest, and the stream's TLS is. Two MurmurHash3 (x86, 32 bits) of
 * each endpoint's canonical text, summed: the order does not matter, and a change costs only what changed.
 */
import type { TlsIdentity, WeightedAddr } from "../api/gen/destination_pb.ts";
import { bitsOfWireIp } from "../api/wire.ts";

/** Seeds of the two halves, low first. */
const SEEDS = [0x68617562, 0x65726b21] as const;

/** The sums of both halves. */
export interface Digest {
  readonly low: number;
  readonly high: number;
}

/** Of the empty set. */
export const EMPTY_DIGEST: Digest = { low: 0, high: 0 };

/** As on the wire. */
export function digestValue({ low, high }: Digest): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

/** The digest with `added` and without `removed`. */
export function changed(
  before: Digest,
  { added, removed }: { readonly added: Iterable<WeightedAddr>; readonly removed: Iterable<WeightedAddr> },
): Digest {
  let { low, high } = before;
  for (const addr of added) {
    const bytes = Buffer.from(canonical(addr));
    low = (low + murmur3(SEEDS[0], bytes)) >>> 0;
    high = (high + murmur3(SEEDS[1], bytes)) >>> 0;
  }
  for (const addr of removed) {
    const bytes = Buffer.from(canonical(addr));
    low = (low - murmur3(SEEDS[0], bytes)) >>> 0;
    high = (high - murmur3(SEEDS[1], bytes)) >>> 0;
  }
  return { low, high };
}

/** Identities of the DNS form have no case and no trailing dot. */
function normal(name: string): string {
  return name.startsWith("spiffe://") ? name : name.replace(/\.$/, "").toLowerCase();
}

function namesOf(tls: TlsIdentity | undefined): readonly [identity: string, serverName: string] {
  const given = tls?.serverName?.name ?? "";
  switch (tls?.strategy.case) {
    case "dnsLikeIdentity": {
      const identity = normal(tls.strategy.value.name);
      return [identity, given === "" ? identity : normal(given)];
    }
    case "uriLikeIdentity":
      return [normal(tls.strategy.value.uri), normal(given)];
    case undefined:
      return ["", ""];
  }
}

/** What matters of an endpoint: where it is, who must answer, how it is spoken to, how much it gets and where it lies. */
function canonical({ addr, weight, tlsIdentity, protocolHint, metricLabels }: WeightedAddr): string {
  const ip = bitsOfWireIp(addr?.ip);
  const hex = ip === undefined ? "" : ip.bits.toString(16).padStart(ip.family === 4 ? 8 : 32, "0");
  const [identity, serverName] = namesOf(tlsIdentity);
  const hint = protocolHint?.protocol.case ?? "";
  const transport = protocolHint?.opaqueTransport?.inboundPort ?? 0;
  const zone = metricLabels["zone"] ?? "";
  return [`${hex}:${addr?.port ?? 0}`, weight, identity, serverName, hint, transport, zone].join("\n");
}

function scramble(k: number): number {
  const mixed = Math.imul(k, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

/**
 * MurmurHash3_x86_32 (Austin Appleby, public domain).
 *
 * @internal
 */
export function murmur3(seed: number, bytes: Buffer): number {
  const whole = bytes.length - (bytes.length % 4);
  let hash = seed;
  for (let at = 0; at < whole; at += 4) {
    hash ^= scramble(bytes.readInt32LE(at));
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  const rest = bytes.length - whole;
  if (rest > 0) hash ^= scramble(bytes.readUIntLE(whole, rest));
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
