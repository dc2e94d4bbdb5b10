/** What a directory of manifests holds, before anybody asks what the objects mean. */

/** The parts of `metadata` that are used. */
interface ObjectMeta {
  readonly name: string;
  /** Objects without one are in `default`, as with kubectl. Cluster-scoped objects carry it too; it is ignored there. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly uid: string | undefined;
  /** RFC 3339, as written. */
  readonly creationTimestamp: string | undefined;
  readonly deletionTimestamp: string | undefined;
  readonly generation: number | undefined;
  readonly ownerReferences: readonly OwnerReference[];
}

interface OwnerReference {
  readonly kind: string;
  readonly name: string;
  readonly controller: boolean;
}

/** One Kubernetes object whose head is checked and whose body is not. */
export interface ManifestObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  /** Every other top-level field (`spec`, `status`, `data`, ...), as parsed. */
  readonly rest: Readonly<Record<string, unknown>>;
}

/** One object and where it was written. */
export interface ManifestDocument {
  readonly file: string;
  /** Which document of the file, from 0; the items of a `List` share their document's. */
  readonly index: number;
  /** Line of the document's first field, from 1. */
  readonly line: number;
  readonly object: ManifestObject;
  /** Line of the deepest written field on `path`; for messages. */
  readonly lineOf: (path: readonly PropertyKey[]) => number;
}

/** Something wrong with a manifest: where, what, and why. */
export interface Problem {
  /** `error`: the object is not in effect as written. `warning`: it is, but a part of it has no effect. */
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly line: number;
  /** `Kind namespace/name`, or empty when the object could not be told. */
  readonly object: string;
  /** As in `spec.rules[0].backendRefs[1].port`, or empty for the whole object. */
  readonly field: string;
  readonly message: string;
}

/** The API group of an `apiVersion`; the core group is the empty string. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf("/");
  return slash === -1 ? "" : apiVersion.slice(0, slash);
}

/** The version of an `apiVersion`. */
export function versionOf(apiVersion: string): string {
  return apiVersion.slice(apiVersion.indexOf("/") + 1);
}

/** `Kind namespace/name`, as problems and logs write it. */
export function describeObject(object: ManifestObject): string {
  return `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`;
}

/** What makes two documents the same object: group, kind, namespace and name; not the version. */
export function objectKey(object: ManifestObject): string {
  return `${groupOf(object.apiVersion)}/${object.kind}/${object.metadata.namespace}/${object.metadata.name}`;
}

/** A path of keys and indices, as in `spec.rules[0].port`. */
export function fieldPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}
