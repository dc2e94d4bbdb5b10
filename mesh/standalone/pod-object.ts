import type { PodPlan } from "./plan.ts";
import type { Container, Probe } from "./workload.ts";

/** Where a pod stands in its life, as Kubernetes calls it. */
export type Phase = "Pending" | "Running" | "Succeeded" | "Failed";

/** One container as it is now. */
export interface ContainerState {
  readonly name: string;
  readonly ready: boolean;
  readonly restarts: number;
  readonly state:
    | { readonly type: "waiting"; readonly reason: string }
    | { readonly type: "running"; readonly startedAt: string }
    | { readonly type: "terminated"; readonly exitCode: number; readonly reason: string };
}

/** What changes while a pod runs. */
export interface PodState {
  readonly phase: Phase;
  readonly ready: boolean;
  readonly containers: readonly ContainerState[];
  /** Set while the pod is being stopped: discovery drops it. */
  readonly deletedAt?: string;
}

/** The proxy beside a pod, as far as other parts of the mesh need to know it. */
export interface ProxyFacts {
  readonly controlPlaneNamespace: string;
  readonly version: string;
  readonly trustRootSha256: string;
  readonly inboundPort: number;
  readonly adminPort: number;
  readonly identity: string;
}

/** Who a pod is. */
export interface PodIdentity {
  readonly plan: PodPlan;
  readonly uid: string;
  readonly node: string;
  readonly nodeIp: string;
  readonly ips: readonly string[];
  readonly createdAt: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly proxy?: ProxyFacts;
}

/** Labels of a pod, those of an injected one included. */
export function podLabels({
  plan,
  proxy,
}: Pick<PodIdentity, "plan" | "proxy">): Readonly<Record<string, string>> {
  if (proxy === undefined) return plan.labels;
  const owner =
    plan.owner.kind === "Pod"
      ? {}
      : { [`linkerd.io/proxy-${plan.owner.kind.toLowerCase()}`]: plan.owner.name };
  return {
    ...plan.labels,
    ...owner,
    "linkerd.io/control-plane-ns": proxy.controlPlaneNamespace,
    "linkerd.io/workload-ns": plan.namespace,
  };
}

/** The Pod object that the control plane and `hauberk stat` read. */
export function podObject(pod: PodIdentity, state: PodState): object {
  const { plan, proxy } = pod;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: plan.name,
      namespace: plan.namespace,
      uid: pod.uid,
      creationTimestamp: pod.createdAt,
      ...(state.deletedAt === undefined ? {} : { deletionTimestamp: state.deletedAt }),
      labels: podLabels(pod),
      annotations: {
        ...pod.annotations,
        ...(proxy === undefined
          ? {}
          : {
              "linkerd.io/created-by": "hauberk standalone",
              "linkerd.io/proxy-version": proxy.version,
              "linkerd.io/trust-root-sha256": proxy.trustRootSha256,
            }),
      },
      ...(plan.owner.kind === "Pod" ? {} : { ownerReferences: [owner(plan)] }),
    },
    spec: {
      nodeName: pod.node,
      serviceAccountName: plan.template.serviceAccount,
      restartPolicy: plan.template.restart,
      terminationGracePeriodSeconds: plan.template.graceMs / 1_000,
      initContainers: [
        ...plan.template.initContainers.map(containerSpec),
        ...(proxy === undefined ? [] : [proxySpec(proxy)]),
      ],
      containers: plan.template.containers.map(containerSpec),
    },
    status: status(pod, state),
  };
}

function owner({ owner: { kind, name }, revision }: PodPlan): object {
  if (kind === "Deployment")
    return { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${name}-${revision}`, controller: true };
  return { apiVersion: kind === "Job" ? "batch/v1" : "apps/v1", kind, name, controller: true };
}

function condition(type: string, isTrue: boolean): object {
  return { type, status: isTrue ? "True" : "False" };
}

function status(pod: PodIdentity, state: PodState): object {
  return {
    phase: state.phase,
    startTime: pod.createdAt,
    hostIP: pod.nodeIp,
    podIP: pod.ips[0],
    podIPs: pod.ips.map((ip) => ({ ip })),
    conditions: [
      condition("PodScheduled", true),
      condition("Initialized", state.phase !== "Pending"),
      condition("ContainersReady", state.ready),
      condition("Ready", state.ready),
    ],
    containerStatuses: state.containers.map(({ name, ready, restarts, state: { type, ...more } }) => ({
      name,
      ready,
      restartCount: restarts,
      started: type === "running",
      state: { [type]: more },
    })),
  };
}

function proxySpec(proxy: ProxyFacts): object {
  return {
    name: "linkerd-proxy",
    restartPolicy: "Always",
    ports: [
      { name: "linkerd-proxy", containerPort: proxy.inboundPort },
      { name: "linkerd-admin", containerPort: proxy.adminPort },
    ],
    env: [
      { name: "LINKERD2_PROXY_INBOUND_LISTEN_ADDR", value: `0.0.0.0:${proxy.inboundPort}` },
      { name: "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", value: `0.0.0.0:${proxy.adminPort}` },
      { name: "LINKERD2_PROXY_IDENTITY_LOCAL_NAME", value: proxy.identity },
    ],
  };
}

function containerSpec(container: Container): object {
  const { name, command, ports, startup, readiness, liveness } = container;
  return {
    name,
    command,
    ports: ports.map(({ name, port, protocol }) => ({
      ...(name === undefined ? {} : { name }),
      containerPort: port,
      protocol,
    })),
    ...(startup === undefined ? {} : { startupProbe: probeSpec(startup) }),
    ...(readiness === undefined ? {} : { readinessProbe: probeSpec(readiness) }),
    ...(liveness === undefined ? {} : { livenessProbe: probeSpec(liveness) }),
  };
}

/** Policy lets probes of these paths in, so they have to be in the object. */
function probeSpec({ action, periodMs, timeoutMs }: Probe): object {
  const timing = { periodSeconds: periodMs / 1_000, timeoutSeconds: timeoutMs / 1_000 };
  switch (action.type) {
    case "http":
      return { httpGet: { path: action.path, port: action.port, scheme: action.scheme }, ...timing };
    case "tcp":
      return { tcpSocket: { port: action.port }, ...timing };
    case "grpc":
      return { grpc: { port: action.port, service: action.service }, ...timing };
    case "exec":
      return { exec: { command: action.command }, ...timing };
  }
}
