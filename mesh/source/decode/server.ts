import { z } from "zod";
import { ACCESS_POLICIES, PROXY_PROTOCOLS } from "../../model/policy.ts";
import { decoder, PortOrName } from "./kind.ts";
import { LabelSelector } from "./selector.ts";

const Body = z.object({
  spec: z
    .object({
      podSelector: LabelSelector.nullish(),
      externalWorkloadSelector: LabelSelector.nullish(),
      port: PortOrName,
      proxyProtocol: z.enum(PROXY_PROTOCOLS).nullish(),
      accessPolicy: z.enum(ACCESS_POLICIES).nullish(),
    })
    .transform((spec, context) => {
      const { podSelector, externalWorkloadSelector, ...rest } = spec;
      if (podSelector && !externalWorkloadSelector)
        return { ...rest, of: "Pod" as const, selector: podSelector };
      if (externalWorkloadSelector && !podSelector) {
        return { ...rest, of: "ExternalWorkload" as const, selector: externalWorkloadSelector };
      }
      const message = "exactly one of podSelector and externalWorkloadSelector is required";
      context.addIssue({ code: "custom", path: ["podSelector"], message });
      return z.NEVER;
    }),
});

export const server = decoder(
  { group: "policy.linkerd.io", kind: "Server", versions: ["v1alpha1", "v1beta1", "v1beta2", "v1beta3"] },
  Body,
  (meta, { spec }) => ({
    kind: "Server",
    object: {
      meta,
      of: spec.of,
      selector: spec.selector,
      port: spec.port,
      proxyProtocol: spec.proxyProtocol ?? "unknown",
      accessPolicy: spec.accessPolicy ?? "deny",
    },
  }),
);
