import { z } from "zod";
import type { GrpcFilter, GrpcMatch, GrpcRule } from "../../model/route.ts";
import { decoder, type Issue } from "./kind.ts";
import { Backend, backendOf, HeaderMatch, Hostname, Modifier, Parents, parentsOf } from "./route_refs.ts";

const GROUP = "gateway.networking.k8s.io";

const Method = z
  .object({
    type: z.string().nullish(),
    service: z.string().min(1).max(1024).nullish(),
    method: z.string().min(1).max(1024).nullish(),
  })
  .superRefine(({ type }, context) => {
    if (type === null || type === undefined || type === "Exact") return;
    context.addIssue({
      code: "custom",
      path: ["type"],
      message: `${type} matching of gRPC methods is not supported`,
    });
  });

const Match = z
  .object({ method: Method.nullish(), headers: z.array(HeaderMatch).nullish() })
  .transform(({ method, headers }): GrpcMatch => ({
    service: method?.service ?? undefined,
    method: method?.method ?? undefined,
    headers: headers ?? [],
  }));

/** As for HTTPRoute: what cannot be carried out is kept, so that the rule can fail closed. */
const Filter = z
  .object({ type: z.string().min(1), requestHeaderModifier: Modifier.nullish() })
  .transform((filter): GrpcFilter => {
    const { type, requestHeaderModifier } = filter;
    if (type === "RequestHeaderModifier" && requestHeaderModifier)
      return { type, modifier: requestHeaderModifier };
    return { type: "Unsupported", name: type };
  });

const Rule = z.object({
  matches: z.array(Match).max(64).nullish(),
  filters: z.array(Filter).max(16).nullish(),
  backendRefs: z
    .array(Backend.extend({ filters: z.array(Filter).nullish() }))
    .max(16)
    .nullish(),
  sessionPersistence: z.unknown().optional(),
});

const Body = z.object({
  spec: z.object({
    parentRefs: Parents,
    hostnames: z.array(Hostname).max(16).nullish(),
    rules: z.array(Rule).max(64).nullish(),
  }),
});

const ANY_METHOD: GrpcMatch = { service: undefined, method: undefined, headers: [] };

function unhonoured({ spec }: z.infer<typeof Body>): readonly Issue[] {
  return (spec.rules ?? []).flatMap(({ sessionPersistence }, at) =>
    sessionPersistence === undefined || sessionPersistence === null
      ? []
      : [{ path: ["spec", "rules", at, "sessionPersistence"], message: "is not honoured yet" }],
  );
}

export const grpcRoute = decoder(
  { group: GROUP, kind: "GRPCRoute", versions: ["v1alpha2", "v1"] },
  Body,
  (meta, { spec }) => {
    const rules = (spec.rules ?? []).map((rule): GrpcRule => ({
      matches: rule.matches?.length ? rule.matches : [ANY_METHOD],
      filters: rule.filters ?? [],
      backends: (rule.backendRefs ?? []).map((backend) => ({
        ...backendOf(backend, meta.namespace),
        filters: backend.filters ?? [],
      })),
    }));
    return {
      kind: "GRPCRoute",
      object: {
        meta,
        group: GROUP,
        hosts: spec.hostnames ?? [],
        parents: parentsOf(spec.parentRefs, { group: GROUP, namespace: meta.namespace }),
        rules: rules.length > 0 ? rules : [{ matches: [ANY_METHOD], filters: [], backends: [] }],
      },
    };
  },
  unhonoured,
);
