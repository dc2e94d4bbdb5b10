import { z } from "zod";
import { ALGORITHMS, type KeySource, type TokenSource } from "../../model/authentication.ts";
import { parseGatewayDurationMs } from "../../model/duration.ts";
import { parseKeySet } from "../../model/jwks.ts";
import { HeaderName } from "./header_name.ts";
import { decoder, isGiven } from "./kind.ts";

/** Beyond this a clock is not skewed but wrong. */
const SKEW_SECONDS_MAX = 300;
const SKEW_SECONDS_DEFAULT = 30;

const Text = z.string().min(1).max(1024);

/** `claim: name`, or `path: [outer, inner]`. */
const Path = z
  .object({ claim: Text.nullish(), path: z.array(Text).min(1).max(8).nullish() })
  .transform(({ claim, path }, context): readonly string[] => {
    if (isGiven(claim) && !isGiven(path)) return [claim];
    if (isGiven(path) && !isGiven(claim)) return path;
    context.addIssue({
      code: "custom",
      path: ["claim"],
      message: "exactly one of claim and path is required",
    });
    return z.NEVER;
  });

/** A text, or a number or truth value as JSON writes it. */
const Scalar = z.union([Text, z.number(), z.boolean()]).transform(String);

const Claim = z
  .object({
    anyOf: z.array(Scalar).min(1).max(64).nullish(),
    contains: z.array(Text).min(1).max(64).nullish(),
  })
  .loose()
  .transform((condition, context) => {
    const path = Path.safeParse(condition);
    if (!path.success) {
      for (const { path: at, message } of path.error.issues) {
        context.addIssue({ code: "custom", path: at, message });
      }
      return z.NEVER;
    }
    return { path: path.data, anyOf: condition.anyOf ?? [], contains: condition.contains ?? [] };
  });

const ClaimHeader = z
  .object({ header: HeaderName })
  .loose()
  .transform((entry, context) => {
    const path = Path.safeParse(entry);
    if (path.success) return { header: entry.header, path: path.data };
    for (const { path: at, message } of path.error.issues)
      context.addIssue({ code: "custom", path: at, message });
    return z.NEVER;
  });

const Source = z
  .object({
    header: z.object({ name: HeaderName, prefix: z.string().max(64).nullish() }).nullish(),
    cookie: z
      .object({ name: z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, "is no cookie name") })
      .nullish(),
  })
  .transform(({ header, cookie }, context): TokenSource => {
    if (isGiven(header) && !isGiven(cookie)) {
      return { type: "header", name: header.name, prefix: header.prefix ?? "" };
    }
    if (isGiven(cookie) && !isGiven(header)) return { type: "cookie", name: cookie.name };
    context.addIssue({ code: "custom", message: "exactly one of header and cookie is required" });
    return z.NEVER;
  });

const BEARER: TokenSource = { type: "header", name: "authorization", prefix: "Bearer " };

const Uri = z.url({ protocol: /^https$/, error: "must be an https URL" }).max(2048);

const REFRESH_MS_DEFAULT = 300_000;
const REFRESH_MS_MIN = 5_000;
const REFRESH_MS_MAX = 86_400_000;

const Refresh = z.string().transform((text, context): number => {
  const ms = parseGatewayDurationMs(text);
  if (ms !== undefined && ms >= REFRESH_MS_MIN && ms <= REFRESH_MS_MAX) return ms;
  context.addIssue({ code: "custom", message: "must be a duration of 5s to 24h" });
  return z.NEVER;
});

const Keys = z
  .object({
    jwksRefresh: Refresh.nullish(),
    jwks: z.unknown().optional(),
    jwksUri: Uri.nullish(),
    caBundle: z.string().max(65_536).nullish(),
  })
  .transform(({ jwks, jwksUri, jwksRefresh, caBundle }, context): KeySource => {
    const refuse = (path: string, message: string): never => {
      context.addIssue({ code: "custom", path: [path], message });
      return z.NEVER;
    };
    if (isGiven(jwks) === isGiven(jwksUri)) {
      return refuse("jwks", "exactly one of jwks and jwksUri is required");
    }
    if (isGiven(jwksUri)) {
      const refreshMs = jwksRefresh ?? REFRESH_MS_DEFAULT;
      return { type: "uri", uri: jwksUri, caBundle: caBundle ?? undefined, refreshMs };
    }
    const { keys, problems } = parseKeySet(typeof jwks === "string" ? jsonOf(jwks) : jwks);
    if (problems[0] !== undefined) return refuse("jwks", problems.join("; "));
    return keys.length > 0 ? { type: "inline", keys } : refuse("jwks", "has no key");
  });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const Body = z.object({
  spec: z
    .object({
      issuer: Text,
      audiences: z.array(Text).min(1).max(64),
      algorithms: z.array(z.enum(ALGORITHMS)).min(1).nullish(),
      clockSkewSeconds: z.number().int().min(0).max(SKEW_SECONDS_MAX).nullish(),
      from: z.array(Source).min(1).max(8).nullish(),
      claims: z.array(Claim).max(32).nullish(),
      forwardToken: z.boolean().nullish(),
      claimHeaders: z.array(ClaimHeader).max(32).nullish(),
    })
    .loose()
    .transform((spec, context) => {
      const keys = Keys.safeParse(spec);
      if (keys.success) return { ...spec, keys: keys.data };
      for (const { path, message } of keys.error.issues) context.addIssue({ code: "custom", path, message });
      return z.NEVER;
    }),
});

export const jwtAuthentication = decoder(
  { group: "policy.hauberk.io", kind: "JWTAuthentication", versions: ["v1alpha1"] },
  Body,
  (meta, { spec }) => ({
    kind: "JWTAuthentication",
    object: {
      meta,
      issuer: spec.issuer,
      audiences: spec.audiences,
      keys: spec.keys,
      algorithms: spec.algorithms ?? undefined,
      skewSeconds: spec.clockSkewSeconds ?? SKEW_SECONDS_DEFAULT,
      sources: spec.from ?? [BEARER],
      claims: spec.claims ?? [],
      forwardsToken: spec.forwardToken ?? false,
      claimHeaders: spec.claimHeaders ?? [],
    },
  }),
);
