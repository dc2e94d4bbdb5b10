/** Resources of an API server: what they are called, and where they are. Pure. */

/** A type of resource in one served version. */
export interface ResourceType {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** Lower-case plural, as in paths and RBAC rules. */
  readonly plural: string;
}

/** A collection, or a part of one. */
export interface CollectionRef {
  readonly type: ResourceType;
  /** Absent: all namespaces, or a cluster-scoped type. */
  readonly namespace?: string | undefined;
}

/** One object, or a subresource of it. */
export interface ObjectRef extends CollectionRef {
  readonly name: string;
  /** As in `status`, `scale`, `log`. */
  readonly subresource?: string | undefined;
}

/** The types that are always there, and the mesh's own. For others, and for versions, ask `discover`. */
export const RESOURCES = {
  configMaps: { group: "", version: "v1", plural: "configmaps" },
  endpointSlices: { group: "discovery.k8s.io", version: "v1", plural: "endpointslices" },
  events: { group: "", version: "v1", plural: "events" },
  namespaces: { group: "", version: "v1", plural: "namespaces" },
  nodes: { group: "", version: "v1", plural: "nodes" },
  pods: { group: "", version: "v1", plural: "pods" },
  replicationControllers: { group: "", version: "v1", plural: "replicationcontrollers" },
  secrets: { group: "", version: "v1", plural: "secrets" },
  serviceAccounts: { group: "", version: "v1", plural: "serviceaccounts" },
  services: { group: "", version: "v1", plural: "services" },
  daemonSets: { group: "apps", version: "v1", plural: "daemonsets" },
  deployments: { group: "apps", version: "v1", plural: "deployments" },
  replicaSets: { group: "apps", version: "v1", plural: "replicasets" },
  statefulSets: { group: "apps", version: "v1", plural: "statefulsets" },
  cronJobs: { group: "batch", version: "v1", plural: "cronjobs" },
  jobs: { group: "batch", version: "v1", plural: "jobs" },
  leases: { group: "coordination.k8s.io", version: "v1", plural: "leases" },
  clusterRoles: { group: "rbac.authorization.k8s.io", version: "v1", plural: "clusterroles" },
  clusterRoleBindings: { group: "rbac.authorization.k8s.io", version: "v1", plural: "clusterrolebindings" },
  roles: { group: "rbac.authorization.k8s.io", version: "v1", plural: "roles" },
  roleBindings: { group: "rbac.authorization.k8s.io", version: "v1", plural: "rolebindings" },
  mutatingWebhooks: {
    group: "admissionregistration.k8s.io",
    version: "v1",
    plural: "mutatingwebhookconfigurations",
  },
  validatingWebhooks: {
    group: "admissionregistration.k8s.io",
    version: "v1",
    plural: "validatingwebhookconfigurations",
  },
  customResourceDefinitions: {
    group: "apiextensions.k8s.io",
    version: "v1",
    plural: "customresourcedefinitions",
  },
  tokenReviews: { group: "authentication.k8s.io", version: "v1", plural: "tokenreviews" },
  selfSubjectAccessReviews: {
    group: "authorization.k8s.io",
    version: "v1",
    plural: "selfsubjectaccessreviews",
  },
  subjectAccessReviews: { group: "authorization.k8s.io", version: "v1", plural: "subjectaccessreviews" },
} as const satisfies Readonly<Record<string, ResourceType>>;

/** `group/version`, or the bare version of the core group. */
export function apiVersionOf({ group, version }: ResourceType): string {
  return group === "" ? version : `${group}/${version}`;
}

/** Where a collection is. */
export function collectionPath({ type, namespace }: CollectionRef): string {
  const root = type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const scope = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${scope}/${type.plural}`;
}

/** Where an object is. */
export function objectPath(ref: ObjectRef): string {
  const subresource = ref.subresource === undefined ? "" : `/${ref.subresource}`;
  return `${collectionPath(ref)}/${encodeURIComponent(ref.name)}${subresource}`;
}

/** As a message names it: `pods shop/web`. */
export function describeRef({
  type,
  namespace,
  ...rest
}: CollectionRef & { readonly name?: string }): string {
  const kind = type.group === "" ? type.plural : `${type.plural}.${type.group}`;
  const name = [namespace, rest.name].filter((part) => part !== undefined).join("/");
  return name === "" ? kind : `${kind} ${name}`;
}
