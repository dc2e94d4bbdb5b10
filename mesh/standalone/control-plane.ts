import { identityName } from "../proxy-injector/sidecar.ts";
import type { MeshAuthority } from "./authority.ts";
import type { PodPlan } from "./plan.ts";
import type { StatePaths } from "./state.ts";
import type { Container } from "./workload.ts";

/** Where the control plane lives. */
export const CONTROL_PLANE_NAMESPACE = "linkerd";
/** The account whose identity the control plane has. */
const CONTROL_PLANE_ACCOUNT = "linkerd-destination";
/** One process for all three roles takes no longer than this to stop. */
const GRACE_MS = 5_000;

/** Ports of the control plane's roles. */
export const CONTROL_PLANE_PORTS = {
  identity: 8_080,
  destination: 8_086,
  policy: 8_090,
  admin: 9_990,
} as const;

/** The identity that proxies demand of the control plane. */
export function controlPlaneIdentity(trustDomain: string): string {
  return identityName(CONTROL_PLANE_ACCOUNT, CONTROL_PLANE_NAMESPACE, { trustDomain });
}

/** The identity that may tap proxies: that of Linkerd's tap service. */
export function tapIdentity(trustDomain: string): string {
  return identityName("tap", "linkerd-viz", { trustDomain });
}

/** The same in a standalone mesh. */
export const TAP_IDENTITY = tapIdentity("cluster.local");

/** How the control plane is started. */
export interface ControlPlaneOptions {
  /** Program and first arguments. */
  readonly command: readonly string[];
  readonly paths: StatePaths;
  readonly manifests: readonly string[];
  readonly authority: MeshAuthority;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  /** Further arguments. */
  readonly args: readonly string[];
}

/** The pod of the control plane: one process, three roles, a proxy of its own. */
export function controlPlanePlan(options: ControlPlaneOptions): PodPlan {
  const { paths, authority } = options;
  const listen = (role: keyof typeof CONTROL_PLANE_PORTS): readonly string[] => [
    `--${role}-listen`,
    `0.0.0.0:${CONTROL_PLANE_PORTS[role]}`,
  ];
  const admin = {
    type: "http",
    port: CONTROL_PLANE_PORTS.admin,
    path: "/ready",
    scheme: "HTTP",
    headers: [],
  } as const;
  const container: Container = {
    name: "controller",
    command: [
      ...options.command,
      // Pods as they run come before pods as they are written.
      ...[paths.objects, ...options.manifests].flatMap((dir) => ["--manifests", dir]),
      "--issuer-dir",
      authority.issuerDir,
      "--join-token-key",
      authority.joinTokenKey,
      // Everything that trust is written down for reads files of this machine: the spread is a poll's time.
      "--trust-schedule",
      "expiry",
      "--trust-spread",
      "6s",
      ...listen("identity"),
      ...listen("destination"),
      ...listen("policy"),
      ...listen("admin"),
      ...options.args,
    ],
    env: [],
    envFrom: [],
    ports: Object.entries(CONTROL_PLANE_PORTS).map(([name, port]) => ({ name, port, protocol: "TCP" })),
    readiness: {
      action: admin,
      initialDelayMs: 0,
      periodMs: 2_000,
      timeoutMs: 1_000,
      successThreshold: 1,
      failureThreshold: 3,
    },
  };
  return systemPod(CONTROL_PLANE_NAMESPACE, "linkerd-destination", {
    container,
    account: CONTROL_PLANE_ACCOUNT,
    labels: { "linkerd.io/control-plane-component": "destination" },
    annotations: {
      "linkerd.io/inject": "enabled",
      "config.linkerd.io/skip-inbound-ports": String(CONTROL_PLANE_PORTS.admin),
    },
  });
}

/** The pod that scrapes the proxies. It has no proxy: their admin ports are open to it without. */
export function vizPlan(command: readonly string[], paths: StatePaths): PodPlan {
  const container: Container = {
    name: "viz",
    command: [...command, "--objects", paths.objects, "--socket", paths.vizSocket],
    env: [],
    envFrom: [],
    ports: [],
  };
  return systemPod("linkerd-viz", "viz", { container, account: "default", labels: {}, annotations: {} });
}

function systemPod(
  namespace: string,
  name: string,
  {
    container,
    account,
    labels,
    annotations,
  }: {
    readonly container: Container;
    readonly account: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  },
): PodPlan {
  return {
    namespace,
    name,
    revision: "1",
    owner: { kind: "Pod", name },
    labels,
    file: "",
    template: {
      labels,
      annotations,
      serviceAccount: account,
      restart: "Always",
      graceMs: GRACE_MS,
      initContainers: [],
      containers: [container],
    },
  };
}
