/** The injector's handler: reviews of pods and Services in, patches and refusals out. */
import { Counter, type CounterFamily } from "../admission/counter.ts";
import type { AdmissionRequest, PatchStep, Verdict } from "../admission/review.ts";
import type { Handler } from "../admission/server.ts";
import { admit, type Admission, type AnnotationAt } from "./admit.ts";
import type { AnnotationProblem } from "./annotations.ts";
import { inject, type Mesh, type Owner } from "./inject.ts";
import { podOpaquePorts, serviceOpaquePorts } from "./inherit.ts";
import { annotationPatch, patchOf } from "./patch.ts";
import { Pod, Service, type OwnerReference } from "./pod.ts";

type Strings = Readonly<Record<string, string>>;

/** What the handler asks the cluster. */
export interface Surroundings {
  /** Annotations of a namespace as they are now: a pod may follow its namespace's annotation at once. */
  annotations(namespace: string, signal: AbortSignal): Promise<Strings>;
  /** The workload at the root of `owners`. */
  owner(
    namespace: string,
    owners: readonly OwnerReference[],
    signal: AbortSignal,
  ): Promise<Owner | undefined>;
  /** The mesh as its ConfigMaps describe it; throws while they could not be read. */
  mesh(): Mesh;
}

/** The handler, and what it has counted. */
export interface InjectorWebhook {
  readonly handle: Handler;
  metrics(): readonly CounterFamily[];
}

interface Counted {
  readonly owner_kind: string;
  readonly namespace: string;
  readonly annotation_at: AnnotationAt;
}

/** The webhook of the role proxy-injector. */
export function injectorWebhook(surroundings: Surroundings): InjectorWebhook {
  const requests = new Counter("proxy_inject_admission_requests_total", "Pods that were to be admitted.");
  const responses = new Counter(
    "proxy_inject_admission_responses_total",
    "Pods that were injected, left alone or refused.",
  );
  const count = (counted: Counted, admission: Admission): void => {
    const labels: Strings = { ...counted };
    requests.add(labels);
    const isInjected = admission.type === "inject";
    responses.add({
      ...labels,
      skip: String(!isInjected),
      skip_reason: isInjected ? "" : admission.reason,
      refused: String(admission.type === "refuse"),
    });
  };
  const handle: Handler = async (request, signal) => {
    switch (request.kind.kind) {
      case "Pod":
        return reviewPod(request, { surroundings, count, signal });
      case "Service":
        return reviewService(request, { surroundings, signal });
      default:
        return { type: "allow" };
    }
  };
  return { handle, metrics: () => [requests.family(), responses.family()] };
}

interface Reviewing {
  readonly surroundings: Surroundings;
  readonly count: (counted: Counted, admission: Admission) => void;
  readonly signal: AbortSignal;
}

async function reviewPod(request: AdmissionRequest, reviewing: Reviewing): Promise<Verdict> {
  const { surroundings, count, signal } = reviewing;
  const parsed = Pod.safeParse(request.object);
  if (!parsed.success) return { type: "deny", reason: unreadable("pod", parsed.error) };
  const pod = parsed.data;
  const mesh = surroundings.mesh();
  const { namespace: name } = request;
  const owners = pod.metadata?.ownerReferences ?? [];
  const [annotations, owner] = await Promise.all([
    surroundings.annotations(name, signal),
    surroundings.owner(name, owners, signal),
  ]);
  const admission = admit(pod, {
    namespaceAnnotations: annotations,
    unsupportedPods: mesh.settings.proxyInjector.unsupportedPods,
    proxyUid: mesh.settings.proxy.uid,
  });
  const counted = {
    owner_kind: owner?.kind.toLowerCase() ?? "pod",
    namespace: name,
    annotation_at: admission.at,
  };
  switch (admission.type) {
    case "refuse":
      count(counted, admission);
      return { type: "deny", reason: `not started: ${admission.message}` };
    case "skip": {
      count(counted, admission);
      const opaque = podOpaquePorts(pod, { namespace: annotations, settings: mesh.settings });
      return { type: "allow", patch: annotationPatch(pod.metadata, opaque) };
    }
    case "inject": {
      const { additions, problems } = inject(pod, { mesh, namespace: { name, annotations }, owner });
      const closing = problems.filter(({ closes }) => closes === true);
      if (closing.length > 0) {
        count(counted, {
          type: "refuse",
          reason: "invalid_injection_annotation",
          at: admission.at,
          message: "",
        });
        return { type: "deny", reason: `not started: ${closing.map(sentence).join("; ")}` };
      }
      count(counted, admission);
      return { type: "allow", patch: patchOf(pod, additions), warnings: problems.map(sentence) };
    }
  }
}

async function reviewService(
  request: AdmissionRequest,
  { surroundings, signal }: Pick<Reviewing, "surroundings" | "signal">,
): Promise<Verdict> {
  const parsed = Service.safeParse(request.object);
  if (!parsed.success) return { type: "deny", reason: unreadable("Service", parsed.error) };
  const service = parsed.data;
  const { settings } = surroundings.mesh();
  const namespace = await surroundings.annotations(request.namespace, signal);
  const patch: readonly PatchStep[] = annotationPatch(
    service.metadata,
    serviceOpaquePorts(service, { namespace, settings }),
  );
  return { type: "allow", patch };
}

function sentence({ annotation, message }: AnnotationProblem): string {
  return `${annotation} ${message}`;
}

function unreadable(
  what: string,
  {
    issues,
  }: { readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] },
): string {
  const [issue] = issues;
  return `the ${what} cannot be read: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "wrong"}`;
}
