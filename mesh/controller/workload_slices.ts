/** EndpointSlices of Services that select external workloads: what there should be, and what differs. Pure. */
import { createHash } from "node:crypto";
import { parseIp } from "../model/address.ts";
import { compare, keyOf } from "../model/meta.ts";
import { selects } from "../model/selector.ts";
import type { EndpointPort, EndpointSlice, Service } from "../model/service.ts";
import type { ExternalWorkload } from "../model/workload.ts";
import type { Snapshot } from "../state/snapshot.ts";

/** Whose slices are whose: Kubernetes' own controller leaves those of others alone. */
export const MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by";
export const MANAGER = "linkerd-external-workloads-controller";

/** Endpoints of one slice. */
const ENDPOINTS_MAX = 100;

/** A slice as it is to be. */
export interface WantedSlice {
  readonly namespace: string;
  readonly name: string;
  readonly service: Service;
  readonly family: 4 | 6;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly WantedEndpoint[];
}

interface WantedEndpoint {
  readonly ip: string;
  readonly isReady: boolean;
  readonly workload: ExternalWorkload;
}

/** The service's TCP ports on a workload; a named one that it does not have is left out. */
function portsOn(service: Service, workload: ExternalWorkload): readonly EndpointPort[] {
  return service.ports.flatMap(({ name, targetPort, protocol }) => {
    if (protocol !== "TCP") return [];
    if (typeof targetPort === "number") return [{ name, port: targetPort }];
    const named = workload.ports.find((port) => port.name === targetPort && port.protocol === "TCP");
    return named === undefined ? [] : [{ name, port: named.port }];
  });
}

function slicesOf(service: Service, workloads: readonly ExternalWorkload[]): readonly WantedSlice[] {
  const groups = new Map<
    string,
    { ports: readonly EndpointPort[]; family: 4 | 6; endpoints: WantedEndpoint[] }
  >();
  for (const workload of workloads) {
    if (workload.meta.isDeleting) continue;
    const ports = portsOn(service, workload);
    for (const ip of workload.ips) {
      const family = parseIp(ip)?.family;
      if (family === undefined) continue;
      const key = `${family} ${ports.map(({ name, port }) => `${name}=${port}`).join()}`;
      const group = groups.get(key) ?? { ports, family, endpoints: [] };
      group.endpoints.push({ ip, isReady: service.publishesNotReady || workload.isReady, workload });
      groups.set(key, group);
    }
  }
  const { namespace, name } = service.meta;
  return [...groups].flatMap(([key, { ports, family, endpoints }]) => {
    const hash = createHash("sha256").update(key).digest("hex").slice(0, 10);
    return Array.from({ length: Math.ceil(endpoints.length / ENDPOINTS_MAX) }, (_, at) => ({
      namespace,
      name: `${name}-external-${hash}-${at}`,
      service,
      family,
      ports,
      endpoints: endpoints.slice(at * ENDPOINTS_MAX, (at + 1) * ENDPOINTS_MAX),
    }));
  });
}

/** Every slice that there should be. */
export function wantedSlices(snapshot: Snapshot): readonly WantedSlice[] {
  if (snapshot.ExternalWorkload.size === 0) return [];
  const workloads = [...snapshot.ExternalWorkload.values()];
  workloads.sort((a, b) => compare(keyOf(a.meta), keyOf(b.meta)));
  const byNamespace = Map.groupBy(workloads, ({ meta }) => meta.namespace);
  return [...snapshot.Service.values()].flatMap((service) => {
    const { selector, externalName, meta } = service;
    const candidates = byNamespace.get(meta.namespace);
    if (candidates === undefined || externalName !== undefined || meta.isDeleting) return [];
    if (selector === undefined || Object.keys(selector).length === 0) return [];
    const chosen = { matchLabels: selector, matchExpressions: [] };
    return slicesOf(
      service,
      candidates.filter((workload) => selects(chosen, workload.meta.labels)),
    );
  });
}

function isAsWanted(wanted: WantedSlice, { service, family, ports, endpoints }: EndpointSlice): boolean {
  return (
    service === wanted.service.meta.name &&
    family === wanted.family &&
    ports.length === wanted.ports.length &&
    ports.every((port, at) => port.name === wanted.ports[at]?.name && port.port === wanted.ports[at].port) &&
    endpoints.length === wanted.endpoints.length &&
    endpoints.every((endpoint, at) => {
      const other = wanted.endpoints[at];
      return (
        other !== undefined &&
        endpoint.ip === other.ip &&
        endpoint.isReady === other.isReady &&
        endpoint.target?.kind === "ExternalWorkload" &&
        endpoint.target.name === other.workload.meta.name
      );
    })
  );
}

/** What has to be written and what taken away, so that the cluster has exactly the wanted slices of ours. */
export function sliceChanges(snapshot: Snapshot): {
  readonly write: readonly WantedSlice[];
  readonly remove: readonly EndpointSlice[];
} {
  const wanted = wantedSlices(snapshot);
  const names = new Set(wanted.map(keyOf));
  const write = wanted.filter((slice) => {
    const present = snapshot.EndpointSlice.get(keyOf(slice));
    return present === undefined || !isAsWanted(slice, present);
  });
  const remove = [...snapshot.EndpointSlice.values()].filter(
    ({ meta }) => meta.labels[MANAGED_BY_LABEL] === MANAGER && !names.has(keyOf(meta)) && !meta.isDeleting,
  );
  return { write, remove };
}

/** The slice as an API server takes it. */
export function sliceObject({ namespace, name, service, family, ports, endpoints }: WantedSlice): object {
  const { meta, isHeadless } = service;
  return {
    kind: "EndpointSlice",
    addressType: family === 4 ? "IPv4" : "IPv6",
    metadata: {
      name,
      namespace,
      labels: {
        "kubernetes.io/service-name": meta.name,
        [MANAGED_BY_LABEL]: MANAGER,
        ...(isHeadless ? { "service.kubernetes.io/headless": "" } : {}),
      },
      ownerReferences: [
        { apiVersion: "v1", kind: "Service", name: meta.name, uid: meta.uid, controller: true },
      ],
    },
    ports: ports.map(({ name: portName, port }) => ({ name: portName, port, protocol: "TCP" })),
    endpoints: endpoints.map(({ ip, isReady, workload }) => ({
      addresses: [ip],
      conditions: { ready: isReady, serving: workload.isReady, terminating: false },
      targetRef: {
        apiVersion: "workload.linkerd.io/v1beta1",
        kind: "ExternalWorkload",
        namespace: workload.meta.namespace,
        name: workload.meta.name,
        uid: workload.meta.uid,
      },
    })),
  };
}
