import { z } from "zod";
import type { Meta } from "../../model/meta.ts";
import { decoder, Port, PortOrName } from "./kind.ts";
import { Ip } from "./network.ts";

const ClusterIp = z.union([z.literal("None"), z.literal(""), Ip]);

const Body = z.object({
  spec: z.object({
    type: z.enum(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]).nullish(),
    clusterIP: ClusterIp.nullish(),
    clusterIPs: z.array(ClusterIp).nullish(),
    externalName: z.string().nullish(),
    selector: z.record(z.string(), z.string()).nullish(),
    ports: z
      .array(
        z.object({
          name: z.string().nullish(),
          port: Port,
          targetPort: PortOrName.nullish(),
          protocol: z.string().nullish(),
          appProtocol: z.string().nullish(),
        }),
      )
      .nullish(),
    internalTrafficPolicy: z.enum(["Cluster", "Local"]).nullish(),
    publishNotReadyAddresses: z.boolean().nullish(),
    trafficDistribution: z.string().nullish(),
  }),
});

/** Values of `spec.trafficDistribution` (KEP-4444, KEP-3015). The own node is part of the own zone. */
const ZONAL: ReadonlySet<string> = new Set(["PreferClose", "PreferSameZone", "PreferSameNode"]);

/** `service.kubernetes.io/topology-mode`, or the older annotation. */
function topologyMode({ annotations }: Meta): string | undefined {
  const text =
    annotations["service.kubernetes.io/topology-mode"] ??
    annotations["service.kubernetes.io/topology-aware-hints"];
  return text?.toLowerCase();
}

export const service = decoder({ group: "", kind: "Service", versions: ["v1"] }, Body, (meta, { spec }) => {
  const written = [spec.clusterIP ?? [], spec.clusterIPs ?? []].flat();
  return {
    kind: "Service",
    object: {
      meta,
      clusterIps: [...new Set(written)].filter((ip) => ip !== "None" && ip !== ""),
      isHeadless: written.includes("None"),
      externalName: spec.type === "ExternalName" ? (spec.externalName ?? "") : undefined,
      selector: spec.selector ?? undefined,
      ports: (spec.ports ?? []).map((port) => ({
        name: port.name ?? "",
        port: port.port,
        targetPort: port.targetPort ?? port.port,
        protocol: port.protocol ?? "TCP",
        appProtocol: port.appProtocol ?? undefined,
      })),
      isNodeLocal: spec.internalTrafficPolicy === "Local",
      publishesNotReady: spec.publishNotReadyAddresses ?? false,
      prefersZone: ZONAL.has(spec.trafficDistribution ?? "") || topologyMode(meta) === "auto",
    },
  };
});
