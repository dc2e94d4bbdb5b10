import { z } from "zod";
import type { ContainerPort, HttpProbe } from "../../model/workload.ts";
import { decoder, Port, PortOrName } from "./kind.ts";
import { Ip } from "./network.ts";

const Probe = z.object({
  httpGet: z.object({ path: z.string().nullish(), port: PortOrName }).nullish(),
});

const Container = z.object({
  restartPolicy: z.string().nullish(),
  ports: z
    .array(z.object({ name: z.string().nullish(), containerPort: Port, protocol: z.string().nullish() }))
    .nullish(),
  livenessProbe: Probe.nullish(),
  readinessProbe: Probe.nullish(),
  startupProbe: Probe.nullish(),
});
type Container = z.infer<typeof Container>;

const Body = z.object({
  spec: z.object({
    serviceAccountName: z.string().nullish(),
    nodeName: z.string().nullish(),
    hostNetwork: z.boolean().nullish(),
    hostname: z.string().nullish(),
    subdomain: z.string().nullish(),
    containers: z.array(Container).nullish(),
    initContainers: z.array(Container).nullish(),
  }),
  status: z
    .object({
      phase: z.string().nullish(),
      podIP: Ip.nullish(),
      hostIP: Ip.nullish(),
      hostIPs: z.array(z.object({ ip: Ip })).nullish(),
      podIPs: z.array(z.object({ ip: Ip })).nullish(),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).nullish(),
    })
    .nullish(),
});

function portsOf(container: Container): ContainerPort[] {
  return (container.ports ?? []).map(({ name, containerPort, protocol }) => ({
    name: name ?? "",
    port: containerPort,
    protocol: protocol ?? "TCP",
  }));
}

function probesOf(container: Container): HttpProbe[] {
  const ports = portsOf(container);
  const probes = [container.livenessProbe, container.readinessProbe, container.startupProbe];
  return probes.flatMap((probe) => {
    const get = probe?.httpGet;
    if (get === null || get === undefined) return [];
    const port = typeof get.port === "number" ? get.port : ports.find(({ name }) => name === get.port)?.port;
    // The kubelet probes the path only; a query or fragment is not part of what a route matches.
    const path = `/${(get.path ?? "/").replace(/[?#].*$/, "").replace(/^\/+/, "")}`;
    return port === undefined ? [] : [{ path, port }];
  });
}

export const pod = decoder({ group: "", kind: "Pod", versions: ["v1"] }, Body, (meta, { spec, status }) => {
  // An init container that always restarts is a sidecar: it listens like the others.
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const containers = [...(spec.containers ?? []), ...sidecars];
  const ips = [status?.podIP ?? [], (status?.podIPs ?? []).map(({ ip }) => ip)].flat();
  const hostIps = [status?.hostIP ?? [], (status?.hostIPs ?? []).map(({ ip }) => ip)].flat();
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  return {
    kind: "Pod",
    object: {
      meta,
      serviceAccount: spec.serviceAccountName ?? "default",
      nodeName: spec.nodeName ?? undefined,
      hostNetwork: spec.hostNetwork ?? false,
      hostname: spec.hostname ?? undefined,
      subdomain: spec.subdomain ?? undefined,
      ips: [...new Set(ips)],
      hostIps: [...new Set(hostIps)],
      isReady: ready?.status === "True",
      isFinished: status?.phase === "Succeeded" || status?.phase === "Failed",
      isTerminating: meta.isDeleting,
      ports: containers.flatMap(portsOf),
      probes: containers.flatMap(probesOf),
    },
  };
});
