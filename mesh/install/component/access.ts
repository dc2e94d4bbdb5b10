/** What each component may do in a cluster: the kinds and verbs that it uses, and nothing else. */
import type { Template } from "../chart.ts";
import { NAMESPACE, type TemplateMap } from "../template/node.ts";
import { clusterName, inNamespace, nameOf, ofCluster, type Component } from "./meta.ts";

type Verb = "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";

/** One line of the table. */
export interface Access {
  readonly component: Component;
  /** Everywhere, or only in the control plane's namespace. */
  readonly scope: "cluster" | "namespace";
  readonly group: string;
  readonly resources: readonly string[];
  readonly verbs: readonly Verb[];
  /** Only objects of these names. */
  readonly names?: readonly string[];
}

const READ = ["get", "list", "watch"] as const;
const KEEP = ["get", "update", "patch"] as const;

const WEBHOOKS: readonly Access[] = (
  [
    ["destination", "validatingwebhookconfigurations", "linkerd-policy-validator", "policy-validator"],
    ["destination", "validatingwebhookconfigurations", "linkerd-sp-validator", "sp-validator"],
    ["proxy-injector", "mutatingwebhookconfigurations", "linkerd-proxy-injector", "proxy-injector"],
  ] as const
).flatMap(([component, resource, service]) => [
  {
    component,
    scope: "cluster",
    group: "admissionregistration.k8s.io",
    resources: [resource],
    verbs: ["get", "patch"],
    names: [`${service}-webhook-config`],
  },
  {
    component,
    scope: "namespace",
    group: "",
    resources: ["secrets"],
    verbs: KEEP,
    names: [`${service}-k8s-tls`],
  },
]);

export const ACCESS: readonly Access[] = [
  {
    component: "destination",
    scope: "cluster",
    group: "",
    resources: ["pods", "services", "namespaces", "nodes", "serviceaccounts"],
    verbs: READ,
  },
  {
    component: "destination",
    scope: "cluster",
    group: "discovery.k8s.io",
    resources: ["endpointslices"],
    verbs: [...READ, "create", "update", "patch", "delete"],
  },
  {
    component: "destination",
    scope: "cluster",
    group: "policy.linkerd.io",
    resources: [
      "authorizationpolicies",
      "egressnetworks",
      "httplocalratelimitpolicies",
      "httproutes",
      "meshtlsauthentications",
      "networkauthentications",
      "serverauthorizations",
      "servers",
    ],
    verbs: READ,
  },
  {
    component: "destination",
    scope: "cluster",
    group: "policy.linkerd.io",
    resources: [
      "authorizationpolicies/status",
      "egressnetworks/status",
      "httplocalratelimitpolicies/status",
      "httproutes/status",
    ],
    verbs: ["patch"],
  },
  {
    component: "destination",
    scope: "cluster",
    group: "policy.hauberk.io",
    resources: [
      "externalauthorizations",
      "headerauthentications",
      "httpfaultinjections",
      "httpratelimitpolicies",
      "jwtauthentications",
    ],
    verbs: READ,
  },
  {
    component: "destination",
    scope: "cluster",
    group: "policy.hauberk.io",
    resources: [
      "externalauthorizations/status",
      "headerauthentications/status",
      "httpfaultinjections/status",
      "httpratelimitpolicies/status",
      "jwtauthentications/status",
    ],
    verbs: ["patch"],
  },
  {
    component: "destination",
    scope: "cluster",
    group: "gateway.networking.k8s.io",
    resources: ["httproutes", "grpcroutes", "tlsroutes", "tcproutes"],
    verbs: READ,
  },
  {
    component: "destination",
    scope: "cluster",
    group: "gateway.networking.k8s.io",
    resources: ["httproutes/status", "grpcroutes/status", "tlsroutes/status", "tcproutes/status"],
    verbs: ["patch"],
  },
  {
    component: "destination",
    scope: "cluster",
    group: "linkerd.io",
    resources: ["serviceprofiles"],
    verbs: READ,
  },
  {
    component: "destination",
    scope: "cluster",
    group: "workload.linkerd.io",
    resources: ["externalworkloads"],
    verbs: READ,
  },
  {
    component: "destination",
    scope: "namespace",
    group: "coordination.k8s.io",
    resources: ["leases"],
    verbs: ["get", "create", "update", "patch"],
  },
  { component: "destination", scope: "namespace", group: "", resources: ["secrets"], verbs: ["create"] },
  {
    component: "identity",
    scope: "cluster",
    group: "authentication.k8s.io",
    resources: ["tokenreviews"],
    verbs: ["create"],
  },
  { component: "identity", scope: "cluster", group: "", resources: ["pods"], verbs: ["get"] },
  {
    component: "identity",
    scope: "cluster",
    group: "",
    resources: ["events"],
    verbs: ["create", "patch"],
  },
  {
    component: "identity",
    scope: "namespace",
    group: "",
    resources: ["secrets"],
    verbs: [...READ, "patch"],
    names: ["linkerd-identity-issuer"],
  },
  {
    component: "identity",
    scope: "namespace",
    group: "",
    resources: ["configmaps"],
    verbs: [...READ, "patch"],
    names: ["linkerd-identity-trust-roots"],
  },
  {
    component: "identity",
    scope: "namespace",
    group: "coordination.k8s.io",
    resources: ["leases"],
    verbs: ["get", "create", "update", "patch"],
  },
  {
    component: "proxy-injector",
    scope: "cluster",
    group: "",
    resources: ["namespaces"],
    verbs: READ,
  },
  {
    component: "proxy-injector",
    scope: "cluster",
    group: "apps",
    resources: ["replicasets"],
    verbs: ["get"],
  },
  { component: "proxy-injector", scope: "cluster", group: "batch", resources: ["jobs"], verbs: ["get"] },
  {
    component: "proxy-injector",
    scope: "cluster",
    group: "",
    resources: ["events"],
    verbs: ["create", "patch"],
  },
  { component: "proxy-injector", scope: "namespace", group: "", resources: ["secrets"], verbs: ["create"] },
  {
    component: "proxy-injector",
    scope: "namespace",
    group: "",
    resources: ["configmaps"],
    verbs: READ,
    names: ["linkerd-config", "linkerd-identity-trust-roots"],
  },
  ...WEBHOOKS,
];

function rulesOf(component: Component, scope: Access["scope"]): readonly TemplateMap[] {
  return ACCESS.filter((one) => one.component === component && one.scope === scope).map(
    ({ group, resources, names, verbs }) => ({
      apiGroups: [group],
      resources,
      ...(names === undefined ? {} : { resourceNames: names }),
      verbs,
    }),
  );
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
