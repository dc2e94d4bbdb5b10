// What a pod's proxy is started with: pure, so that the webhook and the standalone runtime agree to the letter.
// Names and defaults are those of Linkerd 2.20 (charts/partials/templates/_proxy.tpl, pkg/k8s/labels.go).
import { z } from "zod";
import { parseGoDurationMs } from "../model/duration.ts";
import { AnnotationReader, Duration, Enabled, Flag, PortList, PortText, portList } from "./annotations.ts";
import type { AnnotationProblem } from "./annotations.ts";
import { EnvVar } from "./settings.ts";
import { COLLECTOR_ACCOUNT, RESOURCE_ATTRIBUTES, resourceAttributes } from "./tracing.ts";

/** Ports that stay out of protocol detection unless `config.linkerd.io/opaque-ports` replaces them. */
export const OPAQUE_PORTS = "25,587,3306,4444,5432,6379,9300,11211";
/** Ports that are redirected in neither direction unless an annotation replaces them: Galera's. */
const SKIP_PORTS = "4567,4568";
/** How long a disabled detection timeout is. */
const DETECT_NEVER = "365d";
/** How long streams to the control plane may take unless it is said. */
const STREAMS = { initialTimeout: "3s", idleTimeout: "5m", lifetime: "1h" };

/** The pod that a proxy stands beside. */
export interface SidecarPod {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly serviceAccount: string;
  readonly ips: readonly string[];
  /** TCP ports of its containers. */
  readonly ports: readonly number[];
  readonly annotations: Readonly<Record<string, string>>;
  /** Of its namespace: they hold where the pod says nothing. */
  readonly namespaceAnnotations: Readonly<Record<string, string>>;
  /** Numbers of its containers' named ports, by which lists of ports may call them. */
  readonly namedPorts?: ReadonlyMap<string, number>;
}

/** A control-plane service: where it is and who it must be. A loopback address is asked without TLS. */
export interface ControlAddress {
  /** `HOST:PORT`. */
  readonly addr: string;
  readonly name: string;
}

/** What all proxies of a mesh have in common. */
export interface SidecarConfig {
  readonly clusterDomain: string;
  readonly trustDomain: string;
  readonly trustAnchorsPem: string;
  readonly clusterNetworks: readonly string[];
  readonly defaultInboundPolicy: string;
  readonly destination: ControlAddress;
  readonly policy: ControlAddress;
  readonly identity: ControlAddress;
  readonly identityDir: string;
  readonly tokenFile: string;
  readonly logLevel: string;
  readonly logFormat: "plain" | "json";
  /** The identity that may tap proxies; absent: none. */
  readonly tap?: string;
  /** How the redirection knows the proxy's own traffic. */
  readonly exempt:
    | { readonly type: "uid"; readonly uid: number }
    | { readonly type: "mark"; readonly mark: number };
  /** Further settings of every proxy; a pod's `proxy-additional-env` comes after them. */
  readonly environment: Readonly<Record<string, string>>;
  /** Settings of every proxy that nothing of a pod can change. */
  readonly unchangeable?: Readonly<Record<string, string>>;
  /** What `config.linkerd.io/*` says where neither pod nor namespace does, by name without prefix. */
  readonly defaults?: Readonly<Record<string, string>>;
  /** A part of every identity; `linkerd` unless it is said. */
  readonly controlPlaneNamespace?: string;
  /** Data threads of a proxy whose CPU is not limited; absent: one. */
  readonly cores?: string;
  /** Whether pods are reached by IPv6 as well; where it is not said, over IPv4 and by nothing else told. */
  readonly ipv6?: boolean;
  /** How long streams to the control plane may take. */
  readonly streams?: {
    readonly initialTimeout: string;
    readonly idleTimeout: string;
    readonly lifetime: string;
  };
}

/** A proxy, ready to be started. */
export interface Sidecar {
  readonly identity: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Variables of `proxy-additional-env` whose value is to be taken from somewhere: only a cluster can. */
  readonly references: readonly EnvVar[];
  /** Arguments of `hauberk-proxy init`. */
  readonly init: readonly string[];
  readonly inboundPort: number;
  readonly outboundPort: number;
  readonly adminPort: number;
}

/** Whether a pod gets a proxy. */
export type Injection = "enabled" | "ingress" | "disabled";

const Policy = z.enum([
  "all-unauthenticated",
  "all-authenticated",
  "cluster-unauthenticated",
  "cluster-authenticated",
  "deny",
  "audit",
]);
/** Additional environment, as JSON. */
const EnvList = z.string().transform((text, context) => {
  const parsed = z.array(EnvVar).safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  context.addIssue({ code: "custom", message: "is no JSON list of {name, value} or {name, valueFrom}" });
  return z.NEVER;
});
const Cpu = z.string().regex(/^\d+(\.\d+)?m?$/, "is no CPU quantity, as 2, 0.5 or 1500m");
const NoHeaders = z.literal(["off", "disabled", ""], {
  error: "asks for headers in the log, which this proxy never writes",
});
const Ratio = z.string().regex(/^(0(\.\d+)?|1(\.0+)?)$/, "is no share from 0 to 1");

/** Annotations that become one variable as they are. */
const VARIABLES: Readonly<Record<string, { readonly variable: string; readonly schema: z.ZodType<string> }>> =
  {
    "proxy-log-level": { variable: "LOG", schema: z.string().min(1) },
    "proxy-log-format": { variable: "LOG_FORMAT", schema: z.enum(["plain", "json"]) },
    "access-log": { variable: "ACCESS_LOG", schema: z.enum(["apache", "json"]) },
    "pod-inbound-ports": { variable: "INBOUND_PORTS", schema: PortList },
    "default-inbound-policy": { variable: "INBOUND_DEFAULT_POLICY", schema: Policy },
    "proxy-require-identity-inbound-ports": { variable: "INBOUND_PORTS_REQUIRE_IDENTITY", schema: PortList },
    "proxy-metrics-hostname-labels": { variable: "OUTBOUND_METRICS_HOSTNAME_LABELS", schema: Flag },
    "proxy-outbound-connect-timeout": { variable: "OUTBOUND_CONNECT_TIMEOUT", schema: Duration },
    "proxy-inbound-connect-timeout": { variable: "INBOUND_CONNECT_TIMEOUT", schema: Duration },
    "proxy-outbound-discovery-cache-unused-timeout": {
      variable: "OUTBOUND_DISCOVERY_IDLE_TIMEOUT",
      schema: Duration,
    },
    "proxy-inbound-discovery-cache-unused-timeout": {
      variable: "INBOUND_DISCOVERY_IDLE_TIMEOUT",
      schema: Duration,
    },
    "shutdown-grace-period": { variable: "SHUTDOWN_GRACE_PERIOD", schema: Duration },
  };

/** Annotations of our own, `config.hauberk.io/*`, and the variables that they become. */
const OWN: Readonly<Record<string, { readonly variable: string; readonly schema: z.ZodType<string> }>> = {
  "access-log-fields": {
    variable: "ACCESS_LOG_FIELDS",
    schema: z
      .string()
      .regex(/^\+?[a-z_.]+( *, *\+?[a-z_.]+)*$/, "is no list of fields, as status,uri or +code"),
  },
  // Who requires it refuses every peer that offers classical groups only.
  "post-quantum": { variable: "POST_QUANTUM", schema: z.enum(["prefer", "require"]) },
  "trace-collector": {
    variable: "TRACE_COLLECTOR_SVC_ADDR",
    schema: z
      .string()
      .regex(/^[\w.-]+:\d{1,5}$/, "is no address, as collector.observe.svc.cluster.local:4317"),
  },
  "trace-collector-account": {
    variable: COLLECTOR_ACCOUNT,
    schema: z.string().regex(/^[a-z0-9-]+\/[a-z0-9.-]+$/, "is no NAMESPACE/SERVICEACCOUNT"),
  },
  "trace-sample-ratio": {
    variable: "TRACE_SAMPLE_RATIO",
    schema: z.string().regex(/^(0(\.\d+)?|1(\.0+)?)$/, "is no share from 0 to 1"),
  },
  "trace-service-name": { variable: "TRACE_SERVICE_NAME", schema: z.string().min(1) },
  "tap-redact-headers": {
    variable: "TAP_REDACT_HEADERS",
    schema: z.string().regex(/^[\w-]+( *, *[\w-]+)*$/, "is no list of header names"),
  },
};

/** Annotations that mean something elsewhere, or only where a cluster starts the proxy. */
const ELSEWHERE = new Set([
  "proxy-image",
  "image-pull-policy",
  "proxy-version",
  "debug-image",
  "debug-image-version",
  "debug-image-pull-policy",
  "enable-debug-sidecar",
  "proxy-cpu-request",
  "proxy-memory-request",
  "proxy-memory-limit",
  "proxy-ephemeral-storage-request",
  "proxy-ephemeral-storage-limit",
  "proxy-uid",
  "proxy-gid",
  "proxy-enable-native-sidecar",
  "proxy-await",
]);

/** What `linkerd.io/inject` asks for; a pod's word counts before its namespace's. */
export function injection(
  podAnnotations: Readonly<Record<string, string>>,
  namespaceAnnotations: Readonly<Record<string, string>>,
): Injection | AnnotationProblem {
  const value =
    podAnnotations["linkerd.io/inject"] ?? namespaceAnnotations["linkerd.io/inject"] ?? "disabled";
  if (value === "enabled" || value === "ingress" || value === "disabled") return value;
  return { annotation: "linkerd.io/inject", message: `is ${value}: one of enabled, ingress, disabled` };
}

/** The name a pod's certificate carries. */
export function identityName(
  serviceAccount: string,
  namespace: string,
  config: Pick<SidecarConfig, "trustDomain" | "controlPlaneNamespace">,
): string {
  const control = config.controlPlaneNamespace ?? "linkerd";
  return `${serviceAccount}.${namespace}.serviceaccount.identity.${control}.${config.trustDomain}`;
}

/** The proxy of one pod. Annotations that cannot be obeyed are problems, and their defaults hold. */
export function sidecar(
  pod: SidecarPod,
  config: SidecarConfig,
): { readonly sidecar: Sidecar; readonly problems: readonly AnnotationProblem[] } {
  const settings = new AnnotationReader(config.defaults ?? {}, {
    namespace: pod.namespaceAnnotations,
    pod: pod.annotations,
  });
  const ports = {
    inbound: settings.read("inbound-port", PortText) ?? 4_143,
    outbound: settings.read("outbound-port", PortText) ?? 4_140,
    admin: settings.read("admin-port", PortText) ?? 4_191,
    control: settings.read("control-port", PortText) ?? 4_190,
  };
  const identity = identityName(pod.serviceAccount, pod.namespace, config);
  const own = ownVariables(pod);
  const fixed = config.unchangeable ?? {};
  const { values, references } = additional(settings, fixed);
  const environment = Object.fromEntries([
    ...Object.entries(listening(ports, pod, config)).map(([name, value]) => [
      `LINKERD2_PROXY_${name}`,
      value,
    ]),
    ...Object.entries(controlPlane(pod, config)).map(([name, value]) => [`LINKERD2_PROXY_${name}`, value]),
    ...Object.entries(authority(identity, config)).map(([name, value]) => [`LINKERD2_PROXY_${name}`, value]),
    ...Object.entries(chosen(pod, settings, config)).map(([name, value]) => [
      `LINKERD2_PROXY_${name}`,
      value,
    ]),
    ...Object.entries(traced(own.variables, pod, config)).map(([name, value]) => [
      name === RESOURCE_ATTRIBUTES ? name : `HAUBERK_PROXY_${name}`,
      value,
    ]),
    ...(tapped(pod, config) ? [["LINKERD2_PROXY_TAP_SVC_NAME", config.tap]] : []),
    ...(config.exempt.type === "mark" ? [["HAUBERK_PROXY_MARK", String(config.exempt.mark)]] : []),
    ...Object.entries(config.environment),
    ...values,
    ...Object.entries(fixed),
  ]);
  const init = redirection(ports, settings, config);
  settings.finish(ELSEWHERE);
  return {
    sidecar: {
      identity,
      environment,
      references,
      init,
      inboundPort: ports.inbound,
      outboundPort: ports.outbound,
      adminPort: ports.admin,
    },
    problems: [...settings.problems, ...own.problems],
  };
}

interface Ports {
  readonly inbound: number;
  readonly outbound: number;
  readonly admin: number;
  readonly control: number;
}
type Variables = Readonly<Record<string, string>>;

function listening(ports: Ports, pod: SidecarPod, { ipv6 = false }: SidecarConfig): Variables {
  const any = ipv6 ? "[::]" : "0.0.0.0";
  return {
    INBOUND_LISTEN_ADDR: `${any}:${ports.inbound}`,
    OUTBOUND_LISTEN_ADDR: `127.0.0.1:${ports.outbound}`,
    OUTBOUND_LISTEN_ADDRS: `127.0.0.1:${ports.outbound},[::1]:${ports.outbound}`,
    ADMIN_LISTEN_ADDR: `${any}:${ports.admin}`,
    CONTROL_LISTEN_ADDR: `${any}:${ports.control}`,
    INBOUND_IPS: pod.ips.join(","),
    INBOUND_PORTS: pod.ports.join(","),
  };
}

function controlPlane(pod: SidecarPod, config: SidecarConfig): Variables {
  const { initialTimeout, idleTimeout, lifetime } = config.streams ?? STREAMS;
  return {
    DESTINATION_SVC_ADDR: config.destination.addr,
    DESTINATION_SVC_NAME: config.destination.name,
    DESTINATION_CONTEXT: JSON.stringify({ ns: pod.namespace, nodeName: pod.node, pod: pod.name }),
    DESTINATION_PROFILE_NETWORKS: config.clusterNetworks.join(","),
    DESTINATION_PROFILE_SUFFIXES: `svc.${config.clusterDomain}.`,
    POLICY_SVC_ADDR: config.policy.addr,
    POLICY_SVC_NAME: config.policy.name,
    POLICY_WORKLOAD: JSON.stringify({ ns: pod.namespace, pod: pod.name }),
    POLICY_CLUSTER_NETWORKS: config.clusterNetworks.join(","),
    CONTROL_STREAM_INITIAL_TIMEOUT: initialTimeout,
    CONTROL_STREAM_IDLE_TIMEOUT: idleTimeout,
    CONTROL_STREAM_LIFETIME: lifetime,
    INBOUND_DEFAULT_POLICY: config.defaultInboundPolicy,
  };
}

function authority(identity: string, config: SidecarConfig): Variables {
  return {
    IDENTITY_DIR: config.identityDir,
    IDENTITY_TRUST_ANCHORS: config.trustAnchorsPem,
    IDENTITY_TOKEN_FILE: config.tokenFile,
    IDENTITY_SVC_ADDR: config.identity.addr,
    IDENTITY_SVC_NAME: config.identity.name,
    IDENTITY_LOCAL_NAME: identity,
    LOG: config.logLevel,
    LOG_FORMAT: config.logFormat,
    INBOUND_CONNECT_TIMEOUT: "100ms",
    OUTBOUND_CONNECT_TIMEOUT: "1000ms",
    INBOUND_DISCOVERY_IDLE_TIMEOUT: "90s",
    OUTBOUND_DISCOVERY_IDLE_TIMEOUT: "5s",
    INBOUND_ACCEPT_KEEPALIVE: "10000ms",
    OUTBOUND_CONNECT_KEEPALIVE: "10000ms",
    INBOUND_ACCEPT_USER_TIMEOUT: "30s",
    OUTBOUND_CONNECT_USER_TIMEOUT: "30s",
    INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION: OPAQUE_PORTS,
  };
}

/** What the pod's and the namespace's annotations change. */
function chosen(pod: SidecarPod, settings: AnnotationReader, config: SidecarConfig): Variables {
  const variables: Record<string, string> = {};
  const set = (name: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") variables[name] = value;
  };
  for (const [name, { variable, schema }] of Object.entries(VARIABLES))
    set(variable, settings.read(name, schema));
  const opaque = settings.read("opaque-ports", portList(pod.namedPorts));
  // An empty list is an answer: no port is opaque.
  if (opaque !== undefined) variables["INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION"] = opaque;
  for (const direction of ["outbound", "inbound"]) {
    const isNever = settings.read(`proxy-disable-${direction}-protocol-detect-timeout`, Flag) === "true";
    set(`${direction.toUpperCase()}_DETECT_TIMEOUT`, isNever ? DETECT_NEVER : undefined);
  }
  if (settings.read("enable-external-profiles", Flag) === "true") set("DESTINATION_PROFILE_SUFFIXES", ".");
  if (settings.read("proxy-admin-shutdown", Enabled) === "enabled") set("SHUTDOWN_ENDPOINT_ENABLED", "true");
  if (settings.read("enable-gateway", Flag) === "true")
    set("INBOUND_GATEWAY_SUFFIXES", `svc.${config.clusterDomain}.`);
  settings.read("proxy-log-http-headers", NoHeaders);
  const cpu = settings.read("proxy-cpu-limit", Cpu);
  set("CORES", cpu === undefined ? config.cores : String(cores(cpu)));
  set("CORES_MAX_RATIO", settings.read("proxy-cpu-ratio-limit", Ratio));
  if (injection(pod.annotations, pod.namespaceAnnotations) === "ingress") set("INGRESS_MODE", "true");
  return variables;
}

/** The collector's account becomes the identity that it has to prove, and every span says whose pod it is of. */
function traced(own: Variables, pod: SidecarPod, config: SidecarConfig): Variables {
  const { [COLLECTOR_ACCOUNT]: account, ...others } = own;
  if (others["TRACE_COLLECTOR_SVC_ADDR"] === undefined) return others;
  const [namespace = "", name = ""] = account?.split("/") ?? [];
  const proof =
    account === undefined ? {} : { TRACE_COLLECTOR_SVC_NAME: identityName(name, namespace, config) };
  return { ...others, ...proof, [RESOURCE_ATTRIBUTES]: resourceAttributes(pod) };
}

/** Whether the pod lets itself be tapped. */
function tapped(pod: SidecarPod, config: SidecarConfig): config is SidecarConfig & { readonly tap: string } {
  const annotation = "viz.linkerd.io/disable-tap";
  return (
    config.tap !== undefined && { ...pod.namespaceAnnotations, ...pod.annotations }[annotation] !== "true"
  );
}

/** Whole cores, rounded up, as the peer's injector counts them. */
function cores(cpu: string): number {
  const value = cpu.endsWith("m") ? Number(cpu.slice(0, -1)) / 1_000 : Number(cpu);
  return Math.max(1, Math.ceil(value));
}

function redirection(ports: Ports, settings: AnnotationReader, config: SidecarConfig): readonly string[] {
  const { exempt } = config;
  const inbound = settings.read("skip-inbound-ports", PortList) ?? SKIP_PORTS;
  const outbound = settings.read("skip-outbound-ports", PortList) ?? SKIP_PORTS;
  const subnets = settings.read("skip-subnets", z.string());
  const closeWait = settings.read("close-wait-timeout", Duration);
  const own = [String(ports.control), String(ports.admin)];
  return [
    "--incoming-proxy-port",
    String(ports.inbound),
    "--outgoing-proxy-port",
    String(ports.outbound),
    ...(exempt.type === "uid" ? ["--proxy-uid", String(exempt.uid)] : ["--proxy-mark", String(exempt.mark)]),
    "--inbound-ports-to-ignore",
    [...own, ...(inbound === "" ? [] : [inbound])].join(","),
    ...(outbound === "" ? [] : ["--outbound-ports-to-ignore", outbound]),
    ...(subnets === undefined || subnets === "" ? [] : ["--subnets-to-ignore", subnets]),
    ...(closeWait === undefined ? [] : ["--timeout-close-wait-secs", String(seconds(closeWait))]),
    ...(config.ipv6 === false ? ["--ipv6=false"] : []),
  ];
}

/** Whole seconds of a duration, not less. */
function seconds(duration: string): number {
  return Math.ceil(
    (parseGoDurationMs(duration.replace(/(\d+)d/, (_, days) => `${Number(days) * 24}h`)) ?? 0) / 1_000,
  );
}

/** What `config.hauberk.io/*` says. */
function ownVariables({ namespaceAnnotations, annotations }: SidecarPod): {
  readonly variables: Variables;
  readonly problems: readonly AnnotationProblem[];
} {
  const prefix = "config.hauberk.io/";
  const all = { ...namespaceAnnotations, ...annotations };
  const variables: Record<string, string> = {};
  const problems: AnnotationProblem[] = [];
  for (const [annotation, value] of Object.entries(all)) {
    if (!annotation.startsWith(prefix)) continue;
    const known = OWN[annotation.slice(prefix.length)];
    const parsed = known?.schema.safeParse(value);
    if (known !== undefined && parsed?.success === true) variables[known.variable] = parsed.data;
    else {
      const message = parsed?.error?.issues[0]?.message ?? "is no annotation that this version knows";
      problems.push({ annotation, message });
    }
  }
  // A pod may choose another format than its namespace.
  const { ACCESS_LOG_FIELDS: fields, ...others } = variables;
  const isJson = all["config.linkerd.io/access-log"] === "json";
  return { variables: fields === undefined || isJson ? variables : others, problems };
}

/** `proxy-additional-env` of mesh, namespace and pod: merged by name, the later wins. */
function additional(
  settings: AnnotationReader,
  fixed: Readonly<Record<string, string>>,
): {
  readonly values: readonly (readonly [string, string])[];
  readonly references: readonly EnvVar[];
} {
  const merged = new Map(
    settings
      .each("proxy-additional-env", EnvList)
      .flat()
      .map((variable) => [variable.name, variable]),
  );
  for (const name of merged.keys())
    if (name in fixed)
      settings.problems.push({
        annotation: "config.linkerd.io/proxy-additional-env",
        message: `sets ${name}, which nothing of a pod can change`,
        closes: true,
      });
  const all = [...merged.values()].filter(({ name }) => !(name in fixed));
  return {
    values: all.flatMap(({ name, value = "", valueFrom }) =>
      valueFrom === undefined ? [[name, value] as const] : [],
    ),
    references: all.filter(({ valueFrom }) => valueFrom !== undefined),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
