/** Whether a pod gets a proxy, is left alone, or may not start. Pure. */
import { injection } from "./sidecar.ts";
import { lasting, type Pod } from "./pod.ts";
import type { InjectorSettings } from "./settings.ts";

type Annotations = Readonly<Record<string, string>>;

/** Why a pod is left alone or refused; names that Linkerd's metrics use, and two of ours. */
export type SkipReason =
  | "injection_enable_annotation_absent"
  | "injection_disable_annotation_present"
  | "invalid_injection_annotation"
  | "host_network_enabled"
  | "sidecar_already_exists"
  | "proxy_user_taken";

/** Where the annotation stood that decided. */
export type AnnotationAt = "namespace" | "workload" | "";

export type Admission =
  | { readonly type: "inject"; readonly at: AnnotationAt }
  | { readonly type: "skip"; readonly reason: SkipReason; readonly at: AnnotationAt }
  | {
      readonly type: "refuse";
      readonly reason: SkipReason;
      readonly at: AnnotationAt;
      readonly message: string;
    };

/** What decides beside the pod. */
export interface AdmissionContext {
  readonly namespaceAnnotations: Annotations;
  readonly unsupportedPods: InjectorSettings["proxyInjector"]["unsupportedPods"];
  /** The user as whom the proxy runs, whose connections are not redirected. */
  readonly proxyUid: number;
}

const OPT_OUT = "annotate the pod with linkerd.io/inject: disabled to start it without a proxy";

/** Containers by which other meshes are known, and ours. */
const PROXIES = new Set(["linkerd-proxy", "istio-proxy", "kuma-sidecar", "consul-dataplane"]);
const INITS = new Set(["linkerd-init", "linkerd-network-validator", "istio-init", "kuma-init"]);

/** Decides about one pod. */
export function admit(pod: Pod, context: AdmissionContext): Admission {
  const annotations = pod.metadata?.annotations ?? {};
  const at = placeOf(annotations, context.namespaceAnnotations);
  const wish = injection(annotations, context.namespaceAnnotations);
  if (typeof wish === "object") {
    const message = `${wish.annotation} ${wish.message}`;
    return { type: "refuse", reason: "invalid_injection_annotation", at, message };
  }
  if (wish === "disabled") {
    const reason = at === "" ? "injection_enable_annotation_absent" : "injection_disable_annotation_present";
    return { type: "skip", reason, at };
  }
  if (isMeshed(pod)) return { type: "skip", reason: "sidecar_already_exists", at };
  const unsupported = whyUnsupported(pod, context);
  if (unsupported === undefined) return { type: "inject", at };
  return context.unsupportedPods === "skip" && unsupported.reason === "host_network_enabled"
    ? { type: "skip", reason: unsupported.reason, at }
    : { type: "refuse", at, ...unsupported };
}

/** Whether a pod has a proxy of ours already: it was injected by hand, or by an earlier call. */
export function isMeshed({ metadata, spec }: Pod): boolean {
  const isLabelled = metadata?.labels?.["linkerd.io/control-plane-ns"] !== undefined;
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  return isLabelled && all.some(({ name }) => name === "linkerd-proxy");
}

function placeOf(pod: Annotations, namespace: Annotations): AnnotationAt {
  if (pod["linkerd.io/inject"] !== undefined) return "workload";
  return namespace["linkerd.io/inject"] === undefined ? "" : "namespace";
}

function whyUnsupported(
  pod: Pod,
  { proxyUid }: AdmissionContext,
): { readonly reason: SkipReason; readonly message: string } | undefined {
  const { spec } = pod;
  if (spec.hostNetwork === true) {
    const message = `a pod with hostNetwork has no network of its own to redirect; ${OPT_OUT}`;
    return { reason: "host_network_enabled", message };
  }
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  const other = all.find(({ name }) => PROXIES.has(name) || INITS.has(name));
  if (other !== undefined) {
    const message = `container ${other.name} is a proxy's, of another mesh or of an injection that was not whole; ${OPT_OUT}`;
    return { reason: "sidecar_already_exists", message };
  }
  const taker = lasting(pod).find(
    ({ securityContext }) => (securityContext?.runAsUser ?? spec.securityContext?.runAsUser) === proxyUid,
  );
  if (taker === undefined) return undefined;
  const message =
    `container ${taker.name} runs as user ${proxyUid}, whose connections are not redirected because it is the proxy's; ` +
    `let it run as another, or set config.linkerd.io/proxy-uid`;
  return { reason: "proxy_user_taken", message };
}
