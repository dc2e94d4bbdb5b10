// What spans say of the pod whose proxy makes them, by the semantic conventions of OpenTelemetry.

/** The variable that OpenTelemetry itself names. */
export const RESOURCE_ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES";
/** What `config.hauberk.io/trace-collector-account` says, before it has become an identity. */
export const COLLECTOR_ACCOUNT = "TRACE_COLLECTOR_ACCOUNT";

const ANNOTATION = "resource.opentelemetry.io/";

/** The pod that is described. */
export interface DescribedPod {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly namespaceAnnotations: Readonly<Record<string, string>>;
}

/** The value of {@link RESOURCE_ATTRIBUTES}: `resource.opentelemetry.io/*` of namespace and pod, the pod's word last. */
export function resourceAttributes(pod: DescribedPod): string {
  const annotations = Object.entries({ ...pod.namespaceAnnotations, ...pod.annotations });
  const own = annotations.flatMap(([name, value]) =>
    name.startsWith(ANNOTATION) ? [[name.slice(ANNOTATION.length), value] as const] : [],
  );
  // Names of Kubernetes need no escape, and must have none: in a container they are references to its variables.
  const attributes = new Map([
    ["k8s.namespace.name", pod.namespace],
    ["k8s.pod.name", pod.name],
    ["k8s.node.name", pod.node],
    ...own.map(([name, value]) => [escaped(name), escaped(value)] as const),
  ]);
  return [...attributes].map(([name, value]) => `${name}=${value}`).join(",");
}

/** `,`, `=`, `%` and all that is not ASCII stand as `%` escapes. */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll("%2F", "/");
}
