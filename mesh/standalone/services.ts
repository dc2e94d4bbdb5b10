import { isIPv4 } from "node:net";
import type { Service } from "../model/service.ts";

/** A pod, as far as services select it. */
export interface Backend {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ip: string;
  readonly ready: boolean;
  readonly ports: readonly { readonly name?: string; readonly port: number }[];
}

/** The pods behind a service that may be given to clients. */
export function backendsOf(service: Service, pods: readonly Backend[]): readonly Backend[] {
  const selector = Object.entries(service.selector ?? {});
  if (selector.length === 0) return [];
  return pods.filter(
    (pod) =>
      pod.namespace === service.meta.namespace &&
      (pod.ready || service.publishesNotReady) &&
      selector.every(([label, value]) => pod.labels[label] === value),
  );
}

/** Cluster addresses for pods without a proxy: what to listen on and where connections go. */
export interface Listener {
  readonly name: string;
  readonly listen: readonly string[];
  readonly endpoints: readonly string[];
}

/** One listener for each TCP port of each service with an IPv4 cluster address. */
export function listeners(services: readonly Service[], pods: readonly Backend[]): readonly Listener[] {
  return services.flatMap((service) => {
    const address = service.clusterIps.find(isIPv4);
    if (address === undefined) return [];
    return service.ports
      .filter(({ protocol }) => protocol === "TCP")
      .map(({ port, targetPort }) => ({
        name: `${service.meta.namespace}/${service.meta.name}:${port}`,
        listen: [`${address}:${port}`],
        endpoints: backendsOf(service, pods).flatMap((pod) => {
          const number = portOf(pod, targetPort);
          return number === undefined ? [] : [`${pod.ip}:${number}`];
        }),
      }));
  });
}

function portOf(pod: Backend, target: number | string): number | undefined {
  return typeof target === "number" ? target : pod.ports.find(({ name }) => name === target)?.port;
}

/** A name's records, without the trailing dot, in lower case. */
export interface Zone {
  readonly domain: string;
  readonly names: Readonly<Record<string, NameRecords>>;
}

/** What a name stands for. */
export interface NameRecords {
  readonly a: readonly string[];
  readonly cname?: string;
  readonly srv: readonly { readonly target: string; readonly port: number }[];
}

/** All names of the cluster domain (Kubernetes DNS specification 1.1.0). IPv4 only: pods have no other address. */
export function zone(services: readonly Service[], pods: readonly Backend[], domain: string): Zone {
  const names: Record<string, NameRecords> = {};
  for (const service of services) {
    const own = `${service.meta.name}.${service.meta.namespace}.svc.${domain}`;
    if (service.externalName !== undefined) {
      names[own] = { a: [], cname: service.externalName.replace(/\.$/, ""), srv: [] };
      continue;
    }
    const backends = service.isHeadless ? backendsOf(service, pods) : [];
    names[own] = {
      a: service.isHeadless ? backends.map(({ ip }) => ip) : service.clusterIps.filter(isIPv4),
      srv: [],
    };
    for (const { name, ip } of backends) names[`${name}.${own}`] = { a: [ip], srv: [] };
    for (const { name, port, protocol, targetPort } of service.ports) {
      if (name === "") continue;
      const srv = service.isHeadless
        ? backends.map((pod) => ({ target: `${pod.name}.${own}`, port: portOf(pod, targetPort) ?? port }))
        : [{ target: own, port }];
      names[`_${name}._${protocol.toLowerCase()}.${own}`] = { a: [], srv };
    }
  }
  return { domain, names };
}
