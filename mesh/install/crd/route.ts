/** `policy.linkerd.io` HTTPRoute: the Gateway API's, in Linkerd's group, with the filters that the mesh does (docs/guide/traffic.md). */
import type { Definition } from "./definition.ts";
import {
  BOOLEAN,
  CONDITIONS,
  DURATION,
  NAME,
  PORT,
  integer,
  list,
  object,
  oneOf,
  string,
  type Schema,
} from "./schema.ts";

const GROUP = "policy.linkerd.io";

const FIELD_NAME: Schema = string({
  minLength: 1,
  maxLength: 256,
  pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_\x60|~]+$",
});
const FIELD_NAMES: Schema = list(FIELD_NAME, { maxItems: 64 });

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

const VALUE_MATCH = {
  type: { ...oneOf("Exact", "RegularExpression"), default: "Exact" },
  value: string({ maxLength: 4096 }),
} as const;

const MATCH: Schema = object({
  path: object({
    type: { ...oneOf("Exact", "PathPrefix", "RegularExpression"), default: "PathPrefix" },
    value: string({ maxLength: 1024, default: "/" }),
  }),
  headers: list(object({ name: FIELD_NAME, ...VALUE_MATCH }, ["name", "value"]), { maxItems: 16 }),
  queryParams: list(
    object({ name: string({ minLength: 1, maxLength: 256 }), ...VALUE_MATCH }, ["name", "value"]),
    { maxItems: 16 },
  ),
  method: oneOf(...METHODS),
});

const HEADERS: Schema = list(
  object({ name: FIELD_NAME, value: string({ maxLength: 4096 }) }, ["name", "value"]),
  { maxItems: 16 },
);

const MODIFIER: Schema = object({ set: HEADERS, add: HEADERS, remove: FIELD_NAMES });

const PATH_MODIFIER: Schema = object(
  {
    type: oneOf("ReplaceFullPath", "ReplacePrefixMatch"),
    replaceFullPath: string({ maxLength: 1024 }),
    replacePrefixMatch: string({ maxLength: 1024 }),
  },
  ["type"],
);

const HOST: Schema = string({
  minLength: 1,
  maxLength: 253,
  pattern: "^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$",
});

const BACKEND = {
  group: string({ default: "" }),
  kind: string({ default: "Service" }),
  name: NAME,
  namespace: string({ minLength: 1, maxLength: 63 }),
  port: PORT,
} as const;

const STATUS_CODE: Schema = { type: "integer", enum: [301, 302, 303, 307, 308] };

const FILTER: Schema = object(
  {
    type: oneOf(
      "RequestHeaderModifier",
      "ResponseHeaderModifier",
      "RequestRedirect",
      "URLRewrite",
      "RequestMirror",
      "CORS",
      "ExtensionRef",
    ),
    requestHeaderModifier: MODIFIER,
    responseHeaderModifier: MODIFIER,
    requestRedirect: object({
      scheme: oneOf("http", "https"),
      hostname: HOST,
      path: PATH_MODIFIER,
      port: PORT,
      statusCode: STATUS_CODE,
    }),
    urlRewrite: object({ hostname: HOST, path: PATH_MODIFIER }),
    requestMirror: object(
      {
        backendRef: object(BACKEND, ["name"]),
        percent: integer(0, 100),
        fraction: object({ numerator: integer(0), denominator: integer(1) }, ["numerator"]),
      },
      ["backendRef"],
    ),
    cors: object({
      allowOrigins: list(string({ minLength: 1, maxLength: 253 }), { maxItems: 64 }),
      allowCredentials: BOOLEAN,
      allowMethods: list(oneOf(...METHODS, "*"), { maxItems: 9 }),
      allowHeaders: FIELD_NAMES,
      exposeHeaders: FIELD_NAMES,
      maxAge: integer(1, 2_147_483_647),
    }),
    extensionRef: object({ group: string(), kind: string({ minLength: 1 }), name: NAME }, [
      "group",
      "kind",
      "name",
    ]),
  },
  ["type"],
);

const FILTERS: Schema = list(FILTER, { maxItems: 16 });

const SESSION: Schema = object({
  sessionName: string({ maxLength: 128 }),
  type: { ...oneOf("Cookie", "Header"), default: "Cookie" },
  absoluteTimeout: DURATION,
  idleTimeout: DURATION,
  cookieConfig: object({ lifetimeType: { ...oneOf("Permanent", "Session"), default: "Session" } }),
});

function spec(since: { readonly timeouts: boolean }): Schema {
  const rule = object({
    matches: list(MATCH, { maxItems: 64 }),
    filters: FILTERS,
    backendRefs: list(
      object({ ...BACKEND, weight: { ...integer(0, 1_000_000), default: 1 }, filters: FILTERS }, ["name"]),
      { maxItems: 16 },
    ),
    ...(since.timeouts ? { timeouts: object({ request: DURATION, backendRequest: DURATION }) } : {}),
    retry: object({
      codes: list(integer(400, 599), { maxItems: 64 }),
      attempts: integer(0, 1_000),
      backoff: DURATION,
    }),
    sessionPersistence: SESSION,
  });
  return object({
    parentRefs: list(
      object(
        {
          group: string({ default: GROUP }),
          kind: string({ default: "Gateway" }),
          name: NAME,
          namespace: string({ minLength: 1, maxLength: 63 }),
          port: PORT,
          sectionName: string({ minLength: 1, maxLength: 253 }),
        },
        ["name"],
      ),
      { maxItems: 32 },
    ),
    hostnames: list(
      string({
        minLength: 1,
        maxLength: 253,
        pattern: "^(\\*\\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$",
      }),
      { maxItems: 16 },
    ),
    rules: list(rule, { maxItems: 16 }),
  });
}

const STATUS: Schema = object({
  parents: list(
    object(
      {
        parentRef: object(
          {
            group: string(),
            kind: string(),
            name: string(),
            namespace: string(),
            port: PORT,
            sectionName: string(),
          },
          ["name"],
        ),
        controllerName: string({ minLength: 1, maxLength: 253 }),
        conditions: CONDITIONS,
      },
      ["parentRef", "controllerName"],
    ),
    { maxItems: 32 },
  ),
});

const COLUMNS = [{ name: "Hostnames", type: "string", jsonPath: ".spec.hostnames" }] as const;

export const HTTP_ROUTE: Definition = {
  group: GROUP,
  kind: "HTTPRoute",
  plural: "httproutes",
  versions: ["v1alpha1", "v1beta1", "v1beta2", "v1beta3"].map((name) => ({
    name,
    spec: spec({ timeouts: name === "v1beta3" || name === "v1beta2" }),
    status: STATUS,
    columns: COLUMNS,
    ...(name === "v1alpha1"
      ? { deprecation: `${GROUP}/v1alpha1 HTTPRoute is superseded by ${GROUP}/v1beta3 HTTPRoute` }
      : {}),
  })),
};
