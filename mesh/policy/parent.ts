/** What routes attach to on the way out: a service's port, or a network outside of the cluster. Pure. */
import type { Backend, FailureAccrual } from "../api/gen/outbound_pb.ts";
import type { SessionPersistence as WireSession } from "../api/gen/hauberk/proxy/v1/affinity_pb.ts";
import type { ExtendedFilter } from "../api/gen/hauberk/proxy/v1/filters_pb.ts";
import type { Meta } from "../model/meta.ts";
import type { BackendRef, SessionPersistence } from "../model/route.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Split } from "./profile_routes.ts";
import { sessionFor } from "./affinity.ts";
import { effectivePolicy, failureAccrual, type TrafficPolicy } from "./annotations.ts";
import { faultsFor, type FaultTarget } from "./fault.ts";
import { resolveBackend, serviceBackend, unresolvedBackend, type BackendProblem } from "./backend.ts";

/** A backend, and why requests for it must fail if they must. */
interface Resolved {
  readonly backend: Backend;
  readonly problem: BackendProblem | undefined;
}

export interface Parent {
  /** Where requests go that no route sends elsewhere. */
  readonly backend: Backend;
  readonly accrual: FailureAccrual | undefined;
  /** Where a ServiceProfile sends what no route names a backend for, if it does. */
  readonly split: Split | undefined;
  /** Retries and timeouts of a route, or of the parent alone. */
  readonly policyFor: (route: Meta | undefined) => TrafficPolicy;
  /** The faults for requests of a route, or of the parent alone. */
  readonly faultsFor: (route: FaultTarget | undefined) => readonly ExtendedFilter[];
  /** The session of a rule, or of the parent where the rule has none. */
  readonly sessionFor: (own: SessionPersistence | undefined) => WireSession | undefined;
  readonly resolve: (reference: Omit<BackendRef<unknown>, "filters" | "weight">) => Resolved;
}

/** The object whose annotations speak, and the backend it stands for. */
export interface ParentOptions {
  readonly meta: Meta;
  readonly backend: Backend;
  readonly snapshot: Snapshot;
  readonly settings: MeshSettings;
  /** The client's; a ServiceProfile there stands before the service's own. */
  readonly namespace: string;
  /** Set for an EgressNetwork, which routes may name as their backend. */
  readonly egress?: boolean;
}

export function parentOf({
  meta,
  backend,
  snapshot,
  settings,
  namespace,
  egress = false,
}: ParentOptions): Parent {
  const { clusterDomain } = settings;
  const service: readonly FaultTarget[] = egress ? [] : [{ group: "", kind: "Service", meta }];
  return {
    backend,
    accrual: failureAccrual(meta).accrual,
    split: undefined,
    policyFor: (route) => effectivePolicy(route, meta),
    faultsFor: (route) => faultsFor(route === undefined ? service : [...service, route], snapshot, settings),
    sessionFor: (own) => (egress ? undefined : sessionFor(own, meta, settings.sessionSecret)),
    resolve: (reference) => {
      const isItself =
        egress &&
        reference.kind === "EgressNetwork" &&
        reference.namespace === meta.namespace &&
        reference.name === meta.name;
      if (isItself) return { backend, problem: undefined };
      const resolved = resolveBackend(reference, snapshot);
      return resolved.ok
        ? {
            backend: serviceBackend(resolved.service, { snapshot, clusterDomain, namespace }),
            problem: undefined,
          }
        : { backend: unresolvedBackend(resolved.resource, clusterDomain), problem: resolved.problem };
    },
  };
}
