import { createHash } from "node:crypto";
import type { PodTemplate, Workload, WorkloadKind } from "./workload.ts";

/** Kubernetes' alphabet for generated names: no vowels, nothing that looks alike. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** The object that a pod belongs to. */
export interface Owner {
  readonly kind: WorkloadKind;
  readonly name: string;
}

/** One pod that should run. */
export interface PodPlan {
  readonly namespace: string;
  /** Unique in its namespace; changes with the template, but for a StatefulSet and a Pod. */
  readonly name: string;
  /** Of the template and the file it stands in: a different one needs another pod. */
  readonly revision: string;
  readonly owner: Owner;
  readonly template: PodTemplate;
  /** The template's labels and those that the owner's controller adds. */
  readonly labels: Readonly<Record<string, string>>;
  readonly file: string;
}

/** `namespace/name`. */
export function podKey({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** All pods of all workloads. The same workloads always give the same names. */
export function planPods(workloads: readonly Workload[]): readonly PodPlan[] {
  return workloads.flatMap((workload) =>
    Array.from({ length: workload.replicas }, (_, ordinal) => planPod(workload, ordinal)),
  );
}

function planPod(workload: Workload, ordinal: number): PodPlan {
  const { kind, namespace, name, template, file } = workload;
  const revision = letters(JSON.stringify([template, file]), 10);
  const pod = podName(workload, revision, ordinal);
  return {
    namespace,
    name: pod,
    revision,
    owner: {
      kind,
      name,
    },
    template,
    file,
    labels: {
      ...template.labels,
      ...ownerLabels(workload, {
        pod,
        revision,
        ordinal,
      }),
    },
  };
}

function podName({ kind, namespace, name }: Workload, revision: string, ordinal: number): string {
  switch (kind) {
    case "Pod":
      return name;
    case "StatefulSet":
      return `${name}-${ordinal}`;
    case "Deployment":
      return `${name}-${revision}-${letters(`${namespace}/${name}/${revision}/${ordinal}`, 5)}`;
    case "DaemonSet":
    case "Job":
      return `${name}-${letters(`${namespace}/${name}/${revision}/${ordinal}`, 5)}`;
  }
}

interface Position {
  readonly pod: string;
  readonly revision: string;
  readonly ordinal: number;
}

function ownerLabels({ kind, name }: Workload, { pod, revision, ordinal }: Position): Record<string, string> {
  switch (kind) {
    case "Pod":
      return {};
    case "Deployment":
      return { "pod-template-hash": revision };
    case "DaemonSet":
      return { "controller-revision-hash": revision };
    case "StatefulSet":
      return {
        "controller-revision-hash": `${name}-${revision}`,
        "statefulset.kubernetes.io/pod-name": pod,
        "apps.kubernetes.io/pod-index": String(ordinal),
      };
    case "Job":
      return { "batch.kubernetes.io/job-name": name, "job-name": name };
  }
}

function letters(text: string, count: number): string {
  const digest = createHash("sha256").update(text).digest();
  return Array.from(digest.subarray(0, count), (byte) => ALPHABET.charAt(byte % ALPHABET.length)).join("");
}

/** What to do so that what runs becomes what is wanted. */
export interface Changes {
  readonly start: readonly PodPlan[];
  /** Keys of pods that nobody wants any more. */
  readonly stop: readonly string[];
  /** Keys of pods that keep their name but not their template: stopped first, then started. */
  readonly replace: readonly string[];
}

/** Compares by key and revision. */
export function changes(
  running: ReadonlyMap<string, { readonly revision: string }>,
  wanted: readonly PodPlan[],
): Changes {
  const byKey = new Map(wanted.map((plan) => [podKey(plan), plan]));
  const replace = [...running].flatMap(([key, { revision }]) => {
    const plan = byKey.get(key);
    return plan !== undefined && plan.revision !== revision ? [key] : [];
  });
  const replaced = new Set(replace);
  return {
    start: wanted.filter((plan) => !running.has(podKey(plan)) || replaced.has(podKey(plan))),
    stop: [...running.keys()].filter((key) => !byKey.has(key)),
    replace,
  };
}

/** The pod network. The bridge has its first address. */
const POD_NETWORK = { prefix: "10.244", first: 10, last: 65_000 } as const;

/** The lowest free address. `undefined`: the network is full. */
export function freeAddress(taken: ReadonlySet<string>): string | undefined {
  for (let host = POD_NETWORK.first; host <= POD_NETWORK.last; host += 1) {
    const address = `${POD_NETWORK.prefix}.${host >> 8}.${host & 255}`;
    const last = host & 255;
    if (last !== 0 && last !== 255 && !taken.has(address)) return address;
  }
  return undefined;
}
