/** `HTTPRateLimitPolicy`: a kind of our own, so it is read strictly; see `docs/guide/rate-limits.md`. */
import { z } from "zod";
import type { LocalLimits, Rate, RateLimitPolicy, RateLimitTarget } from "../../model/rate_limit.ts";
import { coreGroup, decoder } from "./kind.ts";

/** As the wire has it. */
const COUNT_MAX = 4_294_967_295;

/** Named clients get their limits here; a directory of clients does not belong into a policy. */
const OVERRIDES_MAX = 64;
const CLIENTS_MAX = 256;

/** Values of a header that a proxy counts apart, if the policy does not say. */
const HEADER_VALUES_DEFAULT = 256;
/** As many as a proxy keeps at most. */
const HEADER_VALUES_MAX = 4_096;

const Count = z.number().int().min(1).max(COUNT_MAX);

const Limit = z.strictObject({ requestsPerSecond: Count, burst: Count.optional() });

const SERVER_GROUP = "policy.linkerd.io";
const ROUTE_GROUP = "gateway.networking.k8s.io";

const Target = z
  .strictObject({
    group: z.string().optional(),
    kind: z.enum(["Server", "HTTPRoute", "GRPCRoute"]),
    name: z.string().min(1),
  })
  .transform(({ group, kind, name }): RateLimitTarget => ({
    group: group ?? (kind === "Server" ? SERVER_GROUP : ROUTE_GROUP),
    kind,
    name,
  }))
  .refine(
    ({ group, kind }) =>
      group === (kind === "GRPCRoute" ? ROUTE_GROUP : SERVER_GROUP) ||
      (kind === "HTTPRoute" && group === ROUTE_GROUP),
    { path: ["group"], message: "has no such kind that can be limited" },
  );

const Client = z
  .strictObject({
    group: z.string().optional(),
    kind: z.literal("ServiceAccount"),
    name: z.string().min(1),
    namespace: z.string().min(1).optional(),
  })
  .refine((client) => coreGroup(client.group ?? "") === "", {
    path: ["group"],
    message: "must be the core group",
  });

const Override = Limit.extend({ clientRefs: z.array(Client).min(1).max(CLIENTS_MAX) });

const Header = Limit.extend({
  name: z
    .string()
    .max(256)
    .regex(/^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/, "is not a header name")
    .transform((name) => name.toLowerCase()),
  maxValues: z.number().int().min(1).max(HEADER_VALUES_MAX).optional(),
});

const Spec = z
  .strictObject({
    targetRef: Target,
    scope: z.enum(["Local", "Cluster"]).default("Local"),
    total: Limit.optional(),
    identity: Limit.optional(),
    overrides: z.array(Override).max(OVERRIDES_MAX).optional(),
    header: Header.optional(),
  })
  .superRefine((spec, context) => {
    const issue = (path: PropertyKey[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const { scope, total, identity, overrides = [], header } = spec;
    if (scope === "Cluster") {
      if (total === undefined) issue(["total"], "is what a cluster-wide limit needs");
      for (const field of ["identity", "overrides", "header"] as const) {
        if (spec[field] !== undefined) issue([field], "is counted by each server only: use scope Local");
      }
      return;
    }
    if (total === undefined && identity === undefined && overrides.length === 0 && header === undefined) {
      issue([], "limits nothing: give total, identity, overrides or header");
    }
    const most = total?.requestsPerSecond ?? Number.POSITIVE_INFINITY;
    const bound = (path: PropertyKey[], limit: { requestsPerSecond: number } | undefined) => {
      if ((limit?.requestsPerSecond ?? 0) > most) {
        issue([...path, "requestsPerSecond"], "must not be above total.requestsPerSecond");
      }
    };
    bound(["identity"], identity);
    bound(["header"], header);
    for (const [at, override] of overrides.entries()) bound(["overrides", at], override);
  });

function rateOf({ requestsPerSecond, burst }: z.output<typeof Limit>): Rate {
  return { perSecond: requestsPerSecond, burst: burst ?? requestsPerSecond };
}

function localLimits(spec: z.output<typeof Spec>, namespace: string): LocalLimits {
  const { total, identity, overrides = [], header } = spec;
  return {
    scope: "Local",
    total: total && rateOf(total),
    identity: identity && rateOf(identity),
    overrides: overrides.map(({ clientRefs, ...limit }) => ({
      rate: rateOf(limit),
      accounts: clientRefs.map((client) => ({ namespace: client.namespace ?? namespace, name: client.name })),
    })),
    header: header && {
      name: header.name,
      rate: rateOf(header),
      valuesMax: header.maxValues ?? HEADER_VALUES_DEFAULT,
    },
  };
}

export const httpRateLimit = decoder(
  { group: "policy.hauberk.io", kind: "HTTPRateLimitPolicy", versions: ["v1alpha1"] },
  z.object({ spec: Spec }),
  (meta, { spec }) => {
    const limits: RateLimitPolicy["limits"] =
      spec.scope === "Cluster" && spec.total !== undefined
        ? { scope: "Cluster", total: rateOf(spec.total) }
        : localLimits(spec, meta.namespace);
    return { kind: "HTTPRateLimitPolicy", object: { meta, target: spec.targetRef, limits } };
  },
);
