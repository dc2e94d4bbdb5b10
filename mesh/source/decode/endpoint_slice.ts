import { z } from "zod";
import { canonicalIp } from "../../model/address.ts";
import type { Endpoint } from "../../model/service.ts";
import { decoder, Port } from "./kind.ts";

/** The label that names a slice's service. */
const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

const TargetRef = z.object({
  kind: z.string().nullish(),
  namespace: z.string().nullish(),
  name: z.string().nullish(),
});

const SliceEndpoint = z.object({
  addresses: z.array(z.string()).min(1),
  conditions: z.object({ ready: z.boolean().nullish() }).nullish(),
  hostname: z.string().nullish(),
  nodeName: z.string().nullish(),
  zone: z.string().nullish(),
  hints: z.object({ forZones: z.array(z.object({ name: z.string() })).nullish() }).nullish(),
  targetRef: TargetRef.nullish(),
});

const Body = z.object({
  addressType: z.enum(["IPv4", "IPv6", "FQDN"]),
  ports: z
    .array(z.object({ name: z.string().nullish(), port: Port.nullish(), protocol: z.string().nullish() }))
    .nullish(),
  endpoints: z.array(SliceEndpoint).nullish(),
});

function targetOf(
  reference: z.infer<typeof TargetRef> | null | undefined,
  namespace: string,
): Endpoint["target"] {
  const { kind, name } = reference ?? {};
  if (kind !== "Pod" && kind !== "ExternalWorkload") return undefined;
  if (name === null || name === undefined) return undefined;
  return { kind, namespace: reference?.namespace ?? namespace, name };
}

export const endpointSlice = decoder(
  { group: "discovery.k8s.io", kind: "EndpointSlice", versions: ["v1"] },
  Body,
  (meta, body) => ({
    kind: "EndpointSlice",
    object: {
      meta,
      service: meta.labels[SERVICE_NAME_LABEL] ?? "",
      family: body.addressType === "IPv6" ? 6 : 4,
      ports: (body.ports ?? []).flatMap(({ name, port, protocol }) =>
        port === null || port === undefined || (protocol ?? "TCP") !== "TCP"
          ? []
          : [{ name: name ?? "", port }],
      ),
      endpoints: (body.endpoints ?? []).flatMap((endpoint) => {
        // "FQDN" slices hold names, which a proxy cannot dial as endpoints.
        const ip = canonicalIp(endpoint.addresses[0] ?? "");
        if (ip === undefined) return [];
        return [
          {
            ip,
            // Unknown is ready (KEP-752).
            isReady: endpoint.conditions?.ready ?? true,
            hostname: endpoint.hostname ?? undefined,
            nodeName: endpoint.nodeName ?? undefined,
            zone: endpoint.zone ?? undefined,
            forZones: (endpoint.hints?.forZones ?? []).map(({ name }) => name),
            target: targetOf(endpoint.targetRef, meta.namespace),
          },
        ];
      }),
    },
  }),
  (body) =>
    body.addressType === "FQDN"
      ? [
          {
            path: ["addressType"],
            message: "FQDN endpoints are not discovered; use ExternalName or addresses",
          },
        ]
      : [],
);
