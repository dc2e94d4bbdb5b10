import { z } from "zod";
import { describeObject, fieldPath, groupOf } from "../source/manifests/document.ts";
import type { ManifestDocument, Problem } from "../source/manifests/document.ts";

/** One port of a service. */
export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly target: number | string;
  readonly protocol: "TCP" | "UDP" | "SCTP";
}

/** A Service, as far as names and addresses go. */
export interface Service {
  readonly namespace: string;
  readonly name: string;
  readonly address:
    | { readonly type: "cluster"; readonly ip: string }
    | { readonly type: "headless" }
    | { readonly type: "external"; readonly name: string };
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly ServicePort[];
  readonly publishesNotReady: boolean;
}

/** A pod, as far as services select it. */
export interface Backend {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ip: string;
  readonly ready: boolean;
  readonly ports: readonly { readonly name?: string; readonly port: number }[];
}

const Port = z.number().int().min(1).max(65_535);
const Spec = z.object({
  spec: z.object({
    type: z.enum(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]).default("ClusterIP"),
    clusterIP: z.string().optional(),
    externalName: z.string().optional(),
    selector: z.record(z.string(), z.string()).default({}),
    publishNotReadyAddresses: z.boolean().default(false),
    ports: z
      .array(
        z.object({
          name: z.string().default(""),
          port: Port,
          targetPort: z.union([Port, z.string().min(1)]).optional(),
          protocol: z.enum(["TCP", "UDP", "SCTP"]).default("TCP"),
        }),
      )
      .default([]),
  }),
});

/** Reads every Service. `clusterIpFor` is the control plane's own choice for a service without an address. */
export function decodeServices(
  documents: readonly ManifestDocument[],
  clusterIpFor: (service: { readonly namespace: string; readonly name: string }) => string,
): { readonly services: readonly Service[]; readonly problems: readonly Problem[] } {
  const services: Service[] = [];
  const problems: Problem[] = [];
  for (const document of documents) {
    const { apiVersion, kind, metadata, rest } = document.object;
    if (kind !== "Service" || groupOf(apiVersion) !== "") continue;
    const parsed = Spec.safeParse(rest);
    if (!parsed.success) {
      for (const { path, message } of parsed.error.issues) {
        const { file, object } = document;
        const field = fieldPath(path);
        problems.push({ file, line: document.lineOf(path), object: describeObject(object), field, message });
      }
      continue;
    }
    const { spec } = parsed.data;
    const { namespace, name } = metadata;
    services.push({
      namespace,
      name,
      selector: spec.selector,
      publishesNotReady: spec.publishNotReadyAddresses,
      address: addressOf(spec, () =>
        clusterIpFor({
          namespace,
          name,
        }),
      ),
      ports: spec.ports.map(({ name, port, targetPort, protocol }) => ({
        name,
        port,
        protocol,
        target: targetPort ?? port,
      })),
    });
  }
  return { services, problems };
}

function addressOf(spec: z.infer<typeof Spec>["spec"], choose: () => string): Service["address"] {
  if (spec.type === "ExternalName") return { type: "external", name: spec.externalName ?? "" };
  if (spec.clusterIP === "None") return { type: "headless" };
  return {
    type: "cluster",
    ip: spec.clusterIP === undefined || spec.clusterIP === "" ? choose() : spec.clusterIP,
  };
}

/** The pods behind a service that may be given to clients. */
export function backendsOf(service: Service, pods: readonly Backend[]): readonly Backend[] {
  const selector = Object.entries(service.selector);
  if (selector.length === 0) return [];
  return pods.filter(
    (pod) =>
      pod.namespace === service.namespace &&
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

/** One listener for each TCP port of each service with a cluster address. */
export function listeners(services: readonly Service[], pods: readonly Backend[]): readonly Listener[] {
  return services.flatMap((service) => {
    const { address } = service;
    if (address.type !== "cluster") return [];
    return service.ports
      .filter(({ protocol }) => protocol === "TCP")
      .map(({ port, target }) => ({
        name: `${service.namespace}/${service.name}:${port}`,
        listen: [`${address.ip}:${port}`],
        endpoints: backendsOf(service, pods).flatMap((pod) => {
          const number = portOf(pod, target);
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

/** All names of the cluster domain (Kubernetes DNS specification 1.1.0). */
export function zone(services: readonly Service[], pods: readonly Backend[], domain: string): Zone {
  const names: Record<string, NameRecords> = {};
  for (const service of services) {
    const own = `${service.name}.${service.namespace}.svc.${domain}`;
    const { address } = service;
    if (address.type === "external") {
      names[own] = { a: [], cname: address.name.replace(/\.$/, ""), srv: [] };
      continue;
    }
    const backends = address.type === "headless" ? backendsOf(service, pods) : [];
    names[own] = { a: address.type === "cluster" ? [address.ip] : backends.map(({ ip }) => ip), srv: [] };
    for (const { name, ip } of backends) names[`${name}.${own}`] = { a: [ip], srv: [] };
    for (const { name, port, protocol, target } of service.ports) {
      if (name === "") continue;
      const srv =
        address.type === "cluster"
          ? [{ target: own, port }]
          : backends.map((pod) => ({ target: `${pod.name}.${own}`, port: portOf(pod, target) ?? port }));
      names[`_${name}._${protocol.toLowerCase()}.${own}`] = { a: [], srv };
    }
  }
  return { domain, names };
}
