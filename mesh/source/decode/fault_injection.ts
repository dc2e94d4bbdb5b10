import { z } from "zod";
import { parseGatewayDurationMs } from "../../model/duration.ts";
import type { ValueMatch } from "../../model/route.ts";
import { coreGroup, decoder } from "./kind.ts";
import { HeaderMatch } from "./route_refs.ts";

/** No client waits longer: a delay stands in for a slow server, not for a lost one. */
const DELAY_MS_MAX = 60_000;

const HTTP_STATUS = 503;
const GRPC_STATUS = 14;

/** `google.rpc.Code`, by number. */
const CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

const Duration = z.string().transform((text, context): number => {
  const ms = parseGatewayDurationMs(text);
  if (ms !== undefined && ms > 0) return ms;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not a duration above zero` });
  return z.NEVER;
});

const Moment = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

const GrpcStatus = z.union([
  z
    .enum(CODES)
    .exclude(["OK"])
    .transform((name) => CODES.indexOf(name)),
  z.number().int().min(1).max(16),
]);

const Window = z
  .object({ start: Moment.nullish(), end: Moment.nullish(), duration: Duration.nullish() })
  .transform(({ start, end, duration }, context) => {
    const refuse = (message: string) => {
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    };
    const startMs = start ?? 0;
    if (typeof end === "number") {
      if (typeof duration === "number") return refuse("end and duration must not stand together");
      return end > startMs ? { startMs, endMs: end } : refuse("the end must be after the start");
    }
    if (typeof duration !== "number") return refuse("a fault needs an end, or a start and a duration");
    return typeof start === "number"
      ? { startMs, endMs: start + duration }
      : refuse("a duration needs a start");
  });

const Header = HeaderMatch.transform(({ match, unsupported }, context): ValueMatch => {
  if (match !== undefined) return match;
  context.addIssue({ code: "custom", message: `${unsupported.join(", ")} is not supported` });
  return z.NEVER;
});

const Body = z.object({
  spec: z
    .object({
      targetRef: z.object({
        group: z.string().nullish(),
        kind: z.enum(["Service", "HTTPRoute", "GRPCRoute"]),
        name: z.string().min(1),
      }),
      percent: z.number().gt(0).max(100).nullish(),
      delay: Duration.refine((ms) => ms <= DELAY_MS_MAX, `is more than ${DELAY_MS_MAX} ms`).nullish(),
      abort: z
        .object({
          httpStatus: z.number().int().min(400).max(599).nullish(),
          grpcStatus: GrpcStatus.nullish(),
          message: z.string().max(256).nullish(),
        })
        .nullish(),
      window: Window,
      headers: z.array(Header).max(16).nullish(),
      clients: z
        .array(
          z.object({
            kind: z.literal("ServiceAccount"),
            name: z.string().min(1),
            namespace: z.string().nullish(),
          }),
        )
        .max(64)
        .nullish(),
    })
    .superRefine(({ delay, abort }, context) => {
      if (typeof delay === "number" || (abort !== undefined && abort !== null)) return;
      context.addIssue({ code: "custom", path: ["abort"], message: "a delay or an abort is required" });
    }),
});

/** The API group of the target's kind: routes of the Gateway API where none is given. */
function groupOf(group: string | null | undefined, kind: string): string {
  if (kind === "Service") return coreGroup(group ?? "");
  return group ?? "gateway.networking.k8s.io";
}

export const faultInjection = decoder(
  { group: "policy.hauberk.io", kind: "HTTPFaultInjection", versions: ["v1alpha1"] },
  Body,
  (meta, { spec }) => ({
    kind: "HTTPFaultInjection",
    object: {
      meta,
      target: {
        group: groupOf(spec.targetRef.group, spec.targetRef.kind),
        kind: spec.targetRef.kind,
        name: spec.targetRef.name,
      },
      sharePpm: Math.max(1, Math.round((spec.percent ?? 100) * 10_000)),
      delayMs: spec.delay ?? undefined,
      abort: spec.abort
        ? {
            httpStatus: spec.abort.httpStatus ?? HTTP_STATUS,
            grpcStatus: spec.abort.grpcStatus ?? GRPC_STATUS,
            message:
              spec.abort.message ?? `fault injected by HTTPFaultInjection ${meta.namespace}/${meta.name}`,
          }
        : undefined,
      ...spec.window,
      headers: spec.headers ?? [],
      accounts: (spec.clients ?? []).map(({ name, namespace }) => ({
        name,
        namespace: namespace ?? meta.namespace,
      })),
    },
  }),
);
