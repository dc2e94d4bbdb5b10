/** What each component may do in a cluster: written from the controller's table, which its clients are held to. */
import { ACCESS, type Permission } from "../../controller/access.ts";
import type { Template } from "../chart.ts";
import { NAMESPACE, type TemplateMap } from "../template/node.ts";
import { clusterName, inNamespace, nameOf, ofCluster, type Component } from "./meta.ts";

function rulesOf(component: Component, scope: Permission["scope"]): readonly TemplateMap[] {
  return ACCESS[component]
    .filter((permission) => permission.scope === scope)
    .map(({ group, resources, names, verbs }) => ({
      apiGroups: [group],
      resources,
      ...(names === undefined ? {} : { resourceNames: names }),
      verbs,
    }));
}

/** The roles of a component and their bindings. */
export function access(component: Component): readonly Template[] {
  const name = nameOf(component);
  const subjects = [{ kind: "ServiceAccount", name, namespace: NAMESPACE }];
  const apiGroup = "rbac.authorization.k8s.io";
  const apiVersion = `${apiGroup}/v1`;
  return [
    {
      file: `${component}-clusterrole`,
      kind: "ClusterRole",
      object: {
        apiVersion,
        kind: "ClusterRole",
        metadata: ofCluster(clusterName(component), component),
        rules: rulesOf(component, "cluster"),
      },
    },
    {
      file: `${component}-clusterrolebinding`,
      kind: "ClusterRoleBinding",
      object: {
        apiVersion,
        kind: "ClusterRoleBinding",
        metadata: ofCluster(clusterName(component), component),
        roleRef: { apiGroup, kind: "ClusterRole", name: clusterName(component) },
        subjects,
      },
    },
    {
      file: `${component}-role`,
      kind: "Role",
      object: {
        apiVersion,
        kind: "Role",
        metadata: inNamespace(name, { component }),
        rules: rulesOf(component, "namespace"),
      },
    },
    {
      file: `${component}-rolebinding`,
      kind: "RoleBinding",
      object: {
        apiVersion,
        kind: "RoleBinding",
        metadata: inNamespace(name, { component }),
        roleRef: { apiGroup, kind: "Role", name },
        subjects,
      },
    },
  ];
}
