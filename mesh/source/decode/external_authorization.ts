import { z } from "zod";
import { parseGatewayDurationMs } from "../../model/duration.ts";
import { HeaderName } from "./header_name.ts";
import { decoder, Port } from "./kind.ts";

const TIMEOUT_MS_DEFAULT = 250;
/** A request that waits longer than this for permission has failed. */
const TIMEOUT_MS_MAX = 10_000;
/** Somebody who is locked out stays so for no longer than this. */
const CACHE_MS_MAX = 300_000;

function Duration(msMin: number, msMax: number) {
  return z.string().transform((text, context): number => {
    const ms = parseGatewayDurationMs(text);
    if (ms !== undefined && ms >= msMin && ms <= msMax) return ms;
    const message = `must be a duration of ${msMin} ms to ${msMax} ms, such as 250ms`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });
}

const Headers = z.array(HeaderName).max(64).nullish();

const Body = z.object({
  spec: z.object({
    backendRef: z.object({
      group: z.literal(["", "core"]).nullish(),
      kind: z.literal("Service").nullish(),
      name: z.string().min(1),
      namespace: z.string().min(1).nullish(),
      port: Port,
    }),
    timeout: Duration(1, TIMEOUT_MS_MAX).nullish(),
    cache: Duration(0, CACHE_MS_MAX).nullish(),
    failurePolicy: z.enum(["Deny", "dangerousAllow"]).nullish(),
    requestHeaders: Headers,
    setHeaders: Headers,
    context: z.record(z.string().min(1).max(128), z.string().max(1024)).nullish(),
  }),
});

export const externalAuthorization = decoder(
  { group: "policy.hauberk.io", kind: "ExternalAuthorization", versions: ["v1alpha1"] },
  Body,
  (meta, { spec }) => ({
    kind: "ExternalAuthorization",
    object: {
      meta,
      backend: {
        namespace: spec.backendRef.namespace ?? meta.namespace,
        name: spec.backendRef.name,
        port: spec.backendRef.port,
      },
      timeoutMs: spec.timeout ?? TIMEOUT_MS_DEFAULT,
      cacheMs: spec.cache ?? 0,
      dangerousAllowOnFailure: spec.failurePolicy === "dangerousAllow",
      requestHeaders: spec.requestHeaders ?? [],
      setHeaders: spec.setHeaders ?? [],
      context: spec.context ?? {},
    },
  }),
);
