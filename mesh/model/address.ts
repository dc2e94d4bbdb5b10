/** IP addresses and networks. */

/** An address as a number. Two spellings of one address are equal in `family` and `bits`. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bits: bigint;
}

/** A network in CIDR notation. */
export interface Cidr {
  readonly address: IpAddress;
  readonly prefix: number;
}

/** A network without some parts of it, as NetworkAuthentication writes it. */
export interface Network {
  readonly cidr: Cidr;
  readonly except: readonly Cidr[];
}

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const DOTTED = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);

function bitsOf4(text: string): bigint | undefined {
  if (!DOTTED.test(text)) return undefined;
  return text.split(".").reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

/** The 16-bit groups of one side of `::`; the last may be a dotted IPv4 address. */
function groupsOf(half: string): readonly bigint[] | undefined {
  if (half === "") return [];
  const parts = half.split(":");
  const groups: bigint[] = [];
  for (const [at, part] of parts.entries()) {
    const dotted = at === parts.length - 1 && part.includes(".") ? bitsOf4(part) : undefined;
    if (dotted !== undefined) groups.push(dotted >> 16n, dotted & 0xffffn);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(BigInt(`0x${part}`));
    else return undefined;
  }
  return groups;
}

function bitsOf6(text: string): bigint | undefined {
  const [head = "", tail, ...rest] = text.split("::");
  const before = groupsOf(head);
  const after = groupsOf(tail ?? "");
  if (before === undefined || after === undefined || rest.length > 0) return undefined;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const zeros = Array<bigint>(missing).fill(0n);
  return [...before, ...zeros, ...after].reduce((sum, group) => (sum << 16n) | group, 0n);
}

/** Parses an address (RFC 4291 §2.2 for version 6); zone indices are refused. */
export function parseIp(text: string): IpAddress | undefined {
  const family = text.includes(":") ? 6 : 4;
  const bits = family === 6 ? bitsOf6(text) : bitsOf4(text);
  return bits === undefined ? undefined : { family, bits };
}

/** Writes an address: dotted, or eight groups with the longest run of zeros as `::` (RFC 5952). */
export function formatIp({ family, bits }: IpAddress): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join(".");
  const groups = [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n].map((shift) => (bits >> shift) & 0xffffn);
  const hex = groups.map((group) => group.toString(16));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0n) length += 1;
    if (length > best.length) best = { start, length };
  }
  if (best.length < 2) return hex.join(":");
  return `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}

/** One spelling per address, or `undefined` if it is none. */
export function canonicalIp(text: string): string | undefined {
  const address = parseIp(text);
  return address === undefined ? undefined : formatIp(address);
}

/** Parses `10.0.0.0/8`, or a bare address as a network of one. Bits beyond the prefix must be zero or are dropped. */
export function parseCidr(text: string): Cidr | undefined {
  const [host = "", length, ...rest] = text.split("/");
  const address = parseIp(host);
  if (address === undefined || rest.length > 0) return undefined;
  const width = address.family === 4 ? 32 : 128;
  if (length === undefined) return { address, prefix: width };
  if (!/^\d{1,3}$/.test(length) || Number(length) > width) return undefined;
  const shift = BigInt(width - Number(length));
  return {
    address: { family: address.family, bits: (address.bits >> shift) << shift },
    prefix: Number(length),
  };
}

/** @internal */
export function formatCidr({ address, prefix }: Cidr): string {
  return `${formatIp(address)}/${prefix}`;
}

export function cidrContains({ address, prefix }: Cidr, ip: IpAddress): boolean {
  if (address.family !== ip.family) return false;
  const shift = BigInt((address.family === 4 ? 32 : 128) - prefix);
  return address.bits >> shift === ip.bits >> shift;
}

export function networkContains({ cidr, except }: Network, ip: IpAddress): boolean {
  return cidrContains(cidr, ip) && !except.some((part) => cidrContains(part, ip));
}
