/** Faults that policies of the mesh inject into the requests of a service's or route's clients. Pure. */
import { create } from "@bufbuild/protobuf";
import { ExtendedFilterSchema, type ExtendedFilter } from "../api/gen/hauberk/proxy/v1/filters_pb.ts";
import { workloadIdentity } from "../model/identity.ts";
import { byAge, type Meta } from "../model/meta.ts";
import type { FaultInjection } from "../model/policy.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { wireHeader } from "./match.ts";

/** An object that a fault may be for. */
export interface FaultTarget {
  readonly group: string;
  readonly kind: FaultInjection["target"]["kind"];
  readonly meta: Pick<Meta, "namespace" | "name">;
}

function isFor({ meta, target }: FaultInjection, { group, kind, meta: of }: FaultTarget): boolean {
  return (
    meta.namespace === of.namespace &&
    target.name === of.name &&
    target.kind === kind &&
    target.group === group
  );
}

function wireFault(fault: FaultInjection, settings: MeshSettings): ExtendedFilter {
  const identities = fault.accounts.flatMap((account) => {
    const identity = workloadIdentity(account, settings);
    return identity === undefined ? [] : [identity.dnsName];
  });
  const value = {
    policyNamespace: fault.meta.namespace,
    policyName: fault.meta.name,
    sharePpm: fault.sharePpm,
    delayMs: fault.delayMs ?? 0,
    ...(fault.abort === undefined ? {} : { abort: fault.abort }),
    startMs: BigInt(fault.startMs),
    endMs: BigInt(fault.endMs),
    headers: fault.headers.map(wireHeader),
    identities,
  };
  return create(ExtendedFilterSchema, { kind: { case: "fault", value } });
}

/** The faults for any of `targets`, the eldest first: of several that strike a request, the first is carried out. */
export function faultsFor(
  targets: readonly FaultTarget[],
  snapshot: Snapshot,
  settings: MeshSettings,
): readonly ExtendedFilter[] {
  if (snapshot.HTTPFaultInjection.size === 0) return [];
  return (
    [...snapshot.HTTPFaultInjection.values()]
      .filter((fault) => targets.some((target) => isFor(fault, target)))
      // A fault for accounts of which none can be named would otherwise be one for everybody.
      .filter(
        ({ accounts }) =>
          accounts.length === 0 ||
          accounts.some((account) => workloadIdentity(account, settings) !== undefined),
      )
      .toSorted(byAge)
      .map((fault) => wireFault(fault, settings))
  );
}
