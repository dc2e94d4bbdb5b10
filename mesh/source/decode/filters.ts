/** Filters of HTTPRoutes and GRPCRoutes. */
import { z } from "zod";
import type { Cors, GrpcFilter, HttpFilter, HttpMatch, Mirror } from "../../model/route.ts";
import { Port } from "./kind.ts";
import { Backend, backendOf, FieldName, Modifier } from "./route_refs.ts";

/** A host without wildcard, or an address (`PreciseHostname` of the Gateway API). */
const PreciseHostname = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/, "is not a host name");

/** A path as a header or request line can hold it. */
const NewPath = z
  .string()
  .max(1024)
  .regex(/^[!-~]*$/, "has characters that no path can hold");

const PathModifier = z.discriminatedUnion("type", [
  z
    .object({ type: z.literal("ReplaceFullPath"), replaceFullPath: NewPath })
    .transform(({ type, replaceFullPath }) => ({ type, value: replaceFullPath })),
  z
    .object({ type: z.literal("ReplacePrefixMatch"), replacePrefixMatch: NewPath })
    .transform(({ type, replacePrefixMatch }) => ({ type, value: replacePrefixMatch })),
]);

const Redirect = z
  .object({
    scheme: z.enum(["http", "https"]).nullish(),
    hostname: PreciseHostname.nullish(),
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

const Rewrite = z
  .object({ hostname: PreciseHostname.nullish(), path: PathModifier.nullish() })
  .transform(({ hostname, path }) => ({ hostname: hostname ?? undefined, path: path ?? undefined }));

/** `*`, an origin, or an origin whose host begins with `*.` (Fetch §3.2; `CORSOrigin` of the Gateway API). */
const Origin = z
  .string()
  .max(253)
  .regex(
    /^(\*|[A-Za-z][A-Za-z0-9+.-]*:\/\/(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?)$/,
    "is not an origin",
  );

const METHODS = [
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "PATCH",
  "*",
] as const;

/** A wildcard may only stand alone. */
function alone(values: readonly string[]): boolean {
  return values.length < 2 || !values.includes("*");
}
const ALONE = "* must stand alone";

const MAX_AGE_S = 5;

const CorsFilter = z
  .object({
    allowOrigins: z.array(Origin).max(64).nullish(),
    allowCredentials: z.boolean().nullish(),
    allowMethods: z.array(z.enum(METHODS)).max(9).refine(alone, ALONE).nullish(),
    allowHeaders: z.array(FieldName).max(64).refine(alone, ALONE).nullish(),
    exposeHeaders: z.array(FieldName).max(64).refine(alone, ALONE).nullish(),
    maxAge: z.number().int().min(1).max(2_147_483_647).nullish(),
  })
  .transform((cors): Cors => ({
    allowOrigins: cors.allowOrigins ?? [],
    allowCredentials: cors.allowCredentials ?? false,
    allowMethods: cors.allowMethods ?? [],
    allowHeaders: cors.allowHeaders ?? [],
    exposeHeaders: cors.exposeHeaders ?? [],
    maxAgeS: cors.maxAge ?? MAX_AGE_S,
  }));

const Percent = z.number().int().min(0).max(100);

const MirrorFilter = z
  .object({
    backendRef: Backend,
    percent: Percent.nullish(),
    fraction: z
      .object({ numerator: z.number().int().min(0), denominator: z.number().int().min(1).nullish() })
      .refine(({ numerator, denominator }) => numerator <= (denominator ?? 100), {
        path: ["numerator"],
        message: "must not be above the denominator",
      })
      .nullish(),
  })
  .refine(
    ({ percent, fraction }) => [percent, fraction].includes(undefined) || [percent, fraction].includes(null),
    {
      path: ["fraction"],
      message: "must not stand beside percent",
    },
  )
  .transform(({ backendRef, percent, fraction }) => ({
    backendRef,
    numerator: fraction?.numerator ?? percent ?? 100,
    denominator: fraction?.denominator ?? 100,
  }));

const Fields = z.object({
  type: z.string().min(1),
  requestHeaderModifier: Modifier.nullish(),
  responseHeaderModifier: Modifier.nullish(),
  requestRedirect: Redirect.nullish(),
  urlRewrite: Rewrite.nullish(),
  cors: CorsFilter.nullish(),
  requestMirror: MirrorFilter.nullish(),
});

/** A filter as it is written: the backend of a mirror may leave out the route's own namespace. */
type Written<F> = Exclude<F, { readonly type: "RequestMirror" }> | WrittenMirror;

interface WrittenMirror {
  readonly type: "RequestMirror";
  readonly written: z.infer<typeof MirrorFilter>;
}

/** The filters whose meaning is in a field of their own: `undefined` if that field is missing. */
function httpFilterOf(filter: z.infer<typeof Fields>): Written<HttpFilter> | undefined {
  const { type } = filter;
  switch (type) {
    case "RequestHeaderModifier":
      return filter.requestHeaderModifier ? { type, modifier: filter.requestHeaderModifier } : undefined;
    case "ResponseHeaderModifier":
      return filter.responseHeaderModifier ? { type, modifier: filter.responseHeaderModifier } : undefined;
    case "RequestRedirect":
      return filter.requestRedirect ? { type, redirect: filter.requestRedirect } : undefined;
    case "URLRewrite":
      return filter.urlRewrite ? { type, rewrite: filter.urlRewrite } : undefined;
    case "CORS":
      return filter.cors ? { type, cors: filter.cors } : undefined;
    case "RequestMirror":
      return filter.requestMirror ? { type, written: filter.requestMirror } : undefined;
    default:
      return { type: "Unsupported", name: type };
  }
}

/**
 * A filter of an HTTPRoute. One that cannot be carried out is kept, so that its rule can fail closed: dropping the
 * filter, or the route, would send the request where its author did not want it.
 */
export const HttpRouteFilter = Fields.transform((filter, context): Written<HttpFilter> => {
  const read = httpFilterOf(filter);
  if (read !== undefined) return read;
  context.addIssue({
    code: "custom",
    message: `the field that belongs to type ${filter.type} is missing`,
  });
  return z.NEVER;
});

/** A filter of a GRPCRoute; the others of HTTPRoute have no meaning for calls. */
export const GrpcRouteFilter = HttpRouteFilter.transform((filter): Written<GrpcFilter> => {
  switch (filter.type) {
    case "RequestHeaderModifier":
    case "ResponseHeaderModifier":
    case "RequestMirror":
    case "Unsupported":
      return filter;
    case "RequestRedirect":
    case "URLRewrite":
    case "CORS":
      return { type: "Unsupported", name: filter.type };
  }
});

function isWrittenMirror(filter: unknown): filter is WrittenMirror {
  return typeof filter === "object" && filter !== null && "written" in filter;
}

/** The filters of a route in this namespace. */
export function filtersOf<F>(filters: readonly (F | WrittenMirror)[] | null | undefined, namespace: string) {
  return (filters ?? []).map((filter) => {
    if (!isWrittenMirror(filter)) return filter;
    const { backendRef, numerator, denominator } = filter.written;
    const { group, kind, name, port, ...backend } = backendOf(backendRef, namespace);
    const mirror: Mirror = {
      backend: { group, kind, name, port, namespace: backend.namespace },
      numerator,
      denominator,
    };
    return { type: "RequestMirror" as const, mirror };
  });
}

interface Filtered {
  readonly matches?: readonly { readonly match: HttpMatch | undefined }[] | null | undefined;
  readonly filters?: readonly Written<HttpFilter>[] | null | undefined;
}

/** Where a filter replaces the prefix of a rule in which not every match has one. */
export function prefixlessReplacements({ matches, filters }: Filtered): readonly PropertyKey[][] {
  if (!matches?.length || matches.every(({ match }) => match?.path.type === "PathPrefix")) {
    // A rule without matches is a prefix match on "/".
    return [];
  }
  return (filters ?? []).flatMap((filter, at) => {
    if (filter.type === "RequestRedirect" && filter.redirect.path?.type === "ReplacePrefixMatch")
      return [["filters", at, "requestRedirect", "path"]];
    if (filter.type === "URLRewrite" && filter.rewrite.path?.type === "ReplacePrefixMatch")
      return [["filters", at, "urlRewrite", "path"]];
    return [];
  });
}
