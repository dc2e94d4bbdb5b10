/** What clients dial: services, and the endpoints behind them. */
import type { Meta } from "./meta.ts";

interface ServicePort {
  /** Empty when the service has one unnamed port. */
  readonly name: string;
  readonly port: number;
  readonly targetPort: number | string;
  readonly protocol: string;
  readonly appProtocol: string | undefined;
}

export interface Service {
  readonly meta: Meta;
  /** Canonical spellings; empty for headless services and those without an address yet. */
  readonly clusterIps: readonly string[];
  readonly isHeadless: boolean;
  /** The name an ExternalName service stands for. */
  readonly externalName: string | undefined;
  /** Absent when endpoints are somebody else's work. */
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly ports: readonly ServicePort[];
  /** `internalTrafficPolicy: Local`: only endpoints on the client's own node. */
  readonly isNodeLocal: boolean;
  readonly publishesNotReady: boolean;
  /** `spec.trafficDistribution`, or `service.kubernetes.io/topology-mode: Auto`: endpoints of the own zone first. */
  readonly prefersZone: boolean;
}

export interface EndpointPort {
  readonly name: string;
  readonly port: number;
}

/** The object an address belongs to. */
interface EndpointTarget {
  readonly kind: "Pod" | "ExternalWorkload";
  readonly namespace: string;
  readonly name: string;
}

export interface Endpoint {
  /** Canonical spelling. A slice's further addresses are fungible with the first, and are not used. */
  readonly ip: string;
  readonly isReady: boolean;
  readonly hostname: string | undefined;
  readonly nodeName: string | undefined;
  readonly zone: string | undefined;
  /** Zones whose clients it is meant for; empty: all. */
  readonly forZones: readonly string[];
  readonly target: EndpointTarget | undefined;
}

export interface EndpointSlice {
  readonly meta: Meta;
  /** Name of the service, in the slice's namespace. */
  readonly service: string;
  readonly family: 4 | 6;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}
