import { z } from "zod";
import { parseGatewayDurationMs } from "../../model/duration.ts";
import type { SessionPersistence } from "../../model/route.ts";

const Duration = z.string().transform((text, context): number => {
  const ms = parseGatewayDurationMs(text);
  if (ms !== undefined) return ms;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not a duration` });
  return z.NEVER;
});

/** The `sessionPersistence` of a rule; a type that we do not know is kept apart, so that the rule can fail closed. */
export const Session = z
  .object({
    sessionName: z
      .string()
      .max(128)
      .regex(/^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/, "is not a name for a cookie or header")
      .nullish(),
    type: z.string().nullish(),
    absoluteTimeout: Duration.nullish(),
    idleTimeout: Duration.nullish(),
    cookieConfig: z.object({ lifetimeType: z.enum(["Permanent", "Session"]).nullish() }).nullish(),
  })
  .superRefine(({ cookieConfig, absoluteTimeout }, context) => {
    if (cookieConfig?.lifetimeType !== "Permanent" || typeof absoluteTimeout === "number") return;
    const message = "a permanent cookie needs an absoluteTimeout";
    context.addIssue({ code: "custom", path: ["absoluteTimeout"], message });
  })
  .transform(
    (session): { readonly session?: SessionPersistence; readonly unsupported: readonly string[] } => {
      const { type } = session;
      switch (type) {
        case null:
        case undefined:
        case "Cookie":
        case "Header":
          return {
            session: {
              type: type ?? "Cookie",
              name: session.sessionName ?? undefined,
              absoluteMs: session.absoluteTimeout ?? undefined,
              idleMs: session.idleTimeout ?? undefined,
              isPermanent: session.cookieConfig?.lifetimeType === "Permanent",
            },
            unsupported: [],
          };
        default:
          return { unsupported: [`session persistence of type ${type}`] };
      }
    },
  );
