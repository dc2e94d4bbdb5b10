/** Flags and environment → what the controller is to do. Parsed once, strictly; a mistake is named and nothing starts. */
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { z } from "zod";
import { LEAF_LIFE_MS_MIN } from "../identity/certify.ts";
import { SPREAD_MS } from "../identity/trust-rotation.ts";
import type { TrustSchedule } from "../identity/trust-schedule.ts";
import { parseCidr, type Cidr } from "../model/address.ts";
import { parseGoDurationMs } from "../model/duration.ts";
import { ACCESS_POLICIES } from "../model/policy.ts";
import { OPAQUE_PORTS_DEFAULT, parsePorts, type PortSet } from "../model/ports.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { ConnectOptions } from "../source/kube/credentials.ts";

/** The shortest period of a schedule: a rotation takes a few minutes. */
const SCHEDULE_MS_MIN = 60_000;

/** An address to listen on. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** Where objects come from. */
export type Source =
  | { readonly type: "manifests"; readonly dirs: readonly string[] }
  | {
      readonly type: "cluster";
      readonly connect: ConnectOptions;
      /** By what this replica signs leases; the name of its pod. */
      readonly holder: string;
    };

export interface ControllerConfig {
  readonly source: Source;
  readonly settings: MeshSettings;
  readonly destinationListen: Listen;
  readonly policyListen: Listen;
  readonly identityListen: Listen;
  readonly adminListen: Listen;
  /** Where admission reviews of policies and of profiles are answered. Absent: nowhere. */
  readonly policyValidatorListen: Listen | undefined;
  readonly profileValidatorListen: Listen | undefined;
  /** How many control planes share out cluster-wide limits; each leases an even part. */
  readonly quotaReplicas: number;
  /** File of the secret for sessions. Absent: it is made from the issuer's key. */
  readonly sessionKey: string | undefined;
  /** Absent: this process issues no certificates. */
  readonly identity: IdentityConfig | undefined;
}

/** How certificates are issued, and how what they lead to is replaced. */
export interface IdentityConfig {
  readonly issuerDir: string;
  readonly joinTokenKey: string;
  /** How long a leaf lives. */
  readonly leafLifeMs: number;
  /** Absent: this process does not replace roots; the files are others'. */
  readonly schedule: TrustSchedule | undefined;
  /** How long a change of trust may take to reach whoever reads it. */
  readonly spreadMs: number;
}

/** A setting that is not understood. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ConfigError";
  }
}

/** Every flag; each may also be an environment variable, as in `HAUBERK_TRUST_DOMAIN`. */
const FLAGS = {
  kubeconfig: { type: "string" },
  context: { type: "string" },
  "service-account-dir": { type: "string" },
  holder: { type: "string" },
  "policy-validator-listen": { type: "string" },
  "profile-validator-listen": { type: "string" },
  manifests: { type: "string", multiple: true },
  "trust-domain": { type: "string" },
  "cluster-domain": { type: "string" },
  "control-plane-namespace": { type: "string" },
  "cluster-networks": { type: "string" },
  "probe-networks": { type: "string" },
  "default-inbound-policy": { type: "string" },
  "opaque-ports": { type: "string" },
  "destination-listen": { type: "string" },
  "policy-listen": { type: "string" },
  "identity-listen": { type: "string" },
  "admin-listen": { type: "string" },
  "issuer-dir": { type: "string" },
  "join-token-key": { type: "string" },
  "issuance-lifetime": { type: "string" },
  "trust-schedule": { type: "string" },
  "trust-spread": { type: "string" },
  "quota-replicas": { type: "string" },
  "session-key": { type: "string" },
} as const;

/** `HOST:PORT`. */
export const Listening = z.string().transform((text, context): Listen => {
  const [, host, port] = /^(?:\[([^\]]+)\]|[^:[\]]+):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not HOST:PORT` });
    return z.NEVER;
  }
  return { host: host ?? text.slice(0, text.lastIndexOf(":")), port: Number(port) };
});

const Networks = z.string().transform((text, context): readonly Cidr[] =>
  text.split(",").map((part) => {
    const cidr = parseCidr(part.trim());
    if (cidr !== undefined) return cidr;
    context.addIssue({ code: "custom", message: `${JSON.stringify(part)} is not a network` });
    return z.NEVER;
  }),
);

/** `node`, or nothing: the addresses of each pod's own node. */
const ProbeNetworks = z
  .string()
  .transform((text) => (text === "" || text === "node" ? undefined : text))
  .pipe(Networks.optional());

const Ports = z.string().transform((text, context): PortSet => {
  const { ports, bad } = parsePorts(text);
  for (const entry of bad)
    context.addIssue({ code: "custom", message: `${JSON.stringify(entry)} is not a port` });
  return ports;
});

/** A duration as Go writes it, longer than nothing. */
export const Duration = z.string().transform((text, context): number => {
  const ms = parseGoDurationMs(text);
  if (ms !== undefined && ms > 0) return ms;
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not a duration such as 24h` });
  return z.NEVER;
});

/** `off`, `expiry` or a period. */
export const Schedule = z.string().transform((text, context): TrustSchedule => {
  if (text === "off" || text === "expiry") return { type: text };
  const everyMs = parseGoDurationMs(text);
  if (everyMs !== undefined && everyMs >= SCHEDULE_MS_MIN) return { type: "every", everyMs };
  const expected = "neither off, expiry nor a duration of a minute or more";
  context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is ${expected}` });
  return z.NEVER;
});

/** A domain, or a namespace. */
export const DnsName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/, "is not a DNS name");

const Flags = z.strictObject({
  manifests: z.array(z.string().min(1)),
  kubeconfig: z.string().min(1).optional(),
  context: z.string().min(1).optional(),
  "service-account-dir": z.string().min(1).optional(),
  holder: z.string().min(1).max(253).optional(),
  "policy-validator-listen": Listening.optional(),
  "profile-validator-listen": Listening.optional(),
  "trust-domain": DnsName.default("cluster.local"),
  "cluster-domain": DnsName.default("cluster.local"),
  "control-plane-namespace": DnsName.default("linkerd"),
  "cluster-networks": Networks.prefault("10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8"),
  "probe-networks": ProbeNetworks.prefault("node"),
  "default-inbound-policy": z.enum(ACCESS_POLICIES).default("all-unauthenticated"),
  "opaque-ports": Ports.prefault(OPAQUE_PORTS_DEFAULT),
  "destination-listen": Listening.prefault("0.0.0.0:8086"),
  "policy-listen": Listening.prefault("0.0.0.0:8090"),
  "identity-listen": Listening.prefault("0.0.0.0:8080"),
  "admin-listen": Listening.prefault("0.0.0.0:9990"),
  "issuer-dir": z.string().min(1).optional(),
  "join-token-key": z.string().min(1).optional(),
  "issuance-lifetime": Duration.refine((ms) => ms >= LEAF_LIFE_MS_MIN, "is too short to renew in").prefault(
    "24h",
  ),
  "trust-schedule": Schedule.optional(),
  "trust-spread": Duration.prefault(`${SPREAD_MS}ms`),
  "quota-replicas": z
    .string()
    .regex(/^[1-9]\d?$/, "is not a number from 1 to 99")
    .transform(Number)
    .prefault("1"),
  "session-key": z.string().min(1).optional(),
});

type Environment = Readonly<Record<string, string | undefined>>;

function readFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error));
  }
}

function fromEnvironment(environment: Environment): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const flag of Object.keys(FLAGS)) {
    const value = environment[`HAUBERK_${flag.toUpperCase().replaceAll("-", "_")}`];
    if (value !== undefined && value !== "") found[flag] = flag === "manifests" ? value.split(":") : value;
  }
  return found;
}

function sourceOf(flags: z.infer<typeof Flags>, form: Form, environment: Environment): Source {
  const { manifests, kubeconfig, context, holder } = flags;
  switch (form) {
    case "standalone":
      if (manifests.length === 0)
        throw new ConfigError("--manifests: at least one --manifests DIR is required");
      for (const [flag, value] of Object.entries({
        kubeconfig,
        context,
        holder,
        "service-account-dir": flags["service-account-dir"],
        "policy-validator-listen": flags["policy-validator-listen"],
        "profile-validator-listen": flags["profile-validator-listen"],
      }))
        if (value !== undefined) throw new ConfigError(`--${flag}: needs a role before the flags`);
      return { type: "manifests", dirs: manifests };
    case "role":
      if (manifests.length > 0) throw new ConfigError("--manifests: a role reads the cluster, not manifests");
      if (flags["issuer-dir"] !== undefined) throw new ConfigError("--issuer-dir: is of the role identity");
      return {
        type: "cluster",
        connect: { kubeconfig, context, accountDir: flags["service-account-dir"] },
        holder: holder ?? environment["HOSTNAME"] ?? `controller-${randomUUID()}`,
      };
  }
}

/** `standalone`: no role was named, objects are manifests. `role`: a part of a cluster's control plane. */
export type Form = "standalone" | "role";

/** Flags come before the environment. */
export function parseConfig(
  args: readonly string[],
  environment: Environment,
  form: Form = "standalone",
): ControllerConfig {
  const given = { manifests: [], ...fromEnvironment(environment), ...readFlags(args) };
  const parsed = Flags.safeParse(given);
  if (!parsed.success) {
    const texts = parsed.error.issues.map(({ path, message }) => `--${path.join(".")}: ${message}`);
    throw new ConfigError(texts.join("; "));
  }
  const flags = parsed.data;
  const issuerDir = flags["issuer-dir"];
  const joinTokenKey = flags["join-token-key"];
  if ((issuerDir === undefined) !== (joinTokenKey === undefined)) {
    throw new ConfigError("--issuer-dir and --join-token-key belong together");
  }
  return {
    source: sourceOf(flags, form, environment),
    settings: {
      clusterDomain: flags["cluster-domain"],
      trustDomain: flags["trust-domain"],
      controlPlaneNamespace: flags["control-plane-namespace"],
      clusterNetworks: flags["cluster-networks"],
      probeNetworks: flags["probe-networks"],
      defaultInboundPolicy: flags["default-inbound-policy"],
      opaquePorts: flags["opaque-ports"],
    },
    destinationListen: flags["destination-listen"],
    policyListen: flags["policy-listen"],
    identityListen: flags["identity-listen"],
    adminListen: flags["admin-listen"],
    policyValidatorListen: flags["policy-validator-listen"],
    profileValidatorListen: flags["profile-validator-listen"],
    quotaReplicas: flags["quota-replicas"],
    sessionKey: flags["session-key"],
    identity:
      issuerDir === undefined || joinTokenKey === undefined
        ? undefined
        : {
            issuerDir,
            joinTokenKey,
            leafLifeMs: flags["issuance-lifetime"],
            schedule: flags["trust-schedule"],
            spreadMs: flags["trust-spread"],
          },
  };
}
