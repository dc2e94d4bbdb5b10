/** What holds for the whole mesh: Linkerd's defaults, or what a cluster's `linkerd-config` says. Pure. */
import { z } from "zod";
import { parseCidr, type Cidr } from "@hauberk/mesh/model/address.ts";
import { ACCESS_POLICIES } from "@hauberk/mesh/model/policy.ts";
import { OPAQUE_PORTS_DEFAULT, parsePorts } from "@hauberk/mesh/model/ports.ts";
import type { MeshSettings } from "@hauberk/mesh/model/settings.ts";
import { readYaml } from "@hauberk/mesh/source/manifests/yaml.ts";

const CLUSTER_NETWORKS_DEFAULT = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8";

function cidrs(texts: readonly string[]): readonly Cidr[] {
  return texts.flatMap((text) => parseCidr(text.trim()) ?? []);
}

const Values = z.looseObject({
  clusterDomain: z.string().optional(),
  identityTrustDomain: z.string().optional(),
  clusterNetworks: z.string().optional(),
  proxy: z
    .looseObject({
      opaquePorts: z.string().optional(),
      defaultInboundPolicy: z.enum(ACCESS_POLICIES).optional(),
    })
    .optional(),
  policyController: z.looseObject({ probeNetworks: z.array(z.string()).optional() }).optional(),
});

/** The settings of a mesh by the values that it was installed with. */
export function settingsOf(values: unknown, controlPlaneNamespace: string): MeshSettings {
  const { clusterDomain = "cluster.local", ...given } = Values.parse(values);
  const probes = given.policyController?.probeNetworks ?? [];
  return {
    clusterDomain,
    trustDomain: given.identityTrustDomain ?? clusterDomain,
    controlPlaneNamespace,
    clusterNetworks: cidrs((given.clusterNetworks ?? CLUSTER_NETWORKS_DEFAULT).split(",")),
    probeNetworks: probes.length === 0 ? undefined : cidrs(probes),
    defaultInboundPolicy: given.proxy?.defaultInboundPolicy ?? "all-unauthenticated",
    opaquePorts: parsePorts(given.proxy?.opaquePorts ?? OPAQUE_PORTS_DEFAULT).ports,
  };
}

/** The same from the text of `linkerd-config`'s `values`. */
export function settingsOfConfig(text: string, controlPlaneNamespace: string): MeshSettings {
  return settingsOf(readYaml(text), controlPlaneNamespace);
}
