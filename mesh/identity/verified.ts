/** Who a workload was proven to be. */
import type { WorkloadIdentity } from "../model/identity.ts";

/** The pod (or process group) that a token is bound to. */
export interface BoundPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
}

declare const verified: unique symbol;

/** A workload whose token was verified. Only the verifiers of tokens in this room make one. */
export interface VerifiedWorkload {
  readonly [verified]: true;
  readonly identity: WorkloadIdentity;
  readonly pod: BoundPod;
}

/** Says that a token was verified; for `token.ts` and `token-review.ts` alone. */
export function vouch(workload: Omit<VerifiedWorkload, typeof verified>): VerifiedWorkload {
  const checked = { ...workload };
  stamp(checked);
  return checked;
}

/** The type-level stamp, out of reach of other modules. */
function stamp(workload: Omit<VerifiedWorkload, typeof verified>): asserts workload is VerifiedWorkload {
  if (!Object.isFrozen(Object.freeze(workload))) throw new Error("a verified workload does not change");
}
