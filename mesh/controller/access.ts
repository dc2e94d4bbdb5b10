/**
 * What each role may ask of the API server. The roles' clients are held to it at run time, and the ClusterRoles and
 * Roles that are installed are written from it: nothing is granted that is not used, nothing used that is not granted.
 *
 * Subresources are written as RBAC does (`httproutes/status`). Discovery (`/api`, `/apis`) is granted to every account
 * by Kubernetes itself and is not listed.
 */
import { APPROVED_PROXIES } from "../identity/approved.ts";
import {
  ISSUER_SECRET,
  TRUST_LEASE,
  TRUST_RECORD,
  TRUST_REPORTS,
  TRUST_REQUEST,
  TRUST_ROOTS,
} from "../identity/trust-objects.ts";
import { ofRevision } from "../model/revision.ts";
import type { Access, Verb } from "../source/kube/client.ts";
import { KUBE_REASON, KubeError } from "../source/kube/error.ts";

/** A part of the control plane with a service account of its own. */
export const ROLE_NAMES = ["destination", "identity", "proxy-injector"] as const;
export type RoleName = (typeof ROLE_NAMES)[number];

/** Some verbs on some resources. */
export interface Permission {
  /** Empty for the core group. */
  readonly group: string;
  readonly resources: readonly string[];
  readonly verbs: readonly Verb[];
  /** `cluster`: everywhere. `namespace`: in the control plane's own namespace. */
  readonly scope: "cluster" | "namespace";
  /** Only objects of these names. Absent: all. RBAC cannot hold `create`, `list` and `watch` to names. */
  readonly names?: readonly string[];
}

const READ: readonly Verb[] = ["list", "watch"];

/** Conditions are written into the status of an object that is read for it. */
function withStatus(group: string, resources: readonly string[]): readonly Permission[] {
  return [
    { group, resources, verbs: ["get"], scope: "cluster" },
    {
      group,
      resources: resources.map((resource) => `${resource}/status`),
      verbs: ["patch"],
      scope: "cluster",
    },
  ];
}

/** The certificate of a webhook: its Secret, and where its authority is written. */
function webhookCertificates(
  services: readonly string[],
  configurations: { readonly resource: string; readonly names: readonly string[] },
): readonly Permission[] {
  const names = services.map((service) => `${service}-k8s-tls`);
  return [
    { group: "", resources: ["secrets"], verbs: ["create"], scope: "namespace" },
    { group: "", resources: ["secrets"], verbs: ["get", "update"], scope: "namespace", names },
    {
      group: "admissionregistration.k8s.io",
      resources: [configurations.resource],
      verbs: ["get", "patch"],
      scope: "cluster",
      names: configurations.names,
    },
  ];
}

/** Leases of the parts that write: one replica at a time. */
export const LEASES = {
  /** Of conditions in the status of routes and policies. */
  status: "policy-controller-write",
  /** Of EndpointSlices of external workloads. */
  slices: "linkerd-destination-endpoint-write",
} as const;

const DESTINATION: readonly Permission[] = [
  { group: "", resources: ["namespaces", "nodes", "pods", "services"], verbs: READ, scope: "cluster" },
  // Of external workloads only: all others are Kubernetes' own controller's.
  {
    group: "discovery.k8s.io",
    resources: ["endpointslices"],
    verbs: [...READ, "create", "patch", "delete"],
    scope: "cluster",
  },
  {
    group: "gateway.networking.k8s.io",
    resources: ["grpcroutes", "httproutes", "tcproutes", "tlsroutes"],
    verbs: READ,
    scope: "cluster",
  },
  {
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
    scope: "cluster",
  },
  {
    group: "policy.hauberk.io",
    resources: [
      "externalauthorizations",
      "headerauthentications",
      "httpfaultinjections",
      "httpratelimitpolicies",
      "jwtauthentications",
    ],
    verbs: READ,
    scope: "cluster",
  },
  { group: "linkerd.io", resources: ["serviceprofiles"], verbs: READ, scope: "cluster" },
  { group: "workload.linkerd.io", resources: ["externalworkloads"], verbs: READ, scope: "cluster" },
  ...withStatus("gateway.networking.k8s.io", ["grpcroutes", "httproutes", "tcproutes", "tlsroutes"]),
  ...withStatus("policy.linkerd.io", [
    "authorizationpolicies",
    "egressnetworks",
    "httplocalratelimitpolicies",
    "httproutes",
  ]),
  ...withStatus("policy.hauberk.io", [
    "externalauthorizations",
    "httpfaultinjections",
    "httpratelimitpolicies",
  ]),
  { group: "coordination.k8s.io", resources: ["leases"], verbs: ["create"], scope: "namespace" },
  {
    group: "coordination.k8s.io",
    resources: ["leases"],
    verbs: ["get", "update"],
    scope: "namespace",
    names: Object.values(LEASES),
  },
  // The bundle that is pushed to proxies, and what they prove of it.
  {
    group: "",
    resources: ["configmaps"],
    verbs: READ,
    scope: "namespace",
    names: [TRUST_ROOTS.name, TRUST_RECORD.name],
  },
  { group: "", resources: ["configmaps"], verbs: ["create"], scope: "namespace" },
  {
    group: "",
    resources: ["configmaps"],
    verbs: ["get", "patch"],
    scope: "namespace",
    names: [TRUST_REPORTS],
  },
  ...webhookCertificates(["linkerd-policy-validator", "linkerd-sp-validator"], {
    resource: "validatingwebhookconfigurations",
    names: ["linkerd-policy-validator-webhook-config", "linkerd-sp-validator-webhook-config"],
  }),
];

const IDENTITY: readonly Permission[] = [
  { group: "authentication.k8s.io", resources: ["tokenreviews"], verbs: ["create"], scope: "cluster" },
  // One for each token; the heads of all that have a proxy, while a root is replaced.
  { group: "", resources: ["pods"], verbs: ["get", "list"], scope: "cluster" },
  {
    group: "",
    resources: ["secrets"],
    verbs: ["get", "list", "watch", "patch"],
    scope: "namespace",
    names: [ISSUER_SECRET],
  },
  { group: "", resources: ["secrets"], verbs: ["create"], scope: "namespace" },
  {
    group: "",
    resources: ["secrets"],
    verbs: ["get", "delete"],
    scope: "namespace",
    names: [TRUST_REQUEST.name],
  },
  {
    group: "",
    resources: ["configmaps"],
    verbs: ["get", "list", "watch", "patch"],
    scope: "namespace",
    names: [TRUST_ROOTS.name],
  },
  { group: "", resources: ["configmaps"], verbs: READ, scope: "namespace", names: [APPROVED_PROXIES.name] },
  { group: "", resources: ["configmaps"], verbs: ["create"], scope: "namespace" },
  {
    group: "",
    resources: ["configmaps"],
    verbs: ["get", "patch"],
    scope: "namespace",
    names: [TRUST_RECORD.name],
  },
  { group: "", resources: ["configmaps"], verbs: ["get"], scope: "namespace", names: [TRUST_REPORTS] },
  { group: "", resources: ["events"], verbs: ["create"], scope: "namespace" },
  { group: "coordination.k8s.io", resources: ["leases"], verbs: ["create"], scope: "namespace" },
  {
    group: "coordination.k8s.io",
    resources: ["leases"],
    verbs: ["get", "update"],
    scope: "namespace",
    names: [TRUST_LEASE],
  },
];

const PROXY_INJECTOR: readonly Permission[] = [
  {
    group: "",
    resources: ["configmaps"],
    verbs: ["get"],
    scope: "namespace",
    names: ["linkerd-config", "linkerd-identity-trust-roots"],
  },
  { group: "", resources: ["namespaces"], verbs: ["get"], scope: "cluster" },
  { group: "apps", resources: ["replicasets"], verbs: ["get"], scope: "cluster" },
  { group: "batch", resources: ["jobs"], verbs: ["get"], scope: "cluster" },
  ...webhookCertificates(["linkerd-proxy-injector"], {
    resource: "mutatingwebhookconfigurations",
    names: ["linkerd-proxy-injector-webhook-config"],
  }),
];

/** The whole table. */
export const ACCESS: Readonly<Record<RoleName, readonly Permission[]>> = {
  destination: DESTINATION,
  identity: IDENTITY,
  "proxy-injector": PROXY_INJECTOR,
};

/** Whose client is guarded. */
interface Guarded {
  /** The control plane's. */
  readonly namespace: string;
  readonly revision: string | undefined;
}

function allows(permission: Permission, access: Access, of: Guarded): boolean {
  const { group, resources, verbs, scope } = permission;
  const names = permission.names?.map((name) => ofRevision(name, of.revision));
  return (
    group === access.group &&
    resources.includes(access.resource) &&
    verbs.includes(access.verb) &&
    (scope === "cluster" || access.namespace === of.namespace) &&
    (names === undefined || access.name === undefined || names.includes(access.name))
  );
}

/** A client's guard: refuses what the table does not grant to `role`, before the API server would. */
export function guardOf(role: RoleName, ownNamespace: string, revision?: string): (access: Access) => void {
  const of: Guarded = { namespace: ownNamespace, revision };
  return (access) => {
    if (ACCESS[role].some((permission) => allows(permission, access, of))) return;
    const { verb, group, resource, namespace, name } = access;
    const what = group === "" ? resource : `${resource}.${group}`;
    const where = [namespace, name].filter((part) => part !== undefined).join("/");
    throw new KubeError(
      { status: 0, reason: KUBE_REASON.outsideAccess },
      `the role ${role} may not ${verb} ${what} ${where}`.trimEnd(),
    );
  };
}
