import { z } from "zod";
import { decoder, Port } from "./kind.ts";
import { Ip } from "./network.ts";

const MeshTls = z.object({ identity: z.string().min(1).max(253), serverName: z.string().min(1).max(253) });

/** v1alpha1 writes `meshTls`, v1beta1 `meshTLS`; either is read in either. */
const Body = z.object({
  spec: z
    .object({
      meshTLS: MeshTls.nullish(),
      meshTls: MeshTls.nullish(),
      ports: z
        .array(z.object({ name: z.string().nullish(), port: Port, protocol: z.string().nullish() }))
        .nullish(),
      workloadIPs: z
        .array(z.object({ ip: Ip }))
        .max(1)
        .nullish(),
    })
    .transform((spec, context) => {
      const tls = spec.meshTLS ?? spec.meshTls;
      if (tls !== null && tls !== undefined) return { ...spec, tls };
      context.addIssue({ code: "custom", path: ["meshTLS"], message: "is required" });
      return z.NEVER;
    }),
  status: z
    .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).nullish() })
    .nullish(),
});

export const externalWorkload = decoder(
  { group: "workload.linkerd.io", kind: "ExternalWorkload", versions: ["v1alpha1", "v1beta1"] },
  Body,
  (meta, { spec, status }) => ({
    kind: "ExternalWorkload",
    object: {
      meta,
      identity: spec.tls.identity,
      serverName: spec.tls.serverName,
      ips: (spec.workloadIPs ?? []).map(({ ip }) => ip),
      ports: (spec.ports ?? []).map(({ name, port, protocol }) => ({
        name: name ?? "",
        port,
        protocol: protocol ?? "TCP",
      })),
      isReady: status?.conditions?.find(({ type }) => type === "Ready")?.status === "True",
    },
  }),
);
