/** Kinds that only need to be there: Namespace, Node, ServiceAccount. */
import { z } from "zod";
import { canonicalIp, formatIp, parseCidr } from "../../model/address.ts";
import { ZONE_LABEL } from "../../model/workload.ts";
import { decoder } from "./kind.ts";

const Anything = z.looseObject({});

export const namespace = decoder({ group: "", kind: "Namespace", versions: ["v1"] }, Anything, (meta) => ({
  kind: "Namespace",
  object: { meta },
}));

export const serviceAccount = decoder(
  { group: "", kind: "ServiceAccount", versions: ["v1"] },
  Anything,
  (meta) => ({ kind: "ServiceAccount", object: { meta } }),
);

const NodeBody = z.looseObject({
  spec: z.looseObject({ podCIDR: z.string().nullish(), podCIDRs: z.array(z.string()).nullish() }).nullish(),
  status: z
    .looseObject({
      addresses: z.array(z.looseObject({ type: z.string(), address: z.string() })).nullish(),
    })
    .nullish(),
});

/** Where network plugins write the address that a node has among its pods, if that is not the first of their network. */
const NODE_ADDRESS_ANNOTATIONS = [
  "network.cilium.io/ipv4-cilium-host",
  "network.cilium.io/ipv6-cilium-host",
  "io.cilium.network.ipv4-cilium-host",
  "io.cilium.network.ipv6-cilium-host",
  "projectcalico.org/IPv4IPIPTunnelAddr",
  "projectcalico.org/IPv4VXLANTunnelAddr",
  "projectcalico.org/IPv6VXLANTunnelAddr",
];

/** The first address of a pods' network, which bridges give to the node (CNI plugin `host-local`). */
function gatewayOf(text: string): string | undefined {
  const cidr = parseCidr(text);
  return cidr && formatIp({ ...cidr.address, bits: cidr.address.bits + 1n });
}

export const node = decoder(
  { group: "", kind: "Node", versions: ["v1"] },
  NodeBody,
  (meta, { spec, status }) => {
    const own = (status?.addresses ?? []).flatMap(({ type, address }) =>
      type === "InternalIP" || type === "ExternalIP" ? (canonicalIp(address) ?? []) : [],
    );
    const networks = spec?.podCIDRs ?? [spec?.podCIDR ?? []].flat();
    const annotated = NODE_ADDRESS_ANNOTATIONS.flatMap(
      (name) => canonicalIp(meta.annotations[name] ?? "") ?? [],
    );
    const gateways = networks.flatMap((network) => gatewayOf(network) ?? []);
    const addresses = [...new Set([...own, ...gateways, ...annotated])];
    return { kind: "Node", object: { meta, zone: meta.labels[ZONE_LABEL], addresses } };
  },
);
