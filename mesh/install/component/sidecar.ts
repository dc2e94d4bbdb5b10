/**
 * The proxy beside each component of the control plane. Nobody can inject these pods: the injector is one of them. What
 * is written here is what the injector would give them, but for what a control plane cannot have: its proxies are ordinary
 * containers, because one that had to be ready first would wait for a certificate from the container it holds back.
 */
import {
  NAMESPACE,
  all,
  decimal,
  each,
  literal,
  merge,
  not,
  text,
  value,
  when,
  withDefault,
  type Expression,
  type Item,
  type Merge,
  type Node,
  type Part,
  type TemplateMap,
} from "../template/node.ts";
import { MESH_VERSION, nameOf, resourcesOf, type Component } from "./meta.ts";

export const TRUST_ROOTS = "linkerd-identity-trust-roots";
const END_ENTITY = "/var/run/linkerd/identity/end-entity";
const TOKENS = "/var/run/secrets/tokens";
const TOKEN_VOLUME = "linkerd-identity-token";
const TOKEN_AUDIENCE = "identity.l5d.io";
const TOKEN_SECONDS = 86_400;

export const TRUST_DOMAIN: Expression = withDefault(value("identityTrustDomain"), value("clusterDomain"));

const PROXY_IMAGE = imageOf(
  value("proxy.image.name"),
  withDefault(value("proxy.image.version"), MESH_VERSION),
);
const PULL_POLICY = withDefault(value("proxy.image.pullPolicy"), value("imagePullPolicy"));

/** An image; in the FIPS profile it is the one beside it. */
export function imageOf(name: Expression, version: Expression): readonly Part[] {
  return [
    when(not("fips.enabled"), { image: text`${name}:${version}` }),
    when("fips.enabled", { image: text`${name}-fips:${version}` }),
  ];
}

/** The identity of a component, which proxies expect behind its services. */
function identityOf(component: Component): Expression {
  return text`${literal(nameOf(component))}.${NAMESPACE}.serviceaccount.identity.${NAMESPACE}.${TRUST_DOMAIN}`;
}

/** A service of the control plane: by its own loopback for the component that serves it, else by name. */
function serviceOf(
  component: Component,
  { of, name, port }: { readonly of: Component; readonly name: string; readonly port: number },
): Expression {
  return component === of
    ? literal(`localhost.:${port}`)
    : text`${literal(name)}.${NAMESPACE}.svc.${value("clusterDomain")}.:${literal(String(port))}`;
}

function variable(name: string, set: Node): TemplateMap {
  return { name, value: set };
}

function proxyVariable(name: string, set: Node): TemplateMap {
  return variable(`LINKERD2_PROXY_${name}`, set);
}

/** A variable for a value that may be left empty. */
function optional(name: string, path: string): Item {
  return when(path, proxyVariable(name, value(path)));
}

function fromPod(name: string, fieldPath: string): TemplateMap {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

/** As the injector sets them. */
const KEEPALIVE = "10000ms";
const USER_TIMEOUT = "30s";

function listening(): readonly Item[] {
  const any = (name: string, port: string): readonly Item[] => [
    when(not("disableIPv6"), proxyVariable(name, text`[::]:${decimal(port)}`)),
    when("disableIPv6", proxyVariable(name, text`0.0.0.0:${decimal(port)}`)),
  ];
  const outbound = decimal("proxy.ports.outbound");
  return [
    ...any("INBOUND_LISTEN_ADDR", "proxy.ports.inbound"),
    proxyVariable("OUTBOUND_LISTEN_ADDR", text`127.0.0.1:${outbound}`),
    proxyVariable("OUTBOUND_LISTEN_ADDRS", text`127.0.0.1:${outbound},[::1]:${outbound}`),
    ...any("ADMIN_LISTEN_ADDR", "proxy.ports.admin"),
    ...any("CONTROL_LISTEN_ADDR", "proxy.ports.control"),
  ];
}

function environment(component: Component, inboundPorts: readonly number[]): readonly Item[] {
  const direct = (name: string, of: Component, service: string, port: number): readonly Item[] => [
    proxyVariable(`${name}_SVC_ADDR`, serviceOf(component, { of, name: service, port })),
    proxyVariable(`${name}_SVC_NAME`, identityOf(of)),
  ];
  return [
    fromPod("_pod_name", "metadata.name"),
    fromPod("_pod_ns", "metadata.namespace"),
    fromPod("_pod_nodeName", "spec.nodeName"),
    fromPod("_pod_ips", "status.podIPs"),
    ...listening(),
    proxyVariable("INBOUND_IPS", "$(_pod_ips)"),
    proxyVariable("INBOUND_PORTS", inboundPorts.join(",")),
    proxyVariable("LOG", value("proxy.logLevel")),
    proxyVariable("LOG_FORMAT", value("proxy.logFormat")),
    optional("ACCESS_LOG", "proxy.accessLog"),
    when("proxy.cores", proxyVariable("CORES", decimal("proxy.cores"))),
    ...direct("DESTINATION", "destination", "linkerd-dst-headless", 8086),
    proxyVariable(
      "DESTINATION_CONTEXT",
      '{"ns":"$(_pod_ns)","nodeName":"$(_pod_nodeName)","pod":"$(_pod_name)"}',
    ),
    proxyVariable("DESTINATION_PROFILE_NETWORKS", value("clusterNetworks")),
    proxyVariable("DESTINATION_PROFILE_SUFFIXES", text`svc.${value("clusterDomain")}.`),
    ...direct("POLICY", "destination", "linkerd-policy", 8090),
    proxyVariable("POLICY_WORKLOAD", '{"ns":"$(_pod_ns)","pod":"$(_pod_name)"}'),
    proxyVariable("POLICY_CLUSTER_NETWORKS", value("clusterNetworks")),
    proxyVariable("CONTROL_STREAM_INITIAL_TIMEOUT", value("proxy.control.streams.initialTimeout")),
    proxyVariable("CONTROL_STREAM_IDLE_TIMEOUT", value("proxy.control.streams.idleTimeout")),
    proxyVariable("CONTROL_STREAM_LIFETIME", value("proxy.control.streams.lifetime")),
    proxyVariable("INBOUND_DEFAULT_POLICY", "all-unauthenticated"),
    proxyVariable("INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION", value("proxy.opaquePorts")),
    proxyVariable("INBOUND_CONNECT_TIMEOUT", value("proxy.inboundConnectTimeout")),
    proxyVariable("OUTBOUND_CONNECT_TIMEOUT", value("proxy.outboundConnectTimeout")),
    proxyVariable("INBOUND_DISCOVERY_IDLE_TIMEOUT", value("proxy.inboundDiscoveryCacheUnusedTimeout")),
    proxyVariable("OUTBOUND_DISCOVERY_IDLE_TIMEOUT", value("proxy.outboundDiscoveryCacheUnusedTimeout")),
    proxyVariable("INBOUND_ACCEPT_KEEPALIVE", KEEPALIVE),
    proxyVariable("OUTBOUND_CONNECT_KEEPALIVE", KEEPALIVE),
    proxyVariable("INBOUND_ACCEPT_USER_TIMEOUT", USER_TIMEOUT),
    proxyVariable("OUTBOUND_CONNECT_USER_TIMEOUT", USER_TIMEOUT),
    proxyVariable("OUTBOUND_METRICS_HOSTNAME_LABELS", text`${value("proxy.metrics.hostnameLabels")}`),
    optional("SHUTDOWN_GRACE_PERIOD", "proxy.shutdownGracePeriod"),
    ...direct("IDENTITY", "identity", "linkerd-identity-headless", 8080),
    proxyVariable("IDENTITY_LOCAL_NAME", identityOf(component)),
    proxyVariable("IDENTITY_DIR", END_ENTITY),
    proxyVariable("IDENTITY_TOKEN_FILE", `${TOKENS}/${TOKEN_VOLUME}`),
    {
      name: "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS",
      valueFrom: { configMapKeyRef: { name: TRUST_ROOTS, key: "ca-bundle.crt" } },
    },
    each("proxy.additionalEnv"),
    // Last, so that nothing before it holds.
    when("fips.enabled", variable("HAUBERK_PROXY_FIPS", "required")),
  ];
}

/** What no container of ours may do, and as whom the proxy runs. */
const UNPRIVILEGED = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  readOnlyRootFilesystem: true,
  runAsNonRoot: true,
} as const;

export function securityContext(uid: string, gid: string): Merge {
  return merge(
    UNPRIVILEGED,
    { runAsUser: value(uid) },
    when({ type: "atLeast", of: value(gid), least: 1 }, { runAsGroup: value(gid) }),
    { seccompProfile: { type: "RuntimeDefault" } },
  );
}

function probe(path: string, of: string): TemplateMap {
  return {
    httpGet: { path, port: "linkerd-admin" },
    initialDelaySeconds: value(`${of}.initialDelaySeconds`),
    timeoutSeconds: value(`${of}.timeoutSeconds`),
  };
}

/** The proxy's container. */
export function proxyContainer(component: Component, inboundPorts: readonly number[]): Merge {
  return merge(
    { name: "linkerd-proxy" },
    ...PROXY_IMAGE,
    {
      imagePullPolicy: PULL_POLICY,
      env: environment(component, inboundPorts),
      ports: [
        { name: "linkerd-proxy", containerPort: value("proxy.ports.inbound"), protocol: "TCP" },
        { name: "linkerd-admin", containerPort: value("proxy.ports.admin"), protocol: "TCP" },
      ],
      livenessProbe: probe("/live", "proxy.livenessProbe"),
      readinessProbe: probe("/ready", "proxy.readinessProbe"),
    },
    ...resourcesOf("proxy.resources"),
    {
      securityContext: securityContext("proxy.uid", "proxy.gid"),
      terminationMessagePolicy: "FallbackToLogsOnError",
      volumeMounts: [
        { name: "linkerd-identity-end-entity", mountPath: END_ENTITY },
        { name: TOKEN_VOLUME, mountPath: TOKENS, readOnly: true },
      ],
    },
  );
}

/**
 * The init container that redirects the pod's connections. The Kubernetes API is asked past the proxy: it must be
 * reachable before there is a certificate.
 */
export function initContainer(): Merge {
  return merge(
    { name: "linkerd-init" },
    ...PROXY_IMAGE,
    {
      imagePullPolicy: PULL_POLICY,
      args: [
        "init",
        "--incoming-proxy-port",
        decimal("proxy.ports.inbound"),
        "--outgoing-proxy-port",
        decimal("proxy.ports.outbound"),
        "--proxy-uid",
        decimal("proxy.uid"),
        "--inbound-ports-to-ignore",
        text`${decimal("proxy.ports.control")},${decimal("proxy.ports.admin")},${value("proxyInit.ignoreInboundPorts")}`,
        "--outbound-ports-to-ignore",
        text`${value("proxyInit.kubeAPIServerPorts")},${value("proxyInit.ignoreOutboundPorts")}`,
        when("proxyInit.skipSubnets", text`--subnets-to-ignore=${value("proxyInit.skipSubnets")}`),
        when(
          "proxyInit.closeWaitTimeoutSecs",
          text`--timeout-close-wait-secs=${decimal("proxyInit.closeWaitTimeoutSecs")}`,
        ),
        when("disableIPv6", "--ipv6=false"),
      ],
    },
    ...resourcesOf("proxyInit.resources"),
    {
      securityContext: merge(
        {
          allowPrivilegeEscalation: value("proxyInit.privileged"),
          capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] },
          privileged: value("proxyInit.privileged"),
          readOnlyRootFilesystem: true,
        },
        when("proxyInit.runAsRoot", { runAsNonRoot: false, runAsUser: 0, runAsGroup: 0 }),
        when(not("proxyInit.runAsRoot"), {
          runAsNonRoot: true,
          runAsUser: value("proxyInit.runAsUser"),
          runAsGroup: value("proxyInit.runAsGroup"),
        }),
        { seccompProfile: { type: "RuntimeDefault" } },
      ),
      terminationMessagePolicy: "FallbackToLogsOnError",
    },
  );
}

/** What of the redirection depends on values: each is there or not. */
const OPTIONAL_WORDS: readonly (readonly [path: string, words: Expression])[] = [
  ["proxyInit.skipSubnets", text`,"--subnets-to-ignore","${value("proxyInit.skipSubnets")}"`],
  [
    "proxyInit.closeWaitTimeoutSecs",
    text`,"--timeout-close-wait-secs","${decimal("proxyInit.closeWaitTimeoutSecs")}"`,
  ],
  ["disableIPv6", literal(',"--ipv6=false"')],
];

/** With the CNI plugin: what it is to redirect, on the pod, in every combination of what may be left out. */
export const REDIRECTION: readonly Part[] = Array.from(
  { length: 2 ** OPTIONAL_WORDS.length },
  (_, combination) => {
    const isChosen = (at: number): boolean => ((combination >> at) & 1) === 1;
    const conditions = OPTIONAL_WORDS.map(([path], at) => (isChosen(at) ? path : not(path)));
    const parts = OPTIONAL_WORDS.flatMap(([, words], at) => (isChosen(at) ? [words] : []));
    const always = text`["--incoming-proxy-port","${decimal("proxy.ports.inbound")}","--outgoing-proxy-port","${decimal("proxy.ports.outbound")}","--proxy-uid","${decimal("proxy.uid")}","--inbound-ports-to-ignore","${decimal("proxy.ports.control")},${decimal("proxy.ports.admin")},${value("proxyInit.ignoreInboundPorts")}","--outbound-ports-to-ignore","${value("proxyInit.kubeAPIServerPorts")},${value("proxyInit.ignoreOutboundPorts")}"`;
    return when(all("cniEnabled", ...conditions), {
      "hauberk.io/redirect": { $: "concat", parts: [always, ...parts, literal("]")] },
    });
  },
);

/** With the CNI plugin: waits until the redirection is there, so that nothing leaves the pod past the proxy. */
export function validatorContainer(): Merge {
  return merge(
    { name: "linkerd-network-validator" },
    ...PROXY_IMAGE,
    {
      imagePullPolicy: PULL_POLICY,
      args: [
        "network-validator",
        "--log-format",
        value("networkValidator.logFormat"),
        "--log-level",
        value("networkValidator.logLevel"),
        "--connect-addr",
        withDefault(value("networkValidator.connectAddr"), literal("1.1.1.1:20001")),
        "--listen-addr",
        withDefault(value("networkValidator.listenAddr"), text`0.0.0.0:${decimal("proxy.ports.outbound")}`),
        "--timeout",
        value("networkValidator.timeout"),
      ],
    },
    ...resourcesOf("proxyInit.resources"),
    {
      securityContext: {
        ...UNPRIVILEGED,
        runAsUser: value("proxyInit.runAsUser"),
        runAsGroup: value("proxyInit.runAsGroup"),
        seccompProfile: { type: "RuntimeDefault" },
      },
      terminationMessagePolicy: "FallbackToLogsOnError",
    },
  );
}

/** The proxy's volumes: memory for its key, and its token. */
export const PROXY_VOLUMES: readonly TemplateMap[] = [
  { name: "linkerd-identity-end-entity", emptyDir: { medium: "Memory" } },
  {
    name: TOKEN_VOLUME,
    projected: {
      sources: [
        {
          serviceAccountToken: {
            audience: TOKEN_AUDIENCE,
            expirationSeconds: TOKEN_SECONDS,
            path: TOKEN_VOLUME,
          },
        },
      ],
    },
  },
];
