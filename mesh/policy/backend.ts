/** Where a rule's requests go, and what of it cannot be resolved. Pure. */
import { create } from "@bufbuild/protobuf";
import { BackendSchema, type Backend } from "../api/gen/outbound_pb.ts";
import type { WeightedAddr } from "../api/gen/destination_pb.ts";
import { resourceRef, wireDuration, type ResourceName } from "../api/wire.ts";
import { keyOf, type NamespacedName } from "../model/meta.ts";
import type { BackendRef } from "../model/route.ts";
import { profileFor } from "../state/derive.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { hashing } from "./affinity.ts";
import { penaltyLoad, treated, treatmentOf } from "./resilience.ts";

/** Requests that may wait for an endpoint before more are refused. */
const QUEUE_CAPACITY = 100;
/** How long a backend may have no ready endpoint before its requests are failed. */
const FAILFAST_MS = 3_000;
/** The latency an endpoint is taken to have before its first answer, and how fast the estimate forgets. */
const EWMA_DEFAULT_RTT_MS = 30;
const EWMA_DECAY_MS = 10_000;

const QUEUE = { capacity: QUEUE_CAPACITY, failfastTimeout: wireDuration(FAILFAST_MS) };

const MEASURE = { defaultRttMs: EWMA_DEFAULT_RTT_MS, decayMs: EWMA_DECAY_MS };

const PEAK_EWMA = {
  case: "peakEwma",
  value: { defaultRtt: wireDuration(EWMA_DEFAULT_RTT_MS), decay: wireDuration(EWMA_DECAY_MS) },
} as const;

/** A port of a service. */
export interface ServicePortName extends NamespacedName {
  readonly port: number;
}

/** In whose light a service's backend is made. */
export interface BackendContext {
  readonly snapshot: Snapshot;
  readonly clusterDomain: string;
  /** The client's. */
  readonly namespace: string;
}

/** Balances over the endpoints of a service's port, as the service's annotations and profile say. */
export function serviceBackend(name: ServicePortName, { snapshot, ...context }: BackendContext): Backend {
  const service = snapshot.Service.get(keyOf(name));
  if (service === undefined) return plainBackend(name, context.clusterDomain, PEAK_EWMA);
  const treatment = treatmentOf(service, profileFor(snapshot, service.meta, context));
  const load = treatment.penalty === undefined ? PEAK_EWMA : penaltyLoad(treatment.penalty, MEASURE);
  const backend = treated(plainBackend(name, context.clusterDomain, load), treatment);
  return hashing(backend, service.meta);
}

function plainBackend(
  service: ServicePortName,
  clusterDomain: string,
  load: typeof PEAK_EWMA | ReturnType<typeof penaltyLoad>,
): Backend {
  const { namespace, name, port } = service;
  const path = `${name}.${namespace}.svc.${clusterDomain}:${port}`;
  return create(BackendSchema, {
    metadata: resourceRef({ group: "core", kind: "Service", namespace, name, port }),
    queue: QUEUE,
    kind: {
      case: "balancer",
      value: { discovery: { kind: { case: "dst", value: { path } } }, load },
    },
  });
}

/** Forwards to one address. */
export function forwardBackend(addr: WeightedAddr, resource: Backend["metadata"]): Backend {
  return create(BackendSchema, {
    ...(resource === undefined ? {} : { metadata: resource }),
    queue: QUEUE,
    kind: { case: "forward", value: addr },
  });
}

/** Why a backendRef leads nowhere, in the Gateway API's words (RouteConditionReason). */
export type BackendProblem =
  | { readonly reason: "InvalidKind"; readonly message: string }
  | { readonly reason: "BackendNotFound"; readonly message: string }
  | { readonly reason: "UnsupportedValue"; readonly message: string };

export type ResolvedBackend =
  | { readonly ok: true; readonly service: ServicePortName }
  | { readonly ok: false; readonly problem: BackendProblem; readonly resource: ResourceName };

/** The service port that a backendRef names. */
export function resolveBackend(
  reference: Omit<BackendRef<unknown>, "filters" | "weight">,
  snapshot: Snapshot,
): ResolvedBackend {
  const { group, kind, namespace, name, port } = reference;
  const resource: ResourceName = {
    group: group === "" ? "core" : group,
    kind,
    namespace,
    name,
    ...(port === undefined ? {} : { port }),
  };
  const refuse = (reason: BackendProblem["reason"], message: string): ResolvedBackend => ({
    ok: false,
    problem: { reason, message },
    resource,
  });
  if (group !== "" || kind !== "Service")
    return refuse("InvalidKind", `${kind} ${namespace}/${name} cannot be a backend`);
  if (port === undefined)
    return refuse("UnsupportedValue", `Service ${namespace}/${name} is named without a port`);
  const service = snapshot.Service.get(keyOf({ namespace, name }));
  if (service === undefined) return refuse("BackendNotFound", `Service ${namespace}/${name} not found`);
  if (!service.ports.some((candidate) => candidate.port === port && candidate.protocol === "TCP")) {
    return refuse("BackendNotFound", `Service ${namespace}/${name} has no port ${port}`);
  }
  return { ok: true, service: { namespace, name, port } };
}

/**
 * The backend that stands for one which cannot be resolved: there for its name, while a filter fails the requests.
 * It has the shape of the others, because a proxy refuses a policy whole for a backend without a kind.
 */
export function unresolvedBackend(resource: ResourceName, clusterDomain: string): Backend {
  const { namespace, name, port = 1 } = resource;
  const backend = plainBackend({ namespace, name, port }, clusterDomain, PEAK_EWMA);
  return create(BackendSchema, { ...backend, metadata: resourceRef(resource) });
}
