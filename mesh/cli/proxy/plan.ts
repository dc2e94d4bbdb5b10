/**
 * Which running proxies get another image, and in which order. A container's image is the one thing of a running pod that may
 * be changed: the kubelet then restarts that container and no other, so the application goes on. Pure.
 */
import { z } from "zod";

const Container = z.looseObject({ name: z.string(), image: z.string() });
const Status = z.looseObject({
  name: z.string(),
  image: z.string().default(""),
  ready: z.boolean().default(false),
  restartCount: z.number().default(0),
});

/** A pod as far as its proxy is concerned. */
export const MeshedPod = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    annotations: z.record(z.string(), z.string()).default({}),
    labels: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
    ownerReferences: z
      .array(z.looseObject({ kind: z.string(), name: z.string(), uid: z.string() }))
      .default([]),
  }),
  spec: z.looseObject({
    initContainers: z.array(Container).default([]),
    containers: z.array(Container),
  }),
  status: z
    .looseObject({
      phase: z.string().default(""),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
      initContainerStatuses: z.array(Status).default([]),
      containerStatuses: z.array(Status).default([]),
    })
    .prefault({}),
});
export type MeshedPod = z.infer<typeof MeshedPod>;

/** The image that proxies are to have. */
export interface Wanted {
  /** With its tag or digest. */
  readonly image: string;
  /** What `linkerd.io/proxy-version` says then. */
  readonly version: string;
}

/** Why a proxy is left as it is. */
export type Left =
  | "has this image"
  | "is pinned by an annotation of its pod"
  | "is of another make"
  | "has no other pod of its workload beside it"
  | "is not ready";

/** One pod whose proxy is to be changed. */
export interface Step {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Of its container's image, as JSON Patch names it. */
  readonly path: string;
  readonly container: string;
  readonly from: string;
}

export interface UpgradePlan {
  /** One workload after another; of each, one pod after another. */
  readonly steps: readonly Step[];
  readonly left: readonly { readonly pod: string; readonly why: Left }[];
}

const PROXY = "linkerd-proxy";
const PINS = ["config.linkerd.io/proxy-image", "config.linkerd.io/proxy-version"] as const;

/** Decides about every pod. `single`: also those that have nobody beside them to answer meanwhile. */
export function planUpgrade(
  pods: readonly MeshedPod[],
  wanted: Wanted,
  { single }: { readonly single: boolean },
): UpgradePlan {
  const running = pods.filter(
    ({ metadata, status }) => metadata.deletionTimestamp === undefined && status.phase === "Running",
  );
  const workloads = Map.groupBy(running, ({ metadata }) => metadata.ownerReferences[0]?.uid ?? metadata.uid);
  const steps: Step[] = [];
  const left: { pod: string; why: Left }[] = [];
  for (const [, members] of [...workloads].toSorted(byName)) {
    for (const pod of members.toSorted((one, other) => (one.metadata.name < other.metadata.name ? -1 : 1))) {
      const found = proxyOf(pod);
      if (found === undefined) continue;
      const why = whyLeft(pod, found.image, { wanted, isAlone: members.length === 1 && !single });
      const { namespace, name, uid } = pod.metadata;
      if (why !== undefined) left.push({ pod: `${namespace}/${name}`, why });
      else steps.push({ namespace, name, uid, path: found.path, container: PROXY, from: found.image });
    }
  }
  return { steps, left };
}

function byName(
  [, [one]]: readonly [string, readonly MeshedPod[]],
  [, [other]]: readonly [string, readonly MeshedPod[]],
): number {
  const name = (pod: MeshedPod | undefined): string => `${pod?.metadata.namespace}/${pod?.metadata.name}`;
  return name(one) < name(other) ? -1 : 1;
}

/** The proxy's container: an init container that stays, or an ordinary one. */
function proxyOf({ spec }: MeshedPod): { readonly path: string; readonly image: string } | undefined {
  for (const list of ["initContainers", "containers"] as const) {
    const at = spec[list].findIndex(({ name }) => name === PROXY);
    const found = spec[list][at];
    if (found !== undefined) return { path: `/spec/${list}/${at}/image`, image: found.image };
  }
  return undefined;
}

function whyLeft(
  pod: MeshedPod,
  image: string,
  { wanted, isAlone }: { readonly wanted: Wanted; readonly isAlone: boolean },
): Left | undefined {
  if (image === wanted.image) return "has this image";
  if (PINS.some((name) => pod.metadata.annotations[name] !== undefined))
    return "is pinned by an annotation of its pod";
  if (nameOf(image) !== nameOf(wanted.image)) return "is of another make";
  if (!isReady(pod)) return "is not ready";
  return isAlone ? "has no other pod of its workload beside it" : undefined;
}

/** An image's name without tag and digest. */
function nameOf(image: string): string {
  return image.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
}

/** Whether Kubernetes sends requests to a pod. */
export function isReady({ status }: MeshedPod): boolean {
  return status.conditions.some(({ type, status: is }) => type === "Ready" && is === "True");
}

/** What is written into a pod; the test keeps another container's image from being taken for the proxy's. */
export function patchOf(
  { path, from }: Pick<Step, "path" | "from">,
  to: { readonly image: string; readonly version: string | undefined },
): readonly Readonly<Record<string, string>>[] {
  return [
    { op: "test", path, value: from },
    { op: "replace", path, value: to.image },
    ...(to.version === undefined
      ? []
      : [{ op: "add", path: "/metadata/annotations/linkerd.io~1proxy-version", value: to.version }]),
  ];
}

/** Whether a pod's proxy runs anew since `restarts`, with another image, and everything of the pod is ready. */
export function hasTurned(pod: MeshedPod, restarts: number): boolean {
  return isReady(pod) && restartsOf(pod) > restarts;
}

/** How often the proxy was restarted. */
export function restartsOf({ status }: MeshedPod): number {
  const all = [...status.initContainerStatuses, ...status.containerStatuses];
  return all.find(({ name }) => name === PROXY)?.restartCount ?? 0;
}

/** How often any other container was: an upgrade must not change it. */
export function otherRestarts({ status }: MeshedPod): number {
  const all = [...status.initContainerStatuses, ...status.containerStatuses];
  return all.reduce((sum, { name, restartCount }) => sum + (name === PROXY ? 0 : restartCount), 0);
}
