import { z } from "zod";
import { decoder } from "./kind.ts";
import { Network } from "./network.ts";

const Body = z.object({
  spec: z.object({
    trafficPolicy: z.enum(["Allow", "Deny"]),
    networks: z.array(Network).min(1).nullish(),
  }),
});

export const egressNetwork = decoder(
  { group: "policy.linkerd.io", kind: "EgressNetwork", versions: ["v1alpha1"] },
  Body,
  (meta, { spec }) => ({
    kind: "EgressNetwork",
    object: { meta, trafficPolicy: spec.trafficPolicy, networks: spec.networks ?? undefined },
  }),
);
