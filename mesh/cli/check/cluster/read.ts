/** Kubernetes objects as facts. Pure; fields that are missing are as Kubernetes means them. */
import { z } from "zod";
import type { NamespaceFact, NodeFact, PodFact, ServiceFact, WorkloadFact } from "./facts.ts";

const Strings = z.record(z.string(), z.string()).nullish();
const Metadata = z.looseObject({
  name: z.string(),
  namespace: z.string().default(""),
  labels: Strings,
  annotations: Strings,
  deletionTimestamp: z.string().nullish(),
});

const State = z.looseObject({
  waiting: z.looseObject({ reason: z.string().optional() }).nullish(),
  terminated: z.looseObject({ reason: z.string().optional() }).nullish(),
});

const Container = z.looseObject({
  name: z.string(),
  image: z.string().default(""),
  restartPolicy: z.string().nullish(),
  ports: z.array(z.looseObject({ containerPort: z.number() })).nullish(),
});

const ContainerStatus = z.looseObject({
  name: z.string(),
  ready: z.boolean().default(false),
  state: State.nullish(),
});

const Pod = z.looseObject({
  metadata: Metadata,
  spec: z.looseObject({
    hostNetwork: z.boolean().nullish(),
    containers: z.array(Container).default([]),
    initContainers: z.array(Container).nullish(),
  }),
  status: z
    .looseObject({
      phase: z.string().default("Unknown"),
      podIPs: z.array(z.looseObject({ ip: z.string() })).nullish(),
      conditions: z
        .array(
          z.looseObject({
            type: z.string(),
            status: z.string(),
            reason: z.string().nullish(),
            message: z.string().nullish(),
          }),
        )
        .nullish(),
      containerStatuses: z.array(ContainerStatus).nullish(),
      initContainerStatuses: z.array(ContainerStatus).nullish(),
    })
    .default({ phase: "Unknown" }),
});

export function podFact(object: unknown): PodFact {
  const { metadata, spec, status } = Pod.parse(object);
  const conditions = status.conditions ?? [];
  const statuses = [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])];
  // Init containers that stay are containers of the pod's whole life.
  const staying = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const scheduled = conditions.find(({ type }) => type === "PodScheduled");
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    phase: status.phase,
    isReady: conditions.some(({ type, status: is }) => type === "Ready" && is === "True"),
    unschedulable:
      scheduled?.status === "False" ? (scheduled.message ?? scheduled.reason ?? "not scheduled") : undefined,
    isLeaving: typeof metadata.deletionTimestamp === "string",
    onHostNetwork: spec.hostNetwork ?? false,
    ips: (status.podIPs ?? []).map(({ ip }) => ip),
    containers: [...staying, ...spec.containers].map(({ name, image, ports }) => {
      const of = statuses.find((one) => one.name === name);
      return {
        name,
        image,
        isReady: of?.ready ?? false,
        reason: of?.state?.waiting?.reason ?? of?.state?.terminated?.reason,
        ports: (ports ?? []).map(({ containerPort }) => containerPort),
      };
    }),
  };
}

const Service = z.looseObject({
  metadata: Metadata,
  spec: z.looseObject({
    clusterIP: z.string().nullish(),
    clusterIPs: z.array(z.string()).nullish(),
    selector: Strings,
    ports: z
      .array(z.looseObject({ port: z.number(), targetPort: z.union([z.number(), z.string()]).nullish() }))
      .nullish(),
  }),
});

export function serviceFact(object: unknown): ServiceFact {
  const { metadata, spec } = Service.parse(object);
  const ips = spec.clusterIPs ?? [spec.clusterIP ?? ""];
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    clusterIps: ips.filter((ip) => ip !== "" && ip !== "None"),
    selector: spec.selector ?? {},
    ports: (spec.ports ?? []).map(({ port, targetPort }) => ({ port, targetPort: targetPort ?? port })),
  };
}

const Node = z.looseObject({
  metadata: Metadata,
  spec: z.looseObject({ podCIDR: z.string().nullish(), podCIDRs: z.array(z.string()).nullish() }).default({}),
  status: z
    .looseObject({ nodeInfo: z.looseObject({ containerRuntimeVersion: z.string().default("") }).optional() })
    .default({}),
});

export function nodeFact(object: unknown): NodeFact {
  const { metadata, spec, status } = Node.parse(object);
  return {
    name: metadata.name,
    podCidrs: spec.podCIDRs ?? (typeof spec.podCIDR === "string" ? [spec.podCIDR] : []),
    runtime: status.nodeInfo?.containerRuntimeVersion ?? "",
  };
}

export function namespaceFact(object: unknown): NamespaceFact {
  const { metadata } = z.looseObject({ metadata: Metadata }).parse(object);
  return { name: metadata.name, labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {} };
}

const Count = z.number().nullish();
const ReplicaSet = z.looseObject({
  metadata: Metadata,
  spec: z.looseObject({ replicas: Count }),
  status: z.looseObject({ readyReplicas: Count }).default({}),
});

export function replicaSetFact(object: unknown): WorkloadFact {
  const { metadata, spec, status } = ReplicaSet.parse(object);
  return { name: metadata.name, wanted: spec.replicas ?? 1, ready: status.readyReplicas ?? 0 };
}

const DaemonSet = z.looseObject({
  metadata: Metadata,
  status: z.looseObject({ desiredNumberScheduled: Count, numberReady: Count }).default({}),
});

export function daemonSetFact(object: unknown): WorkloadFact {
  const { metadata, status } = DaemonSet.parse(object);
  return { name: metadata.name, wanted: status.desiredNumberScheduled ?? 0, ready: status.numberReady ?? 0 };
}
