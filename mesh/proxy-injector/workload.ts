/** Workloads in manifests: where each kind keeps its pods' template, and what to call an object in a report. Pure. */
import { z } from "zod";
import { Pod } from "./pod.ts";
import type { Path } from "./stream.ts";

/** Where the template of a kind lies; a pod is its own. */
const TEMPLATES: ReadonlyMap<string, Path> = new Map<string, Path>([
  ["Pod", []],
  ["Deployment", ["spec", "template"]],
  ["ReplicaSet", ["spec", "template"]],
  ["ReplicationController", ["spec", "template"]],
  ["StatefulSet", ["spec", "template"]],
  ["DaemonSet", ["spec", "template"]],
  ["Job", ["spec", "template"]],
  ["CronJob", ["spec", "jobTemplate", "spec", "template"]],
]);

const Head = z.looseObject({
  apiVersion: z.string().default(""),
  kind: z.string(),
  metadata: z
    .looseObject({
      name: z.string().default(""),
      generateName: z.string().default(""),
      namespace: z.string().default("default"),
      annotations: z.record(z.string(), z.string()).nullish(),
    })
    .prefault({}),
});

/** An object of a manifest. */
export interface ManifestObject {
  /** As kubectl writes it: `deployment`. */
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** Its template, if it is a workload. */
  readonly template: { readonly pod: Pod; readonly at: Path } | undefined;
}

/** Reads the head of an object and its template. A text says why it is no object that can be read. */
export function readObject(value: unknown): ManifestObject | string {
  const parsed = Head.safeParse(value);
  if (!parsed.success) {
    const isMissing = typeof value !== "object" || value === null || !("kind" in value);
    return isMissing ? 'document missing "kind" field' : "document is no Kubernetes object";
  }
  const { kind, metadata } = parsed.data;
  const name = metadata.name === "" ? metadata.generateName : metadata.name;
  const at = TEMPLATES.get(kind);
  const common = {
    kind: kind.toLowerCase(),
    name,
    namespace: metadata.namespace,
    annotations: metadata.annotations ?? {},
  };
  if (at === undefined) return { ...common, template: undefined };
  const pod = Pod.safeParse(below(value, at));
  if (pod.success) return { ...common, template: { pod: pod.data, at } };
  const [issue] = pod.error.issues;
  const where = [...at, ...(issue?.path ?? [])].join(".");
  return `${kind.toLowerCase()} "${name}": ${where}: ${issue?.message ?? "wrong"}`;
}

function below(value: unknown, path: Path): unknown {
  let found = value;
  for (const key of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = new Map<string | number, unknown>(Object.entries(found)).get(key);
  }
  return found;
}
