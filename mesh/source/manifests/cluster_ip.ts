/** Addresses for services that have none, where no API server gives them out. Pure and without a store. */
import { createHash } from "node:crypto";
import { formatIp } from "../../model/address.ts";
import { compare, keyOf, type NamespacedName } from "../../model/meta.ts";
import type { Service } from "../../model/service.ts";

/** 10.96.0.0, the usual service network of Kubernetes, and the host bits below its /12. */
const NETWORK_4 = 0x0a60_0000n;
const HOST_BITS_4 = 0x000f_ffffn;

/** fd00:10:96::/64; the host part is 64 bits of hash, so that two services never meet in practice. */
const NETWORK_6 = 0xfd00_0010_0096_0000n << 64n;

/**
 * The network that `clusterIpFor` gives from.
 *
 * @internal
 */
export const CLUSTER_IP_NETWORKS = ["10.96.0.0/12", "fd00:10:96::/64"] as const;

function hash(service: NamespacedName): bigint {
  return createHash("sha256")
    .update(`service/${keyOf(service)}`)
    .digest()
    .readBigUInt64BE(0);
}

/**
 * The IPv4 address of a service: always the same one, from its name alone.
 *
 * @internal
 */
export function clusterIpFor(namespace: string, name: string): string {
  // The network's own address is nobody's.
  const host = (hash({ namespace, name }) % (HOST_BITS_4 - 1n)) + 1n;
  return formatIp({ family: 4, bits: NETWORK_4 | host });
}

/**
 * The IPv6 address of a service.
 *
 * @internal
 */
export function clusterIp6For(namespace: string, name: string): string {
  return formatIp({ family: 6, bits: NETWORK_6 | (hash({ namespace, name }) | 1n) });
}

/** Two services that would have one address. */
export interface Collision {
  readonly ip: string;
  readonly holder: Service;
  /** Left without the address. */
  readonly loser: Service;
}

function needsAddress(service: Service): boolean {
  return service.clusterIps.length === 0 && !service.isHeadless && service.externalName === undefined;
}

/**
 * Gives every service that needs one its addresses. Written addresses come before given ones, then the order of
 * names decides, so that the outcome does not depend on the order of files.
 */
export function assignClusterIps(services: readonly Service[]): {
  readonly services: readonly Service[];
  readonly collisions: readonly Collision[];
} {
  const holders = new Map<string, Service>();
  const collisions: Collision[] = [];
  const claim = (service: Service, ips: readonly string[]): Service => {
    const own = ips.filter((ip) => {
      const holder = holders.get(ip);
      if (holder === undefined) holders.set(ip, service);
      else collisions.push({ ip, holder, loser: service });
      return holder === undefined;
    });
    return own.length === service.clusterIps.length ? service : { ...service, clusterIps: own };
  };
  const byName = services.toSorted((a, b) => compare(keyOf(a.meta), keyOf(b.meta)));
  const written = byName
    .filter((service) => !needsAddress(service))
    .map((service) => claim(service, service.clusterIps));
  const given = byName.filter(needsAddress).map((service) => {
    const { namespace, name } = service.meta;
    return claim(service, [clusterIpFor(namespace, name), clusterIp6For(namespace, name)]);
  });
  return { services: [...written, ...given], collisions };
}
