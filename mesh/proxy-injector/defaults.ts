/** The mesh's values in the words of annotations, so that mesh, namespace and pod are one table. Pure. */
import type { InjectorSettings } from "./settings.ts";

/** What `config.linkerd.io/*` would say if the values were annotations, by name without prefix. Unset values are absent. */
export function defaultsOf(settings: InjectorSettings): Readonly<Record<string, string>> {
  const { proxy, proxyInit, debugContainer } = settings;
  const { cpu, memory, "ephemeral-storage": storage } = proxy.resources;
  const ratio = proxy.runtime.workers.maximumCPURatio ?? 0;
  const all: Readonly<Record<string, string>> = {
    "proxy-image": proxy.image.name,
    "image-pull-policy": proxy.image.pullPolicy === "" ? settings.imagePullPolicy : proxy.image.pullPolicy,
    "proxy-version": proxy.image.version === "" ? settings.linkerdVersion : proxy.image.version,
    "debug-image": debugContainer.image.name,
    "debug-image-version": debugContainer.image.version,
    "debug-image-pull-policy": debugContainer.image.pullPolicy,
    "inbound-port": String(proxy.ports.inbound),
    "outbound-port": String(proxy.ports.outbound),
    "admin-port": String(proxy.ports.admin),
    "control-port": String(proxy.ports.control),
    "skip-subnets": proxyInit.skipSubnets,
    "close-wait-timeout": proxyInit.closeWaitTimeoutSecs === 0 ? "" : `${proxyInit.closeWaitTimeoutSecs}s`,
    "pod-inbound-ports": proxy.podInboundPorts,
    "proxy-cpu-request": cpu.request,
    "proxy-cpu-limit": cpu.limit,
    "proxy-cpu-ratio-limit": ratio === 0 ? "" : String(ratio),
    "proxy-memory-request": memory.request,
    "proxy-memory-limit": memory.limit,
    "proxy-ephemeral-storage-request": storage.request,
    "proxy-ephemeral-storage-limit": storage.limit,
    "proxy-uid": String(proxy.uid),
    "proxy-gid": proxy.gid < 0 ? "" : String(proxy.gid),
    "proxy-admin-shutdown": proxy.enableShutdownEndpoint ? "enabled" : "disabled",
    "proxy-log-level": proxy.logLevel,
    "proxy-log-format": proxy.logFormat,
    "proxy-log-http-headers": proxy.logHTTPHeaders,
    "access-log": proxy.accessLog,
    "enable-external-profiles": String(proxy.enableExternalProfiles),
    "proxy-require-identity-inbound-ports": proxy.requireIdentityOnInboundPorts,
    "proxy-metrics-hostname-labels": String(proxy.metrics.hostnameLabels),
    "proxy-outbound-connect-timeout": proxy.outboundConnectTimeout,
    "proxy-inbound-connect-timeout": proxy.inboundConnectTimeout,
    "proxy-outbound-discovery-cache-unused-timeout": proxy.outboundDiscoveryCacheUnusedTimeout,
    "proxy-inbound-discovery-cache-unused-timeout": proxy.inboundDiscoveryCacheUnusedTimeout,
    "proxy-disable-outbound-protocol-detect-timeout": String(proxy.disableOutboundProtocolDetectTimeout),
    "proxy-disable-inbound-protocol-detect-timeout": String(proxy.disableInboundProtocolDetectTimeout),
    "shutdown-grace-period": proxy.shutdownGracePeriod,
    "default-inbound-policy": proxy.defaultInboundPolicy,
    "proxy-enable-native-sidecar": String(proxy.nativeSidecar),
    "proxy-await": proxy.await ? "enabled" : "disabled",
    "proxy-wait-before-exit-seconds": String(proxy.waitBeforeExitSeconds),
    "proxy-additional-env": JSON.stringify(proxy.additionalEnv ?? []),
  };
  const set = Object.entries(all).filter(([, value]) => value !== "");
  return {
    ...Object.fromEntries(set),
    // Empty lists mean something: nothing is skipped, nothing is opaque.
    "opaque-ports": proxy.opaquePorts,
    "skip-inbound-ports": proxyInit.ignoreInboundPorts,
    "skip-outbound-ports": proxyInit.ignoreOutboundPorts,
  };
}
