/** The validating webhooks as an API server is told of them: data for whoever writes their manifests. */

/** Kinds of one API group, by plural name, in every version that is served. */
interface Rule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly resources: readonly string[];
  readonly operations: readonly ("CREATE" | "UPDATE")[];
  readonly scope: "Namespaced";
}

/** One ValidatingWebhookConfiguration with one webhook. */
export interface WebhookRegistration {
  /** Of the configuration. */
  readonly configuration: string;
  /** Of the webhook in it. */
  readonly webhook: string;
  /** In the control plane's namespace, port 443. */
  readonly service: string;
  readonly path: string;
  /** Where the controller listens. */
  readonly listenPort: number;
  readonly rules: readonly Rule[];
  /** Namespaces that opted out, and those without which no cluster starts, are left alone. */
  readonly namespaceSelector: {
    readonly matchExpressions: readonly {
      readonly key: string;
      readonly operator: "NotIn";
      readonly values: readonly string[];
    }[];
  };
  /**
   * Without high availability: what is not judged here is judged by the resolvers all the same, which say so in the
   * object's status. With it, `Fail`.
   */
  readonly failurePolicy: "Ignore";
  readonly highAvailabilityFailurePolicy: "Fail";
  readonly sideEffects: "None";
  readonly matchPolicy: "Equivalent";
  readonly timeoutSeconds: number;
}

const OPERATIONS = ["CREATE", "UPDATE"] as const;

function rule(group: string, apiVersions: readonly string[], resources: readonly string[]): Rule {
  return { apiGroups: [group], apiVersions, resources, operations: OPERATIONS, scope: "Namespaced" };
}

const COMMON = {
  namespaceSelector: {
    matchExpressions: [
      { key: "config.linkerd.io/admission-webhooks", operator: "NotIn", values: ["disabled"] },
      { key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["kube-system", "cert-manager"] },
    ],
  },
  failurePolicy: "Ignore",
  highAvailabilityFailurePolicy: "Fail",
  sideEffects: "None",
  matchPolicy: "Equivalent",
  timeoutSeconds: 10,
} as const;

export const POLICY_VALIDATOR: WebhookRegistration = {
  configuration: "linkerd-policy-validator-webhook-config",
  webhook: "linkerd-policy-validator.linkerd.io",
  service: "linkerd-policy-validator",
  path: "/",
  listenPort: 9443,
  rules: [
    rule("policy.linkerd.io", ["v1alpha1", "v1beta1", "v1beta2", "v1beta3"], ["servers", "httproutes"]),
    rule("policy.linkerd.io", ["v1alpha1", "v1beta1"], ["serverauthorizations"]),
    rule(
      "policy.linkerd.io",
      ["v1alpha1"],
      [
        "authorizationpolicies",
        "egressnetworks",
        "httplocalratelimitpolicies",
        "meshtlsauthentications",
        "networkauthentications",
      ],
    ),
    rule(
      "policy.hauberk.io",
      ["v1alpha1"],
      [
        "externalauthorizations",
        "headerauthentications",
        "httpfaultinjections",
        "httpratelimitpolicies",
        "jwtauthentications",
      ],
    ),
    rule("gateway.networking.k8s.io", ["v1alpha2", "v1beta1", "v1"], ["httproutes", "grpcroutes"]),
    rule("gateway.networking.k8s.io", ["v1alpha2", "v1alpha3", "v1"], ["tlsroutes", "tcproutes"]),
    rule("workload.linkerd.io", ["v1alpha1", "v1beta1"], ["externalworkloads"]),
  ],
  ...COMMON,
};

export const PROFILE_VALIDATOR: WebhookRegistration = {
  configuration: "linkerd-sp-validator-webhook-config",
  webhook: "linkerd-sp-validator.linkerd.io",
  service: "linkerd-sp-validator",
  path: "/",
  listenPort: 8443,
  rules: [rule("linkerd.io", ["v1alpha1", "v1alpha2"], ["serviceprofiles"])],
  ...COMMON,
};
