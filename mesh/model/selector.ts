/** Label selectors (Kubernetes `LabelSelector`). */

export type Requirement =
  | { readonly operator: "In" | "NotIn"; readonly key: string; readonly values: readonly string[] }
  | { readonly operator: "Exists" | "DoesNotExist"; readonly key: string };

/** All parts must hold; an empty selector selects everything. */
export interface Selector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly Requirement[];
}

export type Labels = Readonly<Record<string, string>>;

/** `NotIn` holds for objects without the label, as in Kubernetes. */
function holds(requirement: Requirement, labels: Labels): boolean {
  const value = labels[requirement.key];
  switch (requirement.operator) {
    case "In":
      return value !== undefined && requirement.values.includes(value);
    case "NotIn":
      return value === undefined || !requirement.values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

export function selects({ matchLabels, matchExpressions }: Selector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every((requirement) => holds(requirement, labels))
  );
}
