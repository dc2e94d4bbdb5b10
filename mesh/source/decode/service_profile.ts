import { z } from "zod";
import { parseGoDurationMs } from "../../model/duration.ts";
import { parsePorts, type PortSet } from "../../model/ports.ts";
import type { ProfileRoute, RequestCondition, ResponseCondition } from "../../model/profile.ts";
import { decoder } from "./kind.ts";

/** A duration as Go writes it. */
const Duration = z.string().transform((text, context) => {
  const ms = parseGoDurationMs(text);
  if (ms !== undefined) return ms;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is no duration` });
  return z.NEVER;
});

const PathRegex = z.string().refine((pattern) => {
  try {
    return new RegExp(`^(?:${pattern})$`, "u").source !== "";
  } catch {
    return false;
  }
}, "is no regular expression");

/** A condition with several fields is all of them (as `all`). */
function whole<C>(parts: readonly C[], all: (of: readonly C[]) => C): C | undefined {
  return parts.length > 1 ? all(parts) : parts[0];
}

const Status = z.number().int().min(100).max(599);

const Request: z.ZodType<RequestCondition> = z.lazy(() =>
  z
    .object({
      all: z.array(Request).nullish(),
      any: z.array(Request).nullish(),
      not: Request.nullish(),
      pathRegex: PathRegex.nullish(),
      method: z.string().min(1).nullish(),
    })
    .transform((given, context): RequestCondition => {
      const parts: RequestCondition[] = [];
      if (given.all) parts.push({ type: "all", of: given.all });
      if (given.any) parts.push({ type: "any", of: given.any });
      if (given.not) parts.push({ type: "not", of: given.not });
      if (given.pathRegex) parts.push({ type: "path", regex: given.pathRegex });
      if (given.method) parts.push({ type: "method", method: given.method });
      const condition = whole(parts, (of): RequestCondition => ({ type: "all", of }));
      if (condition !== undefined) return condition;
      context.addIssue({ code: "custom", message: "a condition needs a field" });
      return z.NEVER;
    }),
);

const Response: z.ZodType<ResponseCondition> = z.lazy(() =>
  z
    .object({
      all: z.array(Response).nullish(),
      any: z.array(Response).nullish(),
      not: Response.nullish(),
      status: z.object({ min: Status.nullish(), max: Status.nullish() }).nullish(),
    })
    .transform((given, context): ResponseCondition => {
      const parts: ResponseCondition[] = [];
      if (given.all) parts.push({ type: "all", of: given.all });
      if (given.any) parts.push({ type: "any", of: given.any });
      if (given.not) parts.push({ type: "not", of: given.not });
      if (given.status) {
        // One bound alone is a single status, as in Linkerd.
        const min = given.status.min ?? given.status.max ?? 100;
        parts.push({ type: "status", min, max: given.status.max ?? min });
      }
      const condition = whole(parts, (of): ResponseCondition => ({ type: "all", of }));
      if (condition !== undefined) return condition;
      context.addIssue({ code: "custom", message: "a condition needs a field" });
      return z.NEVER;
    }),
);

const Route = z
  .object({
    name: z.string().min(1),
    condition: Request,
    isRetryable: z.boolean().nullish(),
    timeout: Duration.nullish(),
    responseClasses: z.array(z.object({ condition: Response, isFailure: z.boolean().nullish() })).nullish(),
  })
  .transform((route): ProfileRoute => ({
    name: route.name,
    condition: route.condition,
    isRetryable: route.isRetryable ?? false,
    timeoutMs: route.timeout === 0 ? undefined : (route.timeout ?? undefined),
    responseClasses: (route.responseClasses ?? []).map(({ condition, isFailure }) => ({
      condition,
      isFailure: isFailure ?? false,
    })),
  }));

const RetryBudget = z.object({
  retryRatio: z.number().min(0).max(1000),
  minRetriesPerSecond: z.number().int().min(0).max(1_000_000),
  ttl: Duration,
});

/** A quantity of Kubernetes, in thousandths. */
const Weight = z.union([z.number(), z.string()]).transform((given, context) => {
  const [, amount, unit] = /^(\d{1,9}(?:\.\d{1,3})?)(m|k)?$/.exec(String(given)) ?? [];
  const thousandths = Number(amount) * (unit === "m" ? 1 : unit === "k" ? 1_000_000 : 1_000);
  if (amount !== undefined && Number.isSafeInteger(Math.round(thousandths)) && thousandths < 2 ** 32)
    return Math.round(thousandths);
  context.addIssue({ code: "custom", message: `${JSON.stringify(given)} is no weight` });
  return z.NEVER;
});

const Body = z.object({
  spec: z
    .object({
      opaquePorts: z
        .array(z.union([z.string(), z.number()]))
        .nullish()
        .transform((ports, context): PortSet => {
          const parsed = parsePorts((ports ?? []).join(","));
          for (const bad of parsed.bad) {
            context.addIssue({
              code: "custom",
              message: `${JSON.stringify(bad)} is neither a port nor a range`,
            });
          }
          return parsed.ports;
        }),
      routes: z.array(Route).nullish(),
      retryBudget: RetryBudget.nullish(),
      dstOverrides: z.array(z.object({ authority: z.string().min(1), weight: Weight })).nullish(),
    })
    .nullish(),
});

export const serviceProfile = decoder(
  { group: "linkerd.io", kind: "ServiceProfile", versions: ["v1alpha1", "v1alpha2"] },
  Body,
  (meta, { spec }) => {
    const budget = spec?.retryBudget ?? undefined;
    return {
      kind: "ServiceProfile",
      object: {
        meta,
        opaquePorts: spec?.opaquePorts ?? [],
        routes: spec?.routes ?? [],
        retryBudget:
          budget === undefined
            ? undefined
            : {
                retryRatio: budget.retryRatio,
                minRetriesPerSecond: budget.minRetriesPerSecond,
                ttlMs: budget.ttl,
              },
        dstOverrides: spec?.dstOverrides ?? [],
      },
    };
  },
);
