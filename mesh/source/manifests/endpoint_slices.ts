/** EndpointSlices of services that select pods or external workloads, where no cluster makes them. Pure. */
import { parseIp } from "../../model/address.ts";
import { keyOf, type Meta } from "../../model/meta.ts";
import { selects } from "../../model/selector.ts";
import type { Endpoint, EndpointPort, EndpointSlice, Service } from "../../model/service.ts";
import type { ContainerPort, ExternalWorkload, Pod } from "../../model/workload.ts";

/** Something that a service can select. */
interface Candidate {
  readonly meta: Meta;
  readonly ips: readonly string[];
  readonly ports: readonly ContainerPort[];
  readonly endpoint: (service: Service, ip: string) => Endpoint;
}

function podCandidate(pod: Pod): Candidate {
  return {
    meta: pod.meta,
    ips: pod.isFinished ? [] : pod.ips,
    ports: pod.ports,
    endpoint: (service, ip) => ({
      ip,
      isReady: service.publishesNotReady || (pod.isReady && !pod.isTerminating),
      hostname: pod.subdomain === service.meta.name ? pod.hostname : undefined,
      nodeName: pod.nodeName,
      zone: undefined,
      forZones: [],
      target: { kind: "Pod", namespace: pod.meta.namespace, name: pod.meta.name },
    }),
  };
}

function workloadCandidate(workload: ExternalWorkload): Candidate {
  return {
    meta: workload.meta,
    ips: workload.ips,
    ports: workload.ports,
    endpoint: (service, ip) => ({
      ip,
      isReady: service.publishesNotReady || workload.isReady,
      hostname: undefined,
      nodeName: undefined,
      zone: undefined,
      forZones: [],
      target: { kind: "ExternalWorkload", namespace: workload.meta.namespace, name: workload.meta.name },
    }),
  };
}

/** The service's TCP ports as they are on this candidate; a named port that it does not have is left out. */
function portsOn(service: Service, candidate: Candidate): readonly EndpointPort[] {
  return service.ports.flatMap(({ name, targetPort, protocol }) => {
    if (protocol !== "TCP") return [];
    if (typeof targetPort === "number") return [{ name, port: targetPort }];
    const named = candidate.ports.find((port) => port.name === targetPort && port.protocol === "TCP");
    return named === undefined ? [] : [{ name, port: named.port }];
  });
}

function slicesOf(service: Service, candidates: readonly Candidate[]): EndpointSlice[] {
  const { selector } = service;
  if (selector === undefined || service.externalName !== undefined) return [];
  const chosen = { matchLabels: selector, matchExpressions: [] };
  const groups = new Map<string, { ports: readonly EndpointPort[]; family: 4 | 6; endpoints: Endpoint[] }>();
  for (const candidate of candidates) {
    if (!selects(chosen, candidate.meta.labels)) continue;
    const ports = portsOn(service, candidate);
    for (const ip of candidate.ips) {
      const family = parseIp(ip)?.family;
      if (family === undefined) continue;
      const key = `${family}:${ports.map(({ name, port }) => `${name}=${port}`).join()}`;
      const group = groups.get(key) ?? { ports, family, endpoints: [] };
      group.endpoints.push(candidate.endpoint(service, ip));
      groups.set(key, group);
    }
  }
  return [...groups].map(([key, { ports, family, endpoints }]) => ({
    // Not a name of Kubernetes, so that it cannot be that of a written slice.
    meta: { ...service.meta, name: `${service.meta.name}/${key}`, annotations: {}, owner: undefined },
    service: service.meta.name,
    family,
    ports,
    endpoints,
  }));
}

/** The slices of all `services`. An empty selector selects nothing, as in Kubernetes' own controller. */
export function deriveEndpointSlices(
  services: readonly Service[],
  { pods, workloads }: { readonly pods: readonly Pod[]; readonly workloads: readonly ExternalWorkload[] },
): readonly EndpointSlice[] {
  const candidates = [...pods.map(podCandidate), ...workloads.map(workloadCandidate)];
  candidates.sort((a, b) => (keyOf(a.meta) < keyOf(b.meta) ? -1 : 1));
  const byNamespace = Map.groupBy(candidates, ({ meta }) => meta.namespace);
  return services
    .filter(({ selector }) => selector !== undefined && Object.keys(selector).length > 0)
    .flatMap((service) => slicesOf(service, byNamespace.get(service.meta.namespace) ?? []));
}
