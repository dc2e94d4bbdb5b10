/**
 * What the injector needs to know of a mesh: the part of the installation's values that concerns proxies, under the names
 * that Linkerd's charts give them. "install" renders its whole values tree under the key `values` of the ConfigMap
 * `linkerd-config`; what is not named here belongs to other components and is left alone. Pure.
 */
import { parse } from "yaml";
import { z } from "zod";

/** The ConfigMap's key. */
export const VALUES_KEY = "values";

/** Where addresses of a cluster lie unless it is said. */
const CLUSTER_NETWORKS = "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8";

const Port = z.number().int().min(1).max(65_535);
const PullPolicy = z.enum(["Always", "IfNotPresent", "Never"]);
/** YAML writes `80` as a number where a list of ports is meant. */
const Ports = z.union([z.string(), z.number().transform(String)]);
/** Empty: not set. */
const Quantity = z.union([z.string(), z.number().transform(String)]);

const Image = z.object({
  name: z.string().min(1),
  /** Empty: the version of the mesh. */
  version: z.string().default(""),
  /** Empty: the mesh's `imagePullPolicy`. */
  pullPolicy: z.union([PullPolicy, z.literal("")]).default(""),
});

const Resource = z.object({ request: Quantity.default(""), limit: Quantity.default("") });
const Resources = z
  .object({
    cpu: Resource.prefault({}),
    memory: Resource.prefault({}),
    "ephemeral-storage": Resource.prefault({}),
  })
  .prefault({});

/** An entry of a container's `env`, checked by the API server and not by us. */
export const EnvVar = z.looseObject({
  name: z.string().min(1),
  value: z.string().optional(),
  valueFrom: z.looseObject({}).optional(),
});
export type EnvVar = z.infer<typeof EnvVar>;

const Probe = z.object({
  initialDelaySeconds: z.number().int().min(0),
  timeoutSeconds: z.number().int().min(1).default(1),
});

const Proxy = z.object({
  image: Image,
  logLevel: z.string().min(1).default("warn,linkerd=info"),
  logFormat: z.enum(["plain", "json"]).default("plain"),
  logHTTPHeaders: z.enum(["off", "insecure", ""]).default("off"),
  accessLog: z.enum(["", "apache", "json"]).default(""),
  additionalEnv: z.array(EnvVar).nullish(),
  await: z.boolean().default(true),
  /** As init containers that keep running (KEP-753); false: the first container. */
  nativeSidecar: z.boolean().default(true),
  cores: z.number().int().min(0).default(0),
  defaultInboundPolicy: z
    .enum([
      "all-unauthenticated",
      "all-authenticated",
      "cluster-unauthenticated",
      "cluster-authenticated",
      "deny",
      "audit",
    ])
    .default("all-unauthenticated"),
  disableInboundProtocolDetectTimeout: z.boolean().default(false),
  disableOutboundProtocolDetectTimeout: z.boolean().default(false),
  enableExternalProfiles: z.boolean().default(false),
  enableShutdownEndpoint: z.boolean().default(false),
  uid: z.number().int().min(1).default(2_102),
  /** Negative: none is asked for, and the image's holds. */
  gid: z.number().int().default(2_102),
  inboundConnectTimeout: z.string().default("100ms"),
  outboundConnectTimeout: z.string().default("1000ms"),
  inboundDiscoveryCacheUnusedTimeout: z.string().default("90s"),
  outboundDiscoveryCacheUnusedTimeout: z.string().default("5s"),
  shutdownGracePeriod: z.string().default(""),
  waitBeforeExitSeconds: z.number().int().min(0).default(0),
  metrics: z.object({ hostnameLabels: z.boolean().default(false) }).prefault({}),
  opaquePorts: Ports.default("25,587,3306,4444,5432,6379,9300,11211"),
  podInboundPorts: Ports.default(""),
  requireIdentityOnInboundPorts: Ports.default(""),
  ports: z
    .object({
      admin: Port.default(4_191),
      control: Port.default(4_190),
      inbound: Port.default(4_143),
      outbound: Port.default(4_140),
    })
    .prefault({}),
  runtime: z
    .object({
      workers: z
        .object({
          /** Share of the node's processors, from 0 to 1; absent or 0: none. */
          maximumCPURatio: z.number().min(0).max(1).nullish(),
          minimum: z.number().int().min(1).default(1),
        })
        .prefault({}),
    })
    .prefault({}),
  resources: Resources,
  livenessProbe: Probe.prefault({ initialDelaySeconds: 10 }),
  readinessProbe: Probe.prefault({ initialDelaySeconds: 2 }),
  startupProbe: z
    .object({
      initialDelaySeconds: z.number().int().min(0).default(0),
      periodSeconds: z.number().int().min(1).default(1),
      failureThreshold: z.number().int().min(1).default(120),
    })
    .prefault({}),
  control: z
    .object({
      streams: z
        .object({
          initialTimeout: z.string().default("3s"),
          idleTimeout: z.string().default("5m"),
          lifetime: z.string().default("1h"),
        })
        .prefault({}),
    })
    .prefault({}),
  /** Identity of the one who may tap; empty: nobody. */
  tapServiceName: z.string().default(""),
});

const ProxyInit = z
  .object({
    ignoreInboundPorts: Ports.default("4567,4568"),
    ignoreOutboundPorts: Ports.default("4567,4568"),
    skipSubnets: z.string().default(""),
    closeWaitTimeoutSecs: z.number().int().min(0).default(0),
    privileged: z.boolean().default(false),
    runAsRoot: z.boolean().default(false),
    runAsUser: z.number().int().min(1).default(65_534),
    runAsGroup: z.number().int().min(1).default(65_534),
    xtMountPath: z
      .object({
        name: z.string().default("linkerd-proxy-init-xtables-lock"),
        mountPath: z.string().default("/run"),
      })
      .prefault({}),
  })
  .prefault({});

const NetworkValidator = z
  .object({
    logLevel: z.string().default("debug"),
    logFormat: z.enum(["plain", "json"]).default("plain"),
    /** Where the validator connects: an address that a working redirection brings back to it. */
    connectAddr: z.string().default(""),
    listenAddr: z.string().default(""),
    timeout: z.string().default("10s"),
    enableSecurityContext: z.boolean().default(true),
  })
  .prefault({});

/** The values that proxies are made from. */
const Written = z.object({
  /** The FIPS profile (docs/guide/fips.md). */
  fips: z.object({ enabled: z.boolean().default(false) }).prefault({}),
  /** The release of the mesh: the version of images that name none, and of `linkerd.io/proxy-version`. */
  linkerdVersion: z.string().min(1),
  clusterDomain: z.string().min(1).default("cluster.local"),
  /** Empty: the cluster's domain. */
  identityTrustDomain: z.string().default(""),
  clusterNetworks: z.string().min(1).default(CLUSTER_NETWORKS),
  cniEnabled: z.boolean().default(false),
  disableIPv6: z.boolean().default(false),
  imagePullPolicy: PullPolicy.default("IfNotPresent"),
  proxy: Proxy,
  proxyInit: ProxyInit,
  networkValidator: NetworkValidator,
  debugContainer: z
    .object({ image: Image.extend({ name: z.string().default("") }).prefault({}) })
    .prefault({}),
  proxyInjector: z
    .object({
      /**
       * What becomes of pods that ask for the mesh and cannot be in it, such as those on the node's network: `refuse`, so
       * that nothing starts unmeshed unawares, or `skip`, as Linkerd does.
       */
      unsupportedPods: z.enum(["refuse", "skip"]).default("refuse"),
    })
    .prefault({}),
});
export type InjectorSettings = z.infer<typeof Written>;

/** The values, with what they amount to: in the FIPS profile, the proxy's image is the one beside the one that is named. */
export const InjectorSettings = Written.transform((written): InjectorSettings => {
  const { fips, proxy } = written;
  if (!fips.enabled) return written;
  return { ...written, proxy: { ...proxy, image: { ...proxy.image, name: `${proxy.image.name}-fips` } } };
});

/** Values that cannot be used. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
}

/** Reads values as YAML (JSON is YAML). `from` is what an error names. */
export function readSettings(text: string, from: string): InjectorSettings {
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new SettingsError(`${from}: not YAML`, { cause });
  }
  const parsed = InjectorSettings.safeParse(value);
  if (parsed.success) return parsed.data;
  const texts = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new SettingsError(`${from}: ${texts.join("; ")}`);
}

/** The trust domain of the mesh. */
export function trustDomainOf({ identityTrustDomain, clusterDomain }: InjectorSettings): string {
  return identityTrustDomain === "" ? clusterDomain : identityTrustDomain;
}
