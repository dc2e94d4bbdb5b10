/** Routes of a ServiceProfile from what a service says of itself. Pure. */
import { z } from "zod";

/** One route as a ServiceProfile writes it. */
export interface ProfileRoute {
  readonly name: string;
  readonly condition: { readonly method: string; readonly pathRegex: string };
  readonly isRetryable?: boolean;
  readonly timeout?: string;
  readonly responseClasses?: readonly {
    readonly condition: { readonly status: { readonly min: number; readonly max: number } };
    readonly isFailure?: boolean;
  }[];
}

/** A description that cannot be read. */
export class DescriptionError extends Error {
  override readonly name = "DescriptionError";
}

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch"] as const;

const Operation = z.looseObject({
  responses: z.record(z.string(), z.unknown()).nullish(),
  "x-linkerd-retryable": z.boolean().nullish(),
  "x-linkerd-timeout": z.string().nullish(),
});

const OpenApi = z.looseObject({
  swagger: z.union([z.string(), z.number()]).optional(),
  openapi: z.string().optional(),
  basePath: z.string().nullish(),
  servers: z.array(z.looseObject({ url: z.string() })).nullish(),
  paths: z.record(z.string(), z.record(z.string(), z.unknown())),
});

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** A path with its parameters as one segment each. */
function pathRegex(path: string): string {
  return path
    .split(/(\{[^{}/]+\})/)
    .map((part) => (part.startsWith("{") && part.endsWith("}") ? "[^/]*" : escaped(part)))
    .join("");
}

/** The path that stands before all others: `basePath` of version 2, the first server's of version 3. */
function baseOf({ basePath, servers }: z.infer<typeof OpenApi>): string {
  const [server] = servers ?? [];
  const text = basePath ?? server?.url ?? "";
  const path = text.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, "");
  return path.replace(/\/+$/, "");
}

function classesOf(responses: Readonly<Record<string, unknown>>): ProfileRoute["responseClasses"] {
  const codes = Object.keys(responses)
    .filter((code) => /^[1-5]\d\d$/.test(code))
    .map(Number)
    .toSorted((a, b) => a - b);
  return codes.map((code) => ({
    condition: { status: { min: code, max: code } },
    ...(code >= 500 ? { isFailure: true } : {}),
  }));
}

/** The operations of an OpenAPI document (version 2 or 3). */
export function openApiRoutes(document: unknown): readonly ProfileRoute[] {
  const parsed = OpenApi.safeParse(document);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new DescriptionError(
      `no OpenAPI document: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`,
    );
  }
  const { data } = parsed;
  if (data.swagger === undefined && data.openapi === undefined)
    throw new DescriptionError("no OpenAPI document: it has neither swagger nor openapi");
  const base = baseOf(data);
  return Object.keys(data.paths)
    .toSorted()
    .flatMap((path) =>
      METHODS.flatMap((method): readonly ProfileRoute[] => {
        const operation = Operation.safeParse(data.paths[path]?.[method]);
        if (!operation.success) return [];
        const { responses, "x-linkerd-retryable": retryable, "x-linkerd-timeout": timeout } = operation.data;
        const classes = classesOf(responses ?? {}) ?? [];
        return [
          {
            name: `${method.toUpperCase()} ${base}${path}`,
            condition: { method: method.toUpperCase(), pathRegex: pathRegex(`${base}${path}`) },
            ...(classes.length === 0 ? {} : { responseClasses: classes }),
            ...(retryable === true ? { isRetryable: true } : {}),
            ...(timeout ? { timeout } : {}),
          },
        ];
      }),
    );
}

/** Without comments, and with strings emptied, so that braces in them count for nothing. */
function bare(text: string): string {
  return text.replaceAll(/\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, (part) =>
    part.startsWith("/") ? " " : '""',
  );
}

/** The text between the brace at `open` and the one that closes it. */
function blockAt(text: string, open: number): string {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === "{") depth += 1;
    if (text[at] === "}") depth -= 1;
    if (depth === 0) return text.slice(open + 1, at);
  }
  throw new DescriptionError("no protobuf description: a brace is not closed");
}

/** The methods of a protobuf file's services: gRPC calls them as `/package.Service/Method`. */
export function protoRoutes(source: string): readonly ProfileRoute[] {
  const text = bare(source);
  const name = /(?:^|[;}\s])package\s+([\w.]+)\s*;/.exec(text)?.[1];
  const services = [...text.matchAll(/(?:^|[;}\s])service\s+(\w+)\s*\{/g)];
  if (services.length === 0) throw new DescriptionError("no protobuf description: it has no service");
  return services.flatMap((found) => {
    const service = name === undefined ? (found[1] ?? "") : `${name}.${found[1] ?? ""}`;
    const body = blockAt(text, found.index + found[0].length - 1);
    return [...body.matchAll(/(?:^|[;}\s])rpc\s+(\w+)\s*\(/g)].map((rpc): ProfileRoute => {
      const method = rpc[1] ?? "";
      return { name: method, condition: { method: "POST", pathRegex: escaped(`/${service}/${method}`) } };
    });
  });
}

/** The object. */
export function profileObject(name: string, namespace: string, routes: readonly ProfileRoute[]): object {
  return {
    apiVersion: "linkerd.io/v1alpha2",
    kind: "ServiceProfile",
    metadata: { name, namespace },
    spec: { routes },
  };
}

/** A profile to be filled in by hand. */
export function profileTemplate(name: string, namespace: string): string {
  return `apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata:
  # The full DNS name of the service.
  name: ${name}
  namespace: ${namespace}
spec:
  # The first route whose condition holds is that of a request.
  routes:
    - name: "POST /authors/{id}"
      # All fields of a condition must hold; all, any and not join conditions.
      condition:
        method: POST
        # For the whole path.
        pathRegex: "/authors/\\\\d+"
      # Whether a request that failed may be sent again.
      isRetryable: false
      # How long a request may take with all its tries; absent: as long as it takes.
      timeout: 10s
      # Which responses count as failures; absent: statuses from 500 on.
      responseClasses:
        - condition:
            status:
              min: 500
              max: 599
          isFailure: true
  # How many requests may be sent again.
  retryBudget:
    # In proportion to those that are sent once.
    retryRatio: 0.2
    minRetriesPerSecond: 10
    ttl: 10s
`;
}
