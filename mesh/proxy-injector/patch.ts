/** Additions as a JSON patch, for the API server and for files. Pure. */
import type { PatchStep } from "../admission/review.ts";
import type { Additions } from "./inject.ts";
import type { Pod } from "./pod.ts";

type Strings = Readonly<Record<string, string>>;

/** The steps that add `additions` to `pod`. */
export function patchOf(pod: Pod, additions: Additions): readonly PatchStep[] {
  const { metadata, spec } = pod;
  return [
    ...(metadata === undefined || metadata === null ? [add("/metadata", {})] : []),
    ...entries("/metadata/labels", metadata?.labels, additions.labels),
    ...entries("/metadata/annotations", metadata?.annotations, additions.annotations),
    ...items("/spec/volumes", spec.volumes, { first: [], last: additions.volumes }),
    ...items("/spec/initContainers", spec.initContainers, additions.initContainers),
    ...items("/spec/containers", spec.containers, additions.containers),
  ];
}

/** Only annotations. */
export function annotationPatch(
  metadata: { readonly annotations?: Strings | null | undefined } | null | undefined,
  annotations: Strings,
): readonly PatchStep[] {
  if (Object.keys(annotations).length === 0) return [];
  const missing = metadata === undefined || metadata === null ? [add("/metadata", {})] : [];
  return [...missing, ...entries("/metadata/annotations", metadata?.annotations, annotations)];
}

function add(path: string, value: unknown): PatchStep {
  return { op: "add", path, value };
}

function entries(path: string, present: Strings | null | undefined, added: Strings): readonly PatchStep[] {
  const all = Object.entries(added);
  if (all.length === 0) return [];
  if (present === undefined || present === null) return [add(path, added)];
  return all.map(([name, value]) => add(`${path}/${escaped(name)}`, value));
}

function items(
  path: string,
  present: readonly unknown[] | null | undefined,
  { first, last }: Additions["containers"],
): readonly PatchStep[] {
  if (first.length + last.length === 0) return [];
  if (present === undefined || present === null) return [add(path, [...first, ...last])];
  return [
    ...first.map((item, index) => add(`${path}/${index}`, item)),
    ...last.map((item) => add(`${path}/-`, item)),
  ];
}

/** A reference token of RFC 6901 §3. */
function escaped(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
