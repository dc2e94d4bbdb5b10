/** Where code runs: pods, nodes, external workloads, and the namespaces and accounts they run in. */
import type { Meta } from "./meta.ts";

/** The label that says a proxy was injected, and by the control plane of which namespace. */
export const CONTROL_PLANE_NS_LABEL = "linkerd.io/control-plane-ns";

/** The zone of a node, and of a pod on it. */
export const ZONE_LABEL = "topology.kubernetes.io/zone";

/** Where a proxy accepts mTLS from its peers. */
export const PROXY_INBOUND_PORT = 4143;

export interface ContainerPort {
  /** Empty when the port has no name. */
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}

/** A probe that asks a container over HTTP. */
export interface HttpProbe {
  readonly path: string;
  readonly port: number;
}

export interface Pod {
  readonly meta: Meta;
  readonly serviceAccount: string;
  readonly nodeName: string | undefined;
  readonly hostNetwork: boolean;
  readonly hostname: string | undefined;
  readonly subdomain: string | undefined;
  /** Canonical spellings; empty until the pod has an address. */
  readonly ips: readonly string[];
  /** Addresses of the node that it runs on, from `status.hostIPs`. */
  readonly hostIps: readonly string[];
  readonly isReady: boolean;
  /** Succeeded or Failed: its address may already be another's. */
  readonly isFinished: boolean;
  readonly isTerminating: boolean;
  readonly ports: readonly ContainerPort[];
  readonly probes: readonly HttpProbe[];
}

export interface ExternalWorkload {
  readonly meta: Meta;
  readonly ips: readonly string[];
  /** What the workload's certificate names: a SPIFFE ID, or a DNS-like name. */
  readonly identity: string;
  /** The SNI to present. */
  readonly serverName: string;
  readonly ports: readonly ContainerPort[];
  readonly isReady: boolean;
}

export interface Node {
  readonly meta: Meta;
  /** `topology.kubernetes.io/zone`. */
  readonly zone: string | undefined;
  /** Addresses that the node itself speaks to its pods from: its own, and the gateways of its pods' networks. */
  readonly addresses: readonly string[];
}

export interface Namespace {
  readonly meta: Meta;
}

export interface ServiceAccount {
  readonly meta: Meta;
}

/** Whether the pod carries a proxy of ours. */
export function isMeshed(pod: Pod, controlPlaneNamespace: string): boolean {
  return pod.meta.labels[CONTROL_PLANE_NS_LABEL] === controlPlaneNamespace;
}
