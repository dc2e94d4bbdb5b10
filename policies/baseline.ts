/** Baselines for namespaces of a mesh: what an operator applies first and then opens by policy. Pure. */

/** Nothing enters a meshed pod of the namespace that no policy lets in. */
export function defaultDeny(namespace: string): readonly unknown[] {
  return [
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name: namespace,
        annotations: { "linkerd.io/inject": "enabled", "config.linkerd.io/default-inbound-policy": "deny" },
      },
    },
  ];
}

/** Everything that enters a meshed pod of the namespace has proven who it is, by mutual TLS. */
export function requireMutualTls(namespace: string): readonly unknown[] {
  return [
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name: namespace,
        annotations: {
          "linkerd.io/inject": "enabled",
          "config.linkerd.io/default-inbound-policy": "all-authenticated",
        },
      },
    },
    {
      apiVersion: "policy.linkerd.io/v1alpha1",
      kind: "MeshTLSAuthentication",
      metadata: { name: "anybody-in-the-mesh", namespace },
      spec: { identities: ["*"] },
    },
    {
      apiVersion: "policy.linkerd.io/v1alpha1",
      kind: "AuthorizationPolicy",
      metadata: { name: "mutual-tls", namespace },
      spec: {
        targetRef: { group: "core", kind: "Namespace", name: namespace },
        requiredAuthenticationRefs: [
          { group: "policy.linkerd.io", kind: "MeshTLSAuthentication", name: "anybody-in-the-mesh" },
        ],
      },
    },
  ];
}
