/** What a workload or a Service takes over from its namespace, and which of its ports are opaque by default. Pure. */
import { hasPort, parsePorts } from "../model/ports.ts";
import { namedPorts, tcpPorts, type Pod, type Service } from "./pod.ts";
import type { InjectorSettings } from "./settings.ts";

type Strings = Readonly<Record<string, string>>;

const OPAQUE_PORTS = "config.linkerd.io/opaque-ports";

/** Annotations of a namespace that a workload of it has as its own, so that whoever looks at the pod sees them. */
const INHERITED = /^(linkerd\.io\/inject|config(\.(alpha|beta))?\.linkerd\.io\/.*|config\.hauberk\.io\/.*)$/;

/** `proxy-additional-env` is merged from namespace and pod: a copy in the pod would count twice. */
const NOT_COPIED = new Set([
  "config.linkerd.io/proxy-additional-env",
  "config.linkerd.io/admission-webhooks",
]);

interface Surroundings {
  readonly namespace: Strings;
  readonly settings: Pick<InjectorSettings, "proxy">;
}

/** What is added to a meshed pod's annotations. */
export function inheritedAnnotations(pod: Pod, { namespace, settings }: Surroundings): Strings {
  const own = pod.metadata?.annotations ?? {};
  const inherited = Object.entries(namespace).filter(
    ([name]) => INHERITED.test(name) && !NOT_COPIED.has(name) && own[name] === undefined,
  );
  return { ...Object.fromEntries(inherited), ...podOpaquePorts(pod, { namespace, settings }) };
}

/** The `opaque-ports` that a pod gets, meshed or not: clients read them from it. */
export function podOpaquePorts(pod: Pod, { namespace, settings }: Surroundings): Strings {
  if (pod.metadata?.annotations?.[OPAQUE_PORTS] !== undefined) return {};
  const inherited = namespace[OPAQUE_PORTS];
  if (inherited !== undefined) return { [OPAQUE_PORTS]: inherited };
  return defaultsAmong(tcpPorts(pod), settings, namedPorts(pod));
}

/** The `opaque-ports` that a Service gets. */
export function serviceOpaquePorts(service: Service, { namespace, settings }: Surroundings): Strings {
  if (service.metadata.annotations?.[OPAQUE_PORTS] !== undefined) return {};
  const inherited = namespace[OPAQUE_PORTS];
  if (inherited !== undefined) return { [OPAQUE_PORTS]: inherited };
  const ports = (service.spec?.ports ?? []).flatMap(({ port, targetPort }) =>
    typeof targetPort === "number" ? [port, targetPort] : [port],
  );
  return defaultsAmong(ports, settings, new Map());
}

function defaultsAmong(
  ports: readonly number[],
  { proxy }: Surroundings["settings"],
  named: ReadonlyMap<string, number>,
): Strings {
  const opaque = parsePorts(proxy.opaquePorts, named).ports;
  const found = ports.filter((port) => hasPort(opaque, port));
  return found.length === 0 ? {} : { [OPAQUE_PORTS]: [...new Set(found)].join(",") };
}
