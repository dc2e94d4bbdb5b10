import { z } from "zod";
import type { GrpcMatch, GrpcRule } from "../../model/route.ts";
import { filtersOf, GrpcRouteFilter } from "./filters.ts";
import { decoder } from "./kind.ts";
import {
  Backend,
  backendOf,
  HeaderMatch,
  Hostname,
  Parents,
  parentsOf,
  understood,
  type Understood,
} from "./route_refs.ts";
import { Session } from "./session.ts";

const GROUP = "gateway.networking.k8s.io";

const ANY_NAME = { type: "Exact", service: undefined, method: undefined } as const;
const ANY_METHOD: GrpcMatch = { ...ANY_NAME, headers: [] };

const Method = z
  .object({
    type: z.string().nullish(),
    service: z.string().min(1).max(1024).nullish(),
    method: z.string().min(1).max(1024).nullish(),
  })
  .transform(({ type, service, method }): Understood<Omit<GrpcMatch, "headers">> => {
    const names = { service: service ?? undefined, method: method ?? undefined };
    switch (type) {
      case null:
      case undefined:
      case "Exact":
      case "RegularExpression":
        return { match: { type: type ?? "Exact", ...names }, unsupported: [] };
      default:
        return { match: undefined, unsupported: [`method match of type ${type}`] };
    }
  });

const Match = z
  .object({ method: Method.nullish(), headers: z.array(HeaderMatch).nullish() })
  .transform(({ method, headers }): Understood<GrpcMatch> => {
    const header = understood(headers ?? []);
    return {
      match: {
        ...(method?.match ?? ANY_NAME),
        headers: header.matches,
      },
      unsupported: [...(method?.unsupported ?? []), ...header.unsupported],
    };
  });

const Rule = z.object({
  matches: z.array(Match).max(64).nullish(),
  filters: z.array(GrpcRouteFilter).max(16).nullish(),
  backendRefs: z
    .array(Backend.extend({ filters: z.array(GrpcRouteFilter).nullish() }))
    .max(16)
    .nullish(),
  sessionPersistence: Session.nullish(),
});

const Body = z.object({
  spec: z.object({
    parentRefs: Parents,
    hostnames: z.array(Hostname).max(16).nullish(),
    rules: z.array(Rule).max(64).nullish(),
  }),
});

function matchesOf(
  parts: readonly Understood<GrpcMatch>[],
  others: readonly string[] = [],
): Pick<GrpcRule, "matches" | "unsupported"> {
  const { matches, unsupported } = understood(parts);
  return { matches: matches.length > 0 ? matches : [ANY_METHOD], unsupported: [...unsupported, ...others] };
}

export const grpcRoute = decoder(
  { group: GROUP, kind: "GRPCRoute", versions: ["v1alpha2", "v1"] },
  Body,
  (meta, { spec }) => {
    const rules = (spec.rules ?? []).map((rule): GrpcRule => ({
      ...matchesOf(rule.matches ?? [], rule.sessionPersistence?.unsupported),
      session: rule.sessionPersistence?.session,
      filters: filtersOf(rule.filters, meta.namespace),
      backends: (rule.backendRefs ?? []).map((backend) => ({
        ...backendOf(backend, meta.namespace),
        filters: filtersOf(backend.filters, meta.namespace),
      })),
    }));
    return {
      kind: "GRPCRoute",
      object: {
        meta,
        group: GROUP,
        hosts: spec.hostnames ?? [],
        parents: parentsOf(spec.parentRefs, { group: GROUP, namespace: meta.namespace }),
        rules:
          rules.length > 0 ? rules : [{ ...matchesOf([]), session: undefined, filters: [], backends: [] }],
      },
    };
  },
);
