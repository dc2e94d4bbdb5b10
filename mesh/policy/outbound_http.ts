/** HTTPRoutes as outbound policy. Pure. */
import { create } from "@bufbuild/protobuf";
import type { HttpRouteMatch } from "../api/gen/http_route_pb.ts";
import {
  HttpRoute_DistributionSchema,
  HttpRoute_FilterSchema,
  HttpRoute_RouteBackendSchema,
  HttpRoute_RuleSchema,
  HttpRouteSchema,
  type Backend,
  type HttpRoute as WireRoute,
  type HttpRoute_Distribution,
  type HttpRoute_Filter,
  type HttpRoute_RouteBackend,
  type HttpRoute_Rule,
} from "../api/gen/outbound_pb.ts";
import type { ExtendedFilter } from "../api/gen/hauberk/proxy/v1/filters_pb.ts";
import { defaultRef, resourceRef, wireDuration } from "../api/wire.ts";
import type { BackendRef, HttpFilter, HttpRoute, HttpRule } from "../model/route.ts";
import { withSession } from "./affinity.ts";
import { grpcCodesOf, httpRetryOf, timeoutsOf, type TrafficPolicy } from "./annotations.ts";
import { isBroken, outboundHttpFilters } from "./filters.ts";
import { httpFailure, wireHost, wireHttpMatch } from "./match.ts";
import { routeRetry } from "./route_retry.ts";
import type { Parent } from "./parent.ts";
import { withGrpcCodes, withHedge } from "./resilience.ts";

function failure(message: string, status?: number): HttpRoute_Filter {
  return create(HttpRoute_FilterSchema, httpFailure(message, status));
}

function only(backend: Backend): HttpRoute_Distribution {
  return create(HttpRoute_DistributionSchema, {
    kind: { case: "firstAvailable", value: { backends: [{ backend }] } },
  });
}

const NOWHERE: HttpRoute_Distribution = create(HttpRoute_DistributionSchema, {
  kind: { case: "empty", value: {} },
});

function routeBackend(
  reference: BackendRef<HttpFilter>,
  parent: Parent,
  attemptMs: number | undefined,
): HttpRoute_RouteBackend {
  const { backend, problem } = parent.resolve(reference);
  return create(HttpRoute_RouteBackendSchema, {
    backend,
    filters: problem === undefined ? outboundHttpFilters(reference, parent) : [failure(problem.message)],
    ...(attemptMs === undefined || attemptMs === 0 ? {} : { requestTimeout: wireDuration(attemptMs) }),
  });
}

/** Where a rule's requests go. No backendRefs mean the parent itself; weights of zero take no traffic. */
function distributionOf(rule: HttpRule, parent: Parent): HttpRoute_Distribution | undefined {
  if (rule.backends.length === 0) return only(parent.backend);
  const weighted = rule.backends.filter(({ weight }) => weight > 0);
  if (weighted.length === 0) return undefined;
  const backends = weighted.map((reference) => ({
    weight: reference.weight,
    backend: routeBackend(reference, parent, rule.timeouts.backendRequestMs),
  }));
  return create(HttpRoute_DistributionSchema, { kind: { case: "randomAvailable", value: { backends } } });
}

function ruleFields(matches: readonly HttpRouteMatch[], policy: TrafficPolicy, rule: HttpRule | undefined) {
  const timeouts = timeoutsOf(policy, rule?.timeouts.requestMs);
  const retry =
    rule?.retry === undefined
      ? httpRetryOf(policy, rule?.timeouts.backendRequestMs)
      : routeRetry(rule.retry, rule.timeouts.backendRequestMs);
  return {
    matches: [...matches],
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(timeouts?.response === undefined ? {} : { requestTimeout: timeouts.response }),
    ...(retry === undefined ? {} : { retry }),
  };
}

function wireRule(
  rule: HttpRule,
  policy: TrafficPolicy,
  parent: Parent,
  faults: readonly ExtendedFilter[],
): HttpRoute_Rule {
  const fields = ruleFields(rule.matches.map(wireHttpMatch), policy, rule);
  const backends = isBroken(rule) ? NOWHERE : distributionOf(rule, parent);
  if (backends === undefined) {
    const filters = [failure("no backend of this rule has a weight above zero")];
    return create(HttpRoute_RuleSchema, { ...fields, filters, backends: NOWHERE });
  }
  const filters = outboundHttpFilters(rule, parent, faults);
  const plain = create(HttpRoute_RuleSchema, { ...fields, filters, backends });
  const wire = withHedge(withSession(plain, parent.sessionFor(rule.session)), policy.hedge);
  return rule.retry === undefined ? withGrpcCodes(wire, grpcCodesOf(policy)) : wire;
}

/** One route, as a client of `parent` is to follow it. */
export function outboundHttpRoute(route: HttpRoute, parent: Parent): WireRoute {
  const { namespace, name } = route.meta;
  const faults = parent.faultsFor({ group: route.group, kind: "HTTPRoute", meta: route.meta });
  return create(HttpRouteSchema, {
    metadata: resourceRef({ group: route.group, kind: "HTTPRoute", namespace, name }),
    hosts: route.hosts.map(wireHost),
    rules: route.rules.map((rule) => wireRule(rule, parent.policyFor(route.meta), parent, faults)),
  });
}

const ANY = wireHttpMatch({
  path: { type: "PathPrefix", value: "/" },
  headers: [],
  queryParams: [],
  method: undefined,
});

/** What holds where no route says otherwise: everything goes to the parent. */
export function defaultHttpRoute(parent: Parent): WireRoute {
  const policy = parent.policyFor(undefined);
  const backends = parent.split?.http ?? only(parent.backend);
  const filters = outboundHttpFilters({ filters: [] }, parent, parent.faultsFor(undefined));
  const plain = create(HttpRoute_RuleSchema, { ...ruleFields([ANY], policy, undefined), filters, backends });
  const rule = withHedge(withSession(plain, parent.sessionFor(undefined)), policy.hedge);
  return create(HttpRouteSchema, {
    metadata: defaultRef("http"),
    rules: [withGrpcCodes(rule, grpcCodesOf(policy))],
  });
}

/** Refuses every request. */
export function failingHttpRoute(name: string, message: string, status: number): WireRoute {
  const rule = { matches: [ANY], filters: [failure(message, status)], backends: NOWHERE };
  return create(HttpRouteSchema, { metadata: defaultRef(name), rules: [rule] });
}
