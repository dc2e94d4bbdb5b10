/** The values of the data plane: proxies, their redirection, and what is injected beside them. */
import { z } from "zod";
import { OPAQUE_PORTS_DEFAULT, SKIP_PORTS_DEFAULT } from "../../model/ports.ts";
import { ACCESS_POLICIES } from "../../model/policy.ts";
import { count, flag, json, record, resources, text, words } from "./leaf.ts";

const http2 = (direction: string) =>
  record(`HTTP/2 of the ${direction} side.`, {
    server: record("Towards its clients.", {
      http2: record("Keep-alive.", {
        keepAliveInterval: text("10s", "How often a PING is sent."),
        keepAliveTimeout: text("3s", "How long its answer may take."),
      }),
    }),
  });

const image = (name: string) =>
  record("The image.", {
    name: text(name, "Its name."),
    version: text("", "Its tag or digest; empty: linkerdVersion."),
    pullPolicy: text("", "When it is pulled; empty: imagePullPolicy."),
  });

export const proxy = record("Proxies, of applications and of the control plane.", {
  image: image("hauberk/proxy"),
  logLevel: text("warn,linkerd=info,hickory=error", "What the proxy logs."),
  logFormat: words(["plain", "json"], "plain", "How the proxy logs."),
  logHTTPHeaders: words(["off", "insecure"], "off", "Whether headers may be logged."),
  accessLog: words(["", "apache", "json"], "", "Form of the access log; empty: none."),
  cores: count(0, "Most data threads; 0: one."),
  runtime: record("The proxy's threads.", {
    workers: record("Data threads.", {
      minimum: count(1, "At least so many."),
      maximumCPURatio: json(
        z.number().min(0).max(1),
        0,
        "At most this share of the node's CPUs; 0: no share.",
      ),
    }),
  }),
  ports: record("Where the proxy listens.", {
    admin: count(4191, "Metrics and health."),
    control: count(4190, "Taps."),
    inbound: count(4143, "Connections to the application."),
    outbound: count(4140, "Connections of the application."),
  }),
  resources: resources("What the proxy asks for and may have.", {
    cpu: { request: "10m" },
    memory: { request: "20Mi", limit: "250Mi" },
  }),
  uid: count(2102, "User that the proxy runs as, whose connections are not redirected."),
  gid: json(z.number().int(), -1, "Group that the proxy runs as; below 0: the image's."),
  nativeSidecar: flag(true, "Runs the proxy as an init container that stays (Kubernetes 1.29)."),
  await: flag(true, "Without native sidecars: the application starts when the proxy is ready."),
  waitBeforeExitSeconds: count(
    0,
    "Without native sidecars: how long the proxy stays before it is told to end.",
  ),
  shutdownGracePeriod: text("", "How long open connections may take at the end."),
  enableShutdownEndpoint: flag(false, "Whether POST /shutdown is answered."),
  enableExternalProfiles: flag(false, "Asks for the profiles of names outside of the cluster, too."),
  requireIdentityOnInboundPorts: text("", "Ports whose clients must be of the mesh."),
  requireTLSOnInboundPorts: text("", "Ports whose clients must speak TLS."),
  defaultInboundPolicy: words(
    ACCESS_POLICIES,
    "all-unauthenticated",
    "What is allowed where no Server says anything.",
  ),
  opaquePorts: text(OPAQUE_PORTS_DEFAULT, "Ports whose protocol is not looked at."),
  podInboundPorts: text("", "Ports of pods, beside those that their containers name."),
  outboundTransportMode: words(
    ["transport-header"],
    "transport-header",
    "How proxies meet; there is one way.",
  ),
  inboundConnectTimeout: text("100ms", "How long a connection to the application may take."),
  outboundConnectTimeout: text("1000ms", "How long a connection to another pod may take."),
  inboundDiscoveryCacheUnusedTimeout: text("90s", "How long an answer that nobody uses is kept."),
  outboundDiscoveryCacheUnusedTimeout: text("5s", "How long an answer that nobody uses is kept."),
  disableInboundProtocolDetectTimeout: flag(false, "Waits as long as it takes for a client's first bytes."),
  disableOutboundProtocolDetectTimeout: flag(
    false,
    "Waits as long as it takes for the application's first bytes.",
  ),
  control: record("Of the control plane's streams.", {
    streams: record("Their times.", {
      initialTimeout: text("3s", "For the first answer."),
      idleTimeout: text("5m", "Between two answers."),
      lifetime: text("1h", "Of a stream as a whole."),
    }),
  }),
  inbound: http2("inbound"),
  outbound: http2("outbound"),
  tapServiceName: text("", "Identity of the one who may tap; empty: nobody."),
  metrics: record("What proxies count.", {
    hostnameLabels: flag(false, "Whether host names are labels."),
  }),
  livenessProbe: record("Whether the proxy lives.", {
    initialDelaySeconds: count(10, "First asked after."),
    timeoutSeconds: count(1, "Answer within."),
  }),
  readinessProbe: record("Whether the proxy is ready.", {
    initialDelaySeconds: count(2, "First asked after."),
    timeoutSeconds: count(1, "Answer within."),
  }),
  startupProbe: record("Whether the proxy has started, with native sidecars.", {
    initialDelaySeconds: count(0, "First asked after."),
    periodSeconds: count(1, "How often."),
    failureThreshold: count(120, "How many times at most."),
  }),
  additionalEnv: json(
    z.array(z.looseObject({ name: z.string().min(1) })),
    [],
    "Variables of every proxy; the annotation proxy-additional-env is merged into them by name.",
  ),
});

export const proxyInit = record("What redirects a pod's connections to its proxy.", {
  ignoreInboundPorts: text(SKIP_PORTS_DEFAULT, "Ports whose clients come past the proxy."),
  ignoreOutboundPorts: text(SKIP_PORTS_DEFAULT, "Ports to which the application goes past the proxy."),
  kubeAPIServerPorts: text("443,6443", "The same for the control plane, which asks the Kubernetes API."),
  skipSubnets: text("", "Networks to and from which connections go past the proxy."),
  closeWaitTimeoutSecs: count(0, "The kernel's time for half-closed connections; 0: as it is."),
  iptablesMode: words(
    ["nft", "legacy", "plain"],
    "nft",
    "Has no meaning: rules are set by netlink, without iptables.",
  ),
  runAsRoot: flag(false, "Runs it as root, for container runtimes that need that."),
  runAsUser: count(65_534, "User that it runs as otherwise."),
  runAsGroup: count(65_534, "Group that it runs as otherwise."),
  privileged: flag(false, "Gives it every capability, where nodes need that."),
  logLevel: text("info", "Has no meaning: it says what went wrong and no more."),
  logFormat: words(["plain", "json"], "plain", "How it logs."),
  resources: resources("What it asks for and may have.", {
    cpu: { request: "10m", limit: "100m" },
    memory: { request: "10Mi", limit: "50Mi" },
  }),
});

export const networkValidator = record("With the CNI plugin: the container that waits for the redirection.", {
  timeout: text("10s", "How long it waits."),
  logLevel: text("debug", "What it logs."),
  logFormat: words(["plain", "json"], "plain", "How it logs."),
  connectAddr: text("", "Has no meaning: the rules are looked at themselves."),
  listenAddr: text("", "Has no meaning: the rules are looked at themselves."),
  enableSecurityContext: flag(true, "Has to be true."),
});

export const debugContainer = record("The container that config.linkerd.io/enable-debug-sidecar adds.", {
  image: image("hauberk/debug"),
});
