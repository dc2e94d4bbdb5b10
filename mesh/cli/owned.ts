/** What of a cluster belongs to the control plane, by the label that everything of it has. */
import type { KubeClient } from "@hauberk/mesh/source/kube/client.ts";
import { isStatus } from "@hauberk/mesh/source/kube/error.ts";
import { RESOURCES, apiVersionOf, type ResourceType } from "@hauberk/mesh/source/kube/resource.ts";

/** An object by its name alone: enough to delete it. */
export interface Owned {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

interface OwnedKind {
  readonly kind: string;
  readonly type: ResourceType;
}

const ADMISSION = { group: "admissionregistration.k8s.io", version: "v1" };

/** Kinds of the whole cluster, in the order in which they are deleted: nobody asks a webhook that is gone. */
export const CLUSTER_KINDS: readonly OwnedKind[] = [
  { kind: "MutatingWebhookConfiguration", type: RESOURCES.mutatingWebhooks },
  { kind: "ValidatingWebhookConfiguration", type: RESOURCES.validatingWebhooks },
  {
    kind: "ValidatingAdmissionPolicyBinding",
    type: { ...ADMISSION, plural: "validatingadmissionpolicybindings" },
  },
  { kind: "ValidatingAdmissionPolicy", type: { ...ADMISSION, plural: "validatingadmissionpolicies" } },
  { kind: "ClusterRoleBinding", type: RESOURCES.clusterRoleBindings },
  { kind: "ClusterRole", type: RESOURCES.clusterRoles },
];

export const CUSTOM_KINDS: readonly OwnedKind[] = [
  { kind: "CustomResourceDefinition", type: RESOURCES.customResourceDefinitions },
];

/** Kinds in the control plane's namespace. */
export const NAMESPACED_KINDS: readonly OwnedKind[] = [
  { kind: "Deployment", type: RESOURCES.deployments },
  { kind: "DaemonSet", type: RESOURCES.daemonSets },
  { kind: "CronJob", type: RESOURCES.cronJobs },
  {
    kind: "NetworkPolicy",
    type: { group: "networking.k8s.io", version: "v1", plural: "networkpolicies" },
  },
  { kind: "PodDisruptionBudget", type: { group: "policy", version: "v1", plural: "poddisruptionbudgets" } },
  { kind: "Service", type: RESOURCES.services },
  { kind: "ConfigMap", type: RESOURCES.configMaps },
  { kind: "Secret", type: RESOURCES.secrets },
  { kind: "RoleBinding", type: RESOURCES.roleBindings },
  { kind: "Role", type: RESOURCES.roles },
  { kind: "ServiceAccount", type: RESOURCES.serviceAccounts },
  { kind: "PodMonitor", type: { group: "monitoring.coreos.com", version: "v1", plural: "podmonitors" } },
];

/** Objects of these kinds with the control plane's label that an installation made, and not the control plane itself. */
export async function owned(
  client: KubeClient,
  kinds: readonly OwnedKind[],
  {
    controlPlane,
    namespace,
    revision,
  }: {
    readonly controlPlane: string;
    readonly namespace?: string;
    /** A label selector of revisions; absent: of all of them. */
    readonly revision?: string;
  },
): Promise<readonly Owned[]> {
  const labelSelector = [
    `linkerd.io/control-plane-ns=${controlPlane}`,
    ...(revision === undefined ? [] : [revision]),
  ].join(",");
  const found = await Promise.all(
    kinds.map(async ({ kind, type }) => {
      const objects = await listed(client, type, { namespace, labelSelector });
      return objects
        .filter(({ metadata }) => metadata.annotations?.["linkerd.io/created-by"] !== undefined)
        .map(({ metadata }): Owned => ({
          apiVersion: apiVersionOf(type),
          kind,
          metadata: { name: metadata.name, ...(namespace === undefined ? {} : { namespace }) },
        }));
    }),
  );
  return found.flat();
}

/** A kind that the cluster does not have has no objects. */
async function listed(
  client: KubeClient,
  type: ResourceType,
  of: { readonly namespace: string | undefined; readonly labelSelector: string },
) {
  try {
    return await client.list({ type, namespace: of.namespace }, { labelSelector: of.labelSelector });
  } catch (error) {
    if (isStatus(error, 404)) return [];
    throw error;
  }
}

/** As kubectl reads it. JSON is YAML. */
export function ownedStream(objects: readonly Owned[]): string {
  return objects
    .map(({ apiVersion, kind, metadata: { name, namespace } }) =>
      [
        "---",
        `apiVersion: ${apiVersion}`,
        `kind: ${kind}`,
        "metadata:",
        `  name: ${JSON.stringify(name)}`,
        ...(namespace === undefined ? [] : [`  namespace: ${JSON.stringify(namespace)}`]),
      ].join("\n"),
    )
    .join("\n");
}
