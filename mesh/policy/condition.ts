/** What is said of objects: conditions as a cluster would write them, and warnings. */
import type { NamespacedName } from "../model/meta.ts";

/** As in `metav1.Condition`, without what only an API server knows. */
export interface Condition {
  readonly type: "Accepted" | "ResolvedRefs";
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

export const ACCEPTED: Condition = { type: "Accepted", status: "True", reason: "Accepted", message: "" };
export const RESOLVED: Condition = {
  type: "ResolvedRefs",
  status: "True",
  reason: "ResolvedRefs",
  message: "",
};

/** Not accepted, and why. */
export function refused(reason: string, message: string): Condition {
  return { type: "Accepted", status: "False", reason, message };
}

/** What an object attaches to. */
export interface StatusParent extends NamespacedName {
  readonly group: string;
  readonly kind: string;
  readonly port?: number;
  readonly sectionName?: string;
}

/** The state of one object, or of one attachment of a route. */
export interface ObjectStatus {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** What it attaches to: the parent of a route, the target of a policy. Absent for what stands alone. */
  readonly parent?: StatusParent;
  readonly conditions: readonly Condition[];
}

/** Something that is accepted and yet not as its author may think. */
export interface Warning {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly message: string;
}
