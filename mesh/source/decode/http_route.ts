import { z } from "zod";
import { parseGatewayDurationMs } from "../../model/duration.ts";
import type { HttpMatch, HttpRule, PathMatch, RouteGroup, RouteRetry } from "../../model/route.ts";
import { filtersOf, HttpRouteFilter, prefixlessReplacements } from "./filters.ts";
import { decoder, type Decoder } from "./kind.ts";
import {
  Backend,
  backendOf,
  HeaderMatch,
  Hostname,
  Parents,
  parentsOf,
  QueryParamMatch,
  understood,
  type Understood,
} from "./route_refs.ts";
import { Session } from "./session.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

const ANY_PATH: PathMatch = { type: "PathPrefix", value: "/" };

const Path = z
  .object({ type: z.string().nullish(), value: z.string().max(1024).nullish() })
  .superRefine(({ type, value }, context) => {
    const isPath = type === null || type === undefined || type === "Exact" || type === "PathPrefix";
    if (!isPath || (value ?? "/").startsWith("/")) return;
    context.addIssue({ code: "custom", path: ["value"], message: "must start with a slash" });
  })
  .transform(({ type, value }): Understood<PathMatch> => {
    switch (type) {
      case null:
      case undefined:
      case "Exact":
      case "PathPrefix":
      case "RegularExpression":
        return { match: { type: type ?? "PathPrefix", value: value ?? "/" }, unsupported: [] };
      default:
        return { match: ANY_PATH, unsupported: [`path match of type ${type}`] };
    }
  });

const Match = z
  .object({
    path: Path.nullish(),
    headers: z.array(HeaderMatch).nullish(),
    queryParams: z.array(QueryParamMatch).nullish(),
    method: z.enum(METHODS).nullish(),
  })
  .transform(({ path, headers, queryParams, method }): Understood<HttpMatch> => {
    const header = understood(headers ?? []);
    const query = understood(queryParams ?? []);
    return {
      match: {
        path: path?.match ?? ANY_PATH,
        headers: header.matches,
        queryParams: query.matches,
        method: method ?? undefined,
      },
      unsupported: [...(path?.unsupported ?? []), ...header.unsupported, ...query.unsupported],
    };
  });

const Duration = z.string().transform((text, context): number => {
  const ms = parseGatewayDurationMs(text);
  if (ms !== undefined) return ms;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not a duration` });
  return z.NEVER;
});

/** Statuses that are worth another attempt where a rule names none (Gateway API, `HTTPRouteRetry.codes`). */
const RETRY_CODES = [500, 502, 503, 504];
const RETRY_ATTEMPTS = 1;

const Retry = z
  .object({
    codes: z.array(z.number().int().min(400).max(599)).max(64).nullish(),
    attempts: z.number().int().min(0).max(1_000).nullish(),
    backoff: Duration.nullish(),
  })
  .transform(({ codes, attempts, backoff }): RouteRetry => ({
    codes: codes ?? RETRY_CODES,
    attempts: attempts ?? RETRY_ATTEMPTS,
    backoffMs: backoff ?? undefined,
  }));

const Rule = z
  .object({
    matches: z.array(Match).max(64).nullish(),
    filters: z.array(HttpRouteFilter).max(16).nullish(),
    backendRefs: z
      .array(Backend.extend({ filters: z.array(HttpRouteFilter).nullish() }))
      .max(16)
      .nullish(),
    timeouts: z.object({ request: Duration.nullish(), backendRequest: Duration.nullish() }).nullish(),
    retry: Retry.nullish(),
    sessionPersistence: Session.nullish(),
  })
  .superRefine((rule, context) => {
    const message = "ReplacePrefixMatch needs a PathPrefix match in every match of the rule";
    for (const path of prefixlessReplacements(rule)) context.addIssue({ code: "custom", path, message });
  });
type Rule = z.infer<typeof Rule>;

const Body = z.object({
  spec: z.object({
    parentRefs: Parents,
    hostnames: z.array(Hostname).max(16).nullish(),
    rules: z.array(Rule).max(64).nullish(),
  }),
});

function ruleOf(rule: Rule, namespace: string): HttpRule {
  const { matches, unsupported } = understood(rule.matches ?? []);
  return {
    matches:
      matches.length > 0 ? matches : [{ path: ANY_PATH, headers: [], queryParams: [], method: undefined }],
    filters: filtersOf(rule.filters, namespace),
    backends: (rule.backendRefs ?? []).map((backend) => ({
      ...backendOf(backend, namespace),
      filters: filtersOf(backend.filters, namespace),
    })),
    timeouts: {
      requestMs: rule.timeouts?.request ?? undefined,
      backendRequestMs: rule.timeouts?.backendRequest ?? undefined,
    },
    retry: rule.retry ?? undefined,
    session: rule.sessionPersistence?.session,
    unsupported: [...unsupported, ...(rule.sessionPersistence?.unsupported ?? [])],
  };
}

function httpRoute(group: RouteGroup, versions: readonly string[]): Decoder {
  return decoder({ group, kind: "HTTPRoute", versions }, Body, (meta, { spec }) => ({
    kind: "HTTPRoute",
    object: {
      meta,
      group,
      hosts: spec.hostnames ?? [],
      parents: parentsOf(spec.parentRefs, { group, namespace: meta.namespace }),
      rules: (spec.rules ?? [{}]).map((rule) => ruleOf(rule, meta.namespace)),
    },
  }));
}

export const gatewayHttpRoute = httpRoute("gateway.networking.k8s.io", ["v1alpha2", "v1beta1", "v1"]);
export const policyHttpRoute = httpRoute("policy.linkerd.io", ["v1alpha1", "v1beta1", "v1beta2", "v1beta3"]);
