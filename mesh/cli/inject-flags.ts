/** The flags of `inject` that are annotations of the workload: each flag with the annotation that it writes. */
import { Flags } from "@oclif/core";
import { z } from "zod";

/** A flag whose text becomes the value of an annotation. */
interface TextFlag {
  readonly summary: string;
  readonly annotation: string;
}

const TEXTS: Readonly<Record<string, TextFlag>> = {
  "access-log": { summary: "Form of the access log: apache or json.", annotation: "access-log" },
  "admin-port": { summary: "The proxy's port for metrics and health.", annotation: "admin-port" },
  "close-wait-timeout": {
    summary: "How long half-closed connections are kept by the kernel.",
    annotation: "close-wait-timeout",
  },
  "control-port": { summary: "The proxy's port for taps.", annotation: "control-port" },
  "default-inbound-policy": {
    summary: "What is allowed where no Server says anything.",
    annotation: "default-inbound-policy",
  },
  "image-pull-policy": { summary: "When images are pulled.", annotation: "image-pull-policy" },
  "inbound-port": { summary: "The proxy's port for inbound connections.", annotation: "inbound-port" },
  "opaque-ports": { summary: "Ports whose protocol is not looked at.", annotation: "opaque-ports" },
  "outbound-port": { summary: "The proxy's port for outbound connections.", annotation: "outbound-port" },
  "pod-inbound-ports": { summary: "Ports of the pod's inbound policies.", annotation: "pod-inbound-ports" },
  "proxy-cpu-limit": { summary: "Most CPU of the proxy.", annotation: "proxy-cpu-limit" },
  "proxy-cpu-request": { summary: "CPU that the proxy asks for.", annotation: "proxy-cpu-request" },
  "proxy-gid": { summary: "Group that the proxy runs as.", annotation: "proxy-gid" },
  "proxy-image": { summary: "Name of the proxy's image.", annotation: "proxy-image" },
  "proxy-log-format": { summary: "How the proxy logs: plain or json.", annotation: "proxy-log-format" },
  "proxy-log-level": { summary: "What the proxy logs.", annotation: "proxy-log-level" },
  "proxy-memory-limit": { summary: "Most memory of the proxy.", annotation: "proxy-memory-limit" },
  "proxy-memory-request": { summary: "Memory that the proxy asks for.", annotation: "proxy-memory-request" },
  "proxy-uid": { summary: "User that the proxy runs as.", annotation: "proxy-uid" },
  "proxy-version": { summary: "Tag of the proxy's image.", annotation: "proxy-version" },
  "require-identity-on-inbound-ports": {
    summary: "Ports whose clients must be of the mesh.",
    annotation: "proxy-require-identity-inbound-ports",
  },
  "shutdown-grace-period": {
    summary: "How long open connections may take at the end.",
    annotation: "shutdown-grace-period",
  },
  "skip-inbound-ports": {
    summary: "Inbound ports that are not redirected.",
    annotation: "skip-inbound-ports",
  },
  "skip-outbound-ports": {
    summary: "Outbound ports that are not redirected.",
    annotation: "skip-outbound-ports",
  },
  "skip-subnets": { summary: "Networks that are not redirected.", annotation: "skip-subnets" },
  "wait-before-exit-seconds": {
    summary: "How long the proxy stays before it is told to end.",
    annotation: "proxy-wait-before-exit-seconds",
  },
};

const SWITCHES: Readonly<Record<string, TextFlag>> = {
  "enable-debug-sidecar": {
    summary: "Add a container of tools for looking into the pod.",
    annotation: "enable-debug-sidecar",
  },
  "enable-external-profiles": {
    summary: "Ask for the profiles of names outside of the cluster, too.",
    annotation: "enable-external-profiles",
  },
  "native-sidecar": {
    summary: "Run the proxy as an init container that stays; --no-native-sidecar: as a container of the pod.",
    annotation: "proxy-enable-native-sidecar",
  },
};

/** As oclif wants them. */
export const annotationFlags = {
  ...Object.fromEntries(
    Object.entries(TEXTS).map(([name, { summary }]) => [name, Flags.string({ summary, helpGroup: "PROXY" })]),
  ),
  ...Object.fromEntries(
    Object.entries(SWITCHES).map(([name, { summary }]) => [
      name,
      Flags.boolean({ summary, allowNo: true, helpGroup: "PROXY" }),
    ]),
  ),
};

const Values = z.record(z.string(), z.union([z.string(), z.boolean()]));

/** Splits a record of flags into annotations and the rest, which a strict schema reads. */
export function annotationsOf(flags: Readonly<Record<string, unknown>>): {
  readonly annotations: Readonly<Record<string, string>>;
  readonly others: Readonly<Record<string, unknown>>;
} {
  const known = new Map(Object.entries({ ...TEXTS, ...SWITCHES }));
  const mine = Object.fromEntries(Object.entries(flags).filter(([name]) => known.has(name)));
  const annotations = Object.entries(Values.parse(mine)).map(([name, value]) => [
    `config.linkerd.io/${known.get(name)?.annotation ?? name}`,
    String(value),
  ]);
  return {
    annotations: Object.fromEntries(annotations),
    others: Object.fromEntries(Object.entries(flags).filter(([name]) => !known.has(name))),
  };
}
