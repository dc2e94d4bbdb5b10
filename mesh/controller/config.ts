/** Flags and environment → what the controller is to do. Parsed once, strictly; a mistake is named and nothing starts. */
import { parseArgs } from "node:util";
import { z } from "zod";
import { parseCidr, type Cidr } from "../model/address.ts";
import { ACCESS_POLICIES } from "../model/policy.ts";
import { OPAQUE_PORTS_DEFAULT, parsePorts, type PortSet } from "../model/ports.ts";
import type { MeshSettings } from "../model/settings.ts";

/** An address to listen on. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface ControllerConfig {
  readonly manifests: readonly string[];
  readonly settings: MeshSettings;
  readonly destinationListen: Listen;
  readonly policyListen: Listen;
  readonly identityListen: Listen;
  readonly adminListen: Listen;
  /** How many control planes share out cluster-wide limits; each leases an even part. */
  readonly quotaReplicas: number;
  /** File of the secret for sessions. Absent: it is made from the issuer's key. */
  readonly sessionKey: string | undefined;
  /** Absent: this process issues no certificates. */
  readonly identity: { readonly issuerDir: string; readonly joinTokenKey: string } | undefined;
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
  "quota-replicas": { type: "string" },
  "session-key": { type: "string" },
} as const;

const Listening = z.string().transform((text, context): Listen => {
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

const Ports = z.string().transform((text, context): PortSet => {
  const { ports, bad } = parsePorts(text);
  for (const entry of bad)
    context.addIssue({ code: "custom", message: `${JSON.stringify(entry)} is not a port` });
  return ports;
});

const DnsName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/, "is not a DNS name");

const Flags = z.strictObject({
  manifests: z.array(z.string().min(1)).min(1, "at least one --manifests DIR is required"),
  "trust-domain": DnsName.default("cluster.local"),
  "cluster-domain": DnsName.default("cluster.local"),
  "control-plane-namespace": DnsName.default("linkerd"),
  "cluster-networks": Networks.prefault("10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8"),
  "probe-networks": Networks.prefault("0.0.0.0/0,::/0"),
  "default-inbound-policy": z.enum(ACCESS_POLICIES).default("all-unauthenticated"),
  "opaque-ports": Ports.prefault(OPAQUE_PORTS_DEFAULT),
  "destination-listen": Listening.prefault("0.0.0.0:8086"),
  "policy-listen": Listening.prefault("0.0.0.0:8090"),
  "identity-listen": Listening.prefault("0.0.0.0:8080"),
  "admin-listen": Listening.prefault("0.0.0.0:9990"),
  "issuer-dir": z.string().min(1).optional(),
  "join-token-key": z.string().min(1).optional(),
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

/** Flags come before the environment. */
export function parseConfig(args: readonly string[], environment: Environment): ControllerConfig {
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
    manifests: flags.manifests,
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
    quotaReplicas: flags["quota-replicas"],
    sessionKey: flags["session-key"],
    identity: issuerDir === undefined || joinTokenKey === undefined ? undefined : { issuerDir, joinTokenKey },
  };
}
