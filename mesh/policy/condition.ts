/** What is said of objects: conditions as a cluster would write them, and warnings. */
import type { NamespacedName } from "../model/meta.ts";

/** As in `metav1.Condition`, without what only an API server knows. */
export interface Condition {
  readonly type: "Accepted" | "ResolvedRefs";
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

/** The state of one object, or of one attachment of a route. */
export interface ObjectStatus {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** What it attaches to: the parent of a route, the target of a policy. */
  readonly parent: { readonly group: string; readonly kind: string; readonly port?: number } & NamespacedName;
  readonly conditions: readonly Condition[];
}

/** Something that is accepted and yet not as its author may think. */
export interface Warning {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly message: string;
}
