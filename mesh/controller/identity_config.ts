/** Flags of the role `identity` → what it is to do. Parsed once, strictly. */
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { z } from "zod";
import { CLOCK_SKEW_MS } from "@hauberk/crypto/issue.ts";
import { LEAF_LIFE_MS_MIN } from "../identity/certify.ts";
import { SPREAD_MS } from "../identity/trust-rotation.ts";
import type { TrustSchedule } from "../identity/trust-schedule.ts";
import type { IdentityDomain } from "../model/identity.ts";
import type { ConnectOptions } from "../source/kube/credentials.ts";
import { ConfigError, DnsName, Duration, Listening, Schedule, type Listen } from "./config.ts";

const FLAGS = {
  kubeconfig: { type: "string" },
  context: { type: "string" },
  holder: { type: "string" },
  "control-plane-namespace": { type: "string" },
  "cluster-domain": { type: "string" },
  "trust-domain": { type: "string" },
  "identity-listen": { type: "string" },
  "admin-listen": { type: "string" },
  "issuance-lifetime": { type: "string" },
  "external-ca": { type: "string" },
  "approved-proxies": { type: "string" },
  "trust-schedule": { type: "string" },
  "trust-spread": { type: "string" },
  "clock-skew": { type: "string" },
} as const;

const Flags = z.strictObject({
  kubeconfig: z.string().min(1).optional(),
  context: z.string().min(1).optional(),
  holder: z.string().min(1).max(253).optional(),
  "control-plane-namespace": DnsName.default("linkerd"),
  "cluster-domain": DnsName.default("cluster.local"),
  "trust-domain": DnsName.default("cluster.local"),
  "identity-listen": Listening.prefault("0.0.0.0:8080"),
  "admin-listen": Listening.prefault("0.0.0.0:9990"),
  "issuance-lifetime": Duration.refine((ms) => ms >= LEAF_LIFE_MS_MIN, "is too short to renew in").prefault(
    "24h",
  ),
  "external-ca": z.enum(["true", "false"]).default("false"),
  "approved-proxies": z.enum(["any", "require"]).default("any"),
  "trust-schedule": Schedule.prefault("expiry"),
  "trust-spread": Duration.prefault(`${SPREAD_MS}ms`),
  "clock-skew": Duration.refine((ms) => ms <= SKEW_MS_MAX, "is more than an hour").prefault(
    `${CLOCK_SKEW_MS}ms`,
  ),
});

/** A certificate that begins long ago says nothing of when it was asked for. */
const SKEW_MS_MAX = 3_600_000;

/** How the role is to run. */
export interface IdentityRoleConfig {
  readonly connect: ConnectOptions;
  /** By what this replica signs leases; the name of its pod. */
  readonly holder: string;
  readonly domain: IdentityDomain;
  readonly identityListen: Listen;
  readonly adminListen: Listen;
  readonly leafLifeMs: number;
  /** The ConfigMap of the roots is somebody else's. */
  readonly hasExternalRoots: boolean;
  /** Certificates are for approved builds of the proxy alone. */
  readonly requiresApproval: boolean;
  readonly schedule: TrustSchedule;
  readonly spreadMs: number;
  /** How far before its issuance a certificate begins. */
  readonly skewMs: number;
}

/** Parses the flags; a mistake is named and nothing starts. */
export function parseIdentityConfig(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): IdentityRoleConfig {
  let values: unknown;
  try {
    ({ values } = parseArgs({ args: [...args], options: FLAGS, strict: true, allowPositionals: false }));
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
  const parsed = Flags.safeParse(values);
  if (!parsed.success) {
    const texts = parsed.error.issues.map(({ path, message }) => `--${path.join(".")}: ${message}`);
    throw new ConfigError(texts.join("; "));
  }
  const flags = parsed.data;
  return {
    connect: { kubeconfig: flags.kubeconfig, context: flags.context },
    holder: flags.holder ?? environment["HOSTNAME"] ?? `identity-${randomUUID()}`,
    domain: {
      trustDomain: flags["trust-domain"],
      controlPlaneNamespace: flags["control-plane-namespace"],
    },
    identityListen: flags["identity-listen"],
    adminListen: flags["admin-listen"],
    leafLifeMs: flags["issuance-lifetime"],
    hasExternalRoots: flags["external-ca"] === "true",
    requiresApproval: flags["approved-proxies"] === "require",
    schedule: flags["trust-schedule"],
    spreadMs: flags["trust-spread"],
    skewMs: flags["clock-skew"],
  };
}
