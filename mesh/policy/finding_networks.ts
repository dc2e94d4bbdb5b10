/** Networks and what is left out of them. Pure. */
import { cidrContains, formatCidr, type Cidr, type Network } from "../model/address.ts";
import { error, warning, type Finding } from "./finding.ts";

/** Whether all of `inner` lies in `outer`. */
function covers(outer: Cidr, inner: Cidr): boolean {
  return outer.prefix <= inner.prefix && cidrContains(outer, inner.address);
}

/** An exception must take a part of its network away: not nothing, and not everything. */
export function networkFindings(
  networks: readonly Network[],
  path: readonly PropertyKey[],
): readonly Finding[] {
  return networks.flatMap(({ cidr, except }, at) =>
    except.flatMap((part, index) => {
      const where = [...path, at, "except", index];
      if (covers(part, cidr))
        return [error(where, `${formatCidr(part)} takes all of ${formatCidr(cidr)} away`)];
      if (covers(cidr, part)) return [];
      return [error(where, `${formatCidr(part)} does not lie in ${formatCidr(cidr)}`)];
    }),
  );
}

/** Networks of an EgressNetwork that reach into the cluster, where they have no effect on services. */
export function insideCluster(
  networks: readonly Network[],
  cluster: readonly Cidr[],
  path: readonly PropertyKey[],
): readonly Finding[] {
  return networks.flatMap(({ cidr }, at) => {
    const inside = cluster.find((own) => covers(own, cidr));
    if (inside === undefined) return [];
    const message = `${formatCidr(cidr)} lies in the cluster's network ${formatCidr(inside)}; it speaks only for addresses that are no service's`;
    return [warning([...path, at, "cidr"], message)];
  });
}
