/** What every object has. */

/** The head of an object. */
export interface Meta {
  readonly namespace: string;
  readonly name: string;
  /** Empty where nobody gives UIDs out. */
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Milliseconds since 1970, or 0 when unknown; decides which of two conflicting objects is the elder. */
  readonly createdMs: number;
  /** Which writing of the object this is, where an API server counts them; its status names it. */
  readonly generation?: number;
  /** Whether deletion was asked for. */
  readonly isDeleting: boolean;
  /** The controller that owns the object, if one does. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
}

/** A namespaced name. */
export interface NamespacedName {
  readonly namespace: string;
  readonly name: string;
}

/** Key of an object among those of its kind. A namespace holds no slash, so no two names share a key. */
export function keyOf({ namespace, name }: NamespacedName): string {
  return `${namespace}/${name}`;
}

/** Orders objects as the Gateway API resolves conflicts: the elder first, then by namespace and name. */
export function byAge(a: { readonly meta: Meta }, b: { readonly meta: Meta }): number {
  return (
    a.meta.createdMs - b.meta.createdMs ||
    compare(a.meta.namespace, b.meta.namespace) ||
    compare(a.meta.name, b.meta.name)
  );
}

/** By code unit, so that the order does not depend on a locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
