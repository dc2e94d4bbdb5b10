import { z } from "zod";
import { parseGatewayDurationMs } from "../../model/duration.ts";
import type { HttpFilter, HttpMatch, HttpRule, PathMatch, RouteGroup } from "../../model/route.ts";
import { decoder, Port, type Decoder, type Issue } from "./kind.ts";
import {
  Backend,
  backendOf,
  HeaderMatch,
  Hostname,
  Modifier,
  Parents,
  parentsOf,
  QueryParamMatch,
} from "./route_refs.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

const ANY_PATH: PathMatch = { type: "PathPrefix", value: "/" };

const Path = z
  .object({
    type: z.enum(["Exact", "PathPrefix", "RegularExpression"]).nullish(),
    value: z.string().max(1024).nullish(),
  })
  .superRefine(({ type, value }, context) => {
    if (type === "RegularExpression" || (value ?? "/").startsWith("/")) return;
    context.addIssue({ code: "custom", path: ["value"], message: "must start with a slash" });
  })
  .transform(({ type, value }): PathMatch => ({ type: type ?? "PathPrefix", value: value ?? "/" }));

const Match = z
  .object({
    path: Path.nullish(),
    headers: z.array(HeaderMatch).nullish(),
    queryParams: z.array(QueryParamMatch).nullish(),
    method: z.enum(METHODS).nullish(),
  })
  .transform(({ path, headers, queryParams, method }): HttpMatch => ({
    path: path ?? ANY_PATH,
    headers: headers ?? [],
    queryParams: queryParams ?? [],
    method: method ?? undefined,
  }));

const PathModifier = z.discriminatedUnion("type", [
  z
    .object({ type: z.literal("ReplaceFullPath"), replaceFullPath: z.string().max(1024) })
    .transform(({ type, replaceFullPath }) => ({ type, value: replaceFullPath })),
  z
    .object({ type: z.literal("ReplacePrefixMatch"), replacePrefixMatch: z.string().max(1024) })
    .transform(({ type, replacePrefixMatch }) => ({ type, value: replacePrefixMatch })),
]);

const Redirect = z
  .object({
    scheme: z.enum(["http", "https"]).nullish(),
    hostname: z.string().max(253).nullish(),
    port: Port.nullish(),
    path: PathModifier.nullish(),
    statusCode: z
      .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)])
      .nullish(),
  })
  .transform((redirect) => ({
    scheme: redirect.scheme ?? undefined,
    hostname: redirect.hostname ?? undefined,
    port: redirect.port ?? undefined,
    path: redirect.path ?? undefined,
    statusCode: redirect.statusCode ?? 302,
  }));

/**
 * A filter. One that cannot be carried out is kept, so that its rule can fail closed: dropping the filter, or the
 * route, would send the request where its author did not want it.
 */
const Filter = z
  .object({
    type: z.string().min(1),
    requestHeaderModifier: Modifier.nullish(),
    responseHeaderModifier: Modifier.nullish(),
    requestRedirect: Redirect.nullish(),
  })
  .transform((filter, context): HttpFilter => {
    const { type, requestHeaderModifier, responseHeaderModifier, requestRedirect } = filter;
    if (type === "RequestHeaderModifier" && requestHeaderModifier)
      return { type, modifier: requestHeaderModifier };
    if (type === "ResponseHeaderModifier" && responseHeaderModifier)
      return { type, modifier: responseHeaderModifier };
    if (type === "RequestRedirect" && requestRedirect) return { type, redirect: requestRedirect };
    if (["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect"].includes(type)) {
      context.addIssue({ code: "custom", message: `the field that belongs to type ${type} is missing` });
      return z.NEVER;
    }
    return { type: "Unsupported", name: type };
  });

const Duration = z.string().transform((text, context): number => {
  const ms = parseGatewayDurationMs(text);
  if (ms !== undefined) return ms;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not a duration` });
  return z.NEVER;
});

const Rule = z
  .object({
    matches: z.array(Match).max(64).nullish(),
    filters: z.array(Filter).max(16).nullish(),
    backendRefs: z
      .array(Backend.extend({ filters: z.array(Filter).nullish() }))
      .max(16)
      .nullish(),
    timeouts: z.object({ request: Duration.nullish(), backendRequest: Duration.nullish() }).nullish(),
    retry: z.unknown().optional(),
    sessionPersistence: z.unknown().optional(),
  })
  .superRefine((rule, context) => {
    for (const [at, filter] of (rule.filters ?? []).entries()) {
      if (filter.type !== "RequestRedirect" || filter.redirect.path?.type !== "ReplacePrefixMatch") continue;
      if (rule.matches?.length && rule.matches.every(({ path }) => path.type === "PathPrefix")) continue;
      const message = "ReplacePrefixMatch needs a PathPrefix match in every match of the rule";
      context.addIssue({ code: "custom", path: ["filters", at, "requestRedirect", "path"], message });
    }
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
  return {
    matches: rule.matches?.length
      ? rule.matches
      : [{ path: ANY_PATH, headers: [], queryParams: [], method: undefined }],
    filters: rule.filters ?? [],
    backends: (rule.backendRefs ?? []).map((backend) => ({
      ...backendOf(backend, namespace),
      filters: backend.filters ?? [],
    })),
    timeouts: {
      requestMs: rule.timeouts?.request ?? undefined,
      backendRequestMs: rule.timeouts?.backendRequest ?? undefined,
    },
  };
}

/** Experimental fields that are read and have no effect yet. */
function unhonoured({ spec }: z.infer<typeof Body>): readonly Issue[] {
  return (spec.rules ?? []).flatMap((rule, at) =>
    (["retry", "sessionPersistence"] as const)
      .filter((field) => rule[field] !== undefined && rule[field] !== null)
      .map((field) => ({ path: ["spec", "rules", at, field], message: "is not honoured yet" })),
  );
}

function httpRoute(group: RouteGroup, versions: readonly string[]): Decoder {
  return decoder(
    { group, kind: "HTTPRoute", versions },
    Body,
    (meta, { spec }) => ({
      kind: "HTTPRoute",
      object: {
        meta,
        group,
        hosts: spec.hostnames ?? [],
        parents: parentsOf(spec.parentRefs, { group, namespace: meta.namespace }),
        rules: (spec.rules ?? [{}]).map((rule) => ruleOf(rule, meta.namespace)),
      },
    }),
    unhonoured,
  );
}

export const gatewayHttpRoute = httpRoute("gateway.networking.k8s.io", ["v1alpha2", "v1beta1", "v1"]);
export const policyHttpRoute = httpRoute("policy.linkerd.io", ["v1alpha1", "v1beta1", "v1beta2", "v1beta3"]);
