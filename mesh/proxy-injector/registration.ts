/**
 * What the API server must be told so that pods come to the injector, and so that none starts without it. "install" renders
 * these objects; nothing here holds a certificate, the control plane fills in `caBundle` at run time. Pure.
 *
 * Two objects share the work. The **webhook** has the failure policy `Ignore`: when the injector is away, namespaces that
 * have nothing to do with the mesh must go on. The **admission policy** is evaluated by the API server itself, so it holds
 * whether the injector is there or not: a pod that its namespace or its own annotation put into the mesh is refused
 * unless it carries a proxy. So neither an outage, nor a timeout, nor a webhook that somebody deleted starts an unmeshed
 * pod in a namespace that asked for the mesh, and controllers simply try again until the injector is back.
 */

/** The Service that API servers call. */
export const INJECTOR_SERVICE = "linkerd-proxy-injector";
/** The MutatingWebhookConfiguration. */
export const INJECTOR_CONFIGURATION = "linkerd-proxy-injector-webhook-config";
/** The ValidatingAdmissionPolicy and its binding. */
export const MESHED_POLICY = "linkerd-meshed-pods";
/** The path that reviews are sent to. */
export const INJECTOR_PATH = "/";
/** The port on which the injector serves; the Service has 443. */
export const INJECTOR_PORT = 8_443;

/** Namespaces with this label and value are left alone by every webhook of the mesh (INTERFACE §2). */
export const WEBHOOKS_LABEL = "config.linkerd.io/admission-webhooks";

/** What of the installation these objects depend on. */
export interface Registration {
  /** The control plane's namespace. */
  readonly namespace: string;
  /** Labels of every object of the installation. */
  readonly labels: Readonly<Record<string, string>>;
  /** `proxyInjector.unsupportedPods` of the values. */
  readonly unsupportedPods: "refuse" | "skip";
  readonly timeoutSeconds?: number;
}

type KubeObject = Readonly<Record<string, unknown>>;

/** Namespaces that no webhook of the mesh looks into. */
const NAMESPACES = {
  matchExpressions: [
    { key: WEBHOOKS_LABEL, operator: "NotIn", values: ["disabled"] },
    { key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["kube-system", "cert-manager"] },
  ],
};

/** Pods of the control plane are meshed by their own manifests, and the CNI plugin's are on the node's network. */
const OBJECTS = {
  matchExpressions: [
    { key: "linkerd.io/control-plane-component", operator: "DoesNotExist" },
    { key: "linkerd.io/cni-resource", operator: "DoesNotExist" },
  ],
};

/** The kubelet's own pods cannot be changed: what the API server holds of them is a copy. */
const NO_MIRROR_POD = {
  name: "no-mirror-pod",
  expression:
    "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
};

/** The MutatingWebhookConfiguration: pods for the proxy, Services for `opaque-ports`. */
export function injectorConfiguration({ namespace, labels, timeoutSeconds = 10 }: Registration): KubeObject {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: INJECTOR_CONFIGURATION, labels },
    webhooks: [
      {
        name: "linkerd-proxy-injector.linkerd.io",
        namespaceSelector: NAMESPACES,
        objectSelector: OBJECTS,
        matchConditions: [NO_MIRROR_POD],
        clientConfig: { service: { name: INJECTOR_SERVICE, namespace, path: INJECTOR_PATH } },
        failurePolicy: "Ignore",
        // A pod is injected once: what other webhooks change of our containers afterwards is theirs.
        reinvocationPolicy: "Never",
        matchPolicy: "Equivalent",
        sideEffects: "None",
        timeoutSeconds,
        admissionReviewVersions: ["v1"],
        rules: [
          {
            operations: ["CREATE"],
            apiGroups: [""],
            apiVersions: ["v1"],
            resources: ["pods", "services"],
            scope: "Namespaced",
          },
        ],
      },
    ],
  };
}

const ASKED =
  "has(object.metadata.annotations) && 'linkerd.io/inject' in object.metadata.annotations" +
  " ? object.metadata.annotations['linkerd.io/inject']" +
  " : has(namespaceObject.metadata.annotations) && 'linkerd.io/inject' in namespaceObject.metadata.annotations" +
  " ? namespaceObject.metadata.annotations['linkerd.io/inject'] : 'disabled'";

const MESHED =
  "has(object.metadata.labels) && 'linkerd.io/control-plane-ns' in object.metadata.labels" +
  " && (object.spec.containers.exists(c, c.name == 'linkerd-proxy')" +
  " || (has(object.spec.initContainers) && object.spec.initContainers.exists(c, c.name == 'linkerd-proxy')))";

const ON_HOST_NETWORK = "has(object.spec.hostNetwork) && object.spec.hostNetwork";

/** The ValidatingAdmissionPolicy (v1 since Kubernetes 1.30) and its binding: whoever asks for the mesh is in it. */
export function meshedPodsPolicy({
  labels,
  unsupportedPods,
}: Registration): readonly [KubeObject, KubeObject] {
  const excused = unsupportedPods === "skip" ? " || variables.onHostNetwork" : "";
  const policy = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: MESHED_POLICY, labels },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: {
        matchPolicy: "Equivalent",
        namespaceSelector: NAMESPACES,
        objectSelector: OBJECTS,
        resourceRules: [
          {
            operations: ["CREATE"],
            apiGroups: [""],
            apiVersions: ["v1"],
            resources: ["pods"],
            scope: "Namespaced",
          },
        ],
      },
      matchConditions: [NO_MIRROR_POD],
      variables: [
        { name: "asked", expression: ASKED },
        { name: "meshed", expression: MESHED },
        { name: "onHostNetwork", expression: ON_HOST_NETWORK },
      ],
      validations: [
        {
          expression: `variables.asked == 'disabled' || variables.meshed${excused}`,
          messageExpression:
            "'the pod or its namespace has linkerd.io/inject: ' + variables.asked + ' and the pod got no proxy; " +
            "is the injector running? To start it without one, annotate the pod with linkerd.io/inject: disabled'",
          reason: "Forbidden",
        },
      ],
    },
  };
  const binding = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name: MESHED_POLICY, labels },
    spec: { policyName: MESHED_POLICY, validationActions: ["Deny"] },
  };
  return [policy, binding];
}
