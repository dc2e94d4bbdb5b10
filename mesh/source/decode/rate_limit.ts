import { z } from "zod";
import { coreGroup, decoder } from "./kind.ts";

const Rate = z.object({ requestsPerSecond: z.number().int().min(1).max(4_294_967_295) });

const Client = z
  .object({
    group: z.string().nullish(),
    kind: z.literal("ServiceAccount"),
    name: z.string().min(1),
    namespace: z.string().nullish(),
  })
  .refine((client) => coreGroup(client.group ?? "") === "", {
    path: ["group"],
    message: "must be the core group",
  });

const Body = z.object({
  spec: z
    .object({
      targetRef: z.object({
        group: z.literal("policy.linkerd.io").nullish(),
        kind: z.literal("Server"),
        name: z.string().min(1),
      }),
      total: Rate.nullish(),
      identity: Rate.nullish(),
      overrides: z.array(Rate.extend({ clientRefs: z.array(Client) })).nullish(),
    })
    .superRefine((spec, context) => {
      const total = spec.total?.requestsPerSecond ?? Number.POSITIVE_INFINITY;
      const refuse = (path: PropertyKey[]) =>
        context.addIssue({ code: "custom", path, message: "must not be above total.requestsPerSecond" });
      if ((spec.identity?.requestsPerSecond ?? 0) > total) refuse(["identity", "requestsPerSecond"]);
      for (const [at, override] of (spec.overrides ?? []).entries()) {
        if (override.requestsPerSecond > total) refuse(["overrides", at, "requestsPerSecond"]);
      }
    }),
});

export const rateLimit = decoder(
  { group: "policy.linkerd.io", kind: "HTTPLocalRateLimitPolicy", versions: ["v1alpha1"] },
  Body,
  (meta, { spec }) => ({
    kind: "HTTPLocalRateLimitPolicy",
    object: {
      meta,
      server: spec.targetRef.name,
      totalPerSecond: spec.total?.requestsPerSecond,
      identityPerSecond: spec.identity?.requestsPerSecond,
      overrides: (spec.overrides ?? []).map(({ requestsPerSecond, clientRefs }) => ({
        perSecond: requestsPerSecond,
        accounts: clientRefs.map(({ namespace, name }) => ({ namespace: namespace ?? meta.namespace, name })),
      })),
    },
  }),
);
