/** GRPCRoutes as outbound policy. Pure. */
import { create } from "@bufbuild/protobuf";
import {
  GrpcRoute_DistributionSchema,
  GrpcRoute_FilterSchema,
  GrpcRoute_RouteBackendSchema,
  GrpcRoute_RuleSchema,
  GrpcRouteSchema,
  type GrpcRoute as WireRoute,
  type GrpcRoute_Distribution,
  type GrpcRoute_Filter,
  type GrpcRoute_RouteBackend,
  type GrpcRoute_Rule,
} from "../api/gen/outbound_pb.ts";
import { extend } from "../api/extend.ts";
import type { ExtendedFilter } from "../api/gen/hauberk/proxy/v1/filters_pb.ts";
import { OutboundRuleExtensionSchema } from "../api/gen/hauberk/proxy/v1/outbound_pb.ts";
import { defaultRef, resourceRef } from "../api/wire.ts";
import type { BackendRef, GrpcFilter, GrpcRoute, GrpcRule } from "../model/route.ts";
import { withSession } from "./affinity.ts";
import { grpcRetryOf, timeoutsOf, type TrafficPolicy } from "./annotations.ts";
import { isBroken, outboundGrpcFilters } from "./filters.ts";
import { grpcFailure, grpcMethodPatterns, wireGrpcMatch, wireHost } from "./match.ts";
import type { Parent } from "./parent.ts";
import { withHedge } from "./resilience.ts";

function failure(message: string): GrpcRoute_Filter {
  return create(GrpcRoute_FilterSchema, grpcFailure(message));
}

const NOWHERE: GrpcRoute_Distribution = create(GrpcRoute_DistributionSchema, {
  kind: { case: "empty", value: {} },
});

function routeBackend(reference: BackendRef<GrpcFilter>, parent: Parent): GrpcRoute_RouteBackend {
  const { backend, problem } = parent.resolve(reference);
  const filters = problem === undefined ? outboundGrpcFilters(reference, parent) : [failure(problem.message)];
  return create(GrpcRoute_RouteBackendSchema, { backend, filters });
}

function distributionOf(rule: GrpcRule, parent: Parent): GrpcRoute_Distribution | undefined {
  if (rule.backends.length === 0) {
    const backends = [{ backend: parent.backend }];
    return create(GrpcRoute_DistributionSchema, { kind: { case: "firstAvailable", value: { backends } } });
  }
  const weighted = rule.backends.filter(({ weight }) => weight > 0);
  if (weighted.length === 0) return undefined;
  const backends = weighted.map((reference) => ({
    weight: reference.weight,
    backend: routeBackend(reference, parent),
  }));
  return create(GrpcRoute_DistributionSchema, { kind: { case: "randomAvailable", value: { backends } } });
}

function wireRule(
  rule: GrpcRule,
  policy: TrafficPolicy,
  parent: Parent,
  faults: readonly ExtendedFilter[],
): GrpcRoute_Rule {
  const timeouts = timeoutsOf(policy, undefined);
  const retry = grpcRetryOf(policy);
  const fields = {
    matches: rule.matches.map(wireGrpcMatch),
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(timeouts?.response === undefined ? {} : { requestTimeout: timeouts.response }),
    ...(retry === undefined ? {} : { retry }),
  };
  const backends = isBroken(rule) ? NOWHERE : distributionOf(rule, parent);
  if (backends === undefined) {
    const filters = [failure("no backend of this rule has a weight above zero")];
    return create(GrpcRoute_RuleSchema, { ...fields, filters, backends: NOWHERE });
  }
  const patterns = grpcMethodPatterns(rule.matches);
  const filters = outboundGrpcFilters(rule, parent, faults);
  const plain = create(GrpcRoute_RuleSchema, { ...fields, filters, backends });
  const wire = withHedge(withSession(plain, parent.sessionFor(rule.session)), policy.hedge);
  return patterns === undefined ? wire : extend(wire, OutboundRuleExtensionSchema, patterns);
}

/** One route, as a client of `parent` is to follow it. */
export function outboundGrpcRoute(route: GrpcRoute, parent: Parent): WireRoute {
  const { namespace, name } = route.meta;
  const policy = parent.policyFor(route.meta);
  const faults = parent.faultsFor({ group: route.group, kind: "GRPCRoute", meta: route.meta });
  return create(GrpcRouteSchema, {
    metadata: resourceRef({ group: route.group, kind: "GRPCRoute", namespace, name }),
    hosts: route.hosts.map(wireHost),
    rules: route.rules.map((rule) => wireRule(rule, policy, parent, faults)),
  });
}

const ANY = wireGrpcMatch({ type: "Exact", service: undefined, method: undefined, headers: [] });

/** Every call to the parent. */
export function defaultGrpcRoute(parent: Parent): WireRoute {
  const backends = create(GrpcRoute_DistributionSchema, {
    kind: { case: "firstAvailable", value: { backends: [{ backend: parent.backend }] } },
  });
  const filters = outboundGrpcFilters({ filters: [] }, parent, parent.faultsFor(undefined));
  const plain = create(GrpcRoute_RuleSchema, { matches: [ANY], filters, backends });
  const rules = [withSession(plain, parent.sessionFor(undefined))];
  return create(GrpcRouteSchema, { metadata: defaultRef("grpc"), rules });
}

/** Refuses every call. */
export function failingGrpcRoute(name: string, message: string): WireRoute {
  const rule = { matches: [ANY], filters: [failure(message)], backends: NOWHERE };
  return create(GrpcRouteSchema, { metadata: defaultRef(name), rules: [rule] });
}
