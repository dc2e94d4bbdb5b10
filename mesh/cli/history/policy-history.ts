/** What policy rests on, as a record of changes: which objects are another than before, and all of them at a time. Pure. */
import { groupOf, type ManifestObject } from "@hauberk/mesh/source/manifests/document.ts";
import type { Content } from "@hauberk/release/audit/record.ts";
import { z } from "zod";

/** Objects by their names, as JSON. */
export type Objects = ReadonlyMap<string, string>;

/** What no answer to a question about policy depends on, or what must not be written down. */
const LEFT_OUT: ReadonlySet<string> = new Set(["Secret", "ConfigMap", "EndpointSlice", "Node", "Endpoints"]);
const RESOLVED_KINDS: ReadonlySet<string> = new Set([
  "Namespace",
  "ServiceAccount",
  "Service",
  "ExternalWorkload",
]);

const Probe = z.object({ httpGet: z.unknown().optional() }).optional();
const Container = z.object({
  name: z.string(),
  ports: z.array(z.unknown()).optional(),
  livenessProbe: Probe,
  readinessProbe: Probe,
  startupProbe: Probe,
});
const PodParts = z.object({
  spec: z
    .object({
      serviceAccountName: z.string().optional(),
      nodeName: z.string().optional(),
      hostNetwork: z.boolean().optional(),
      containers: z.array(Container).default([]),
    })
    .default({ containers: [] }),
  status: z
    .object({
      phase: z.string().optional(),
      podIP: z.string().optional(),
      podIPs: z.array(z.unknown()).optional(),
    })
    .default({}),
});

/** Of a pod only what policy asks for: its environment may hold secrets. */
function partsOf({ kind, rest }: ManifestObject): Readonly<Record<string, unknown>> {
  if (kind === "Pod") return PodParts.parse(rest);
  const { status: _, ...others } = rest;
  return others;
}

function isRecorded({ kind, apiVersion }: ManifestObject): boolean {
  if (LEFT_OUT.has(kind)) return false;
  const isPolicy = /(?:^|\.)(?:linkerd\.io|hauberk\.io|gateway\.networking\.k8s\.io)$/.test(
    groupOf(apiVersion),
  );
  return isPolicy || kind === "Pod" || RESOLVED_KINDS.has(kind);
}

/** The objects that are recorded, by `Kind.group namespace/name`. */
export function objectsOf(all: readonly ManifestObject[]): Objects {
  const recorded = all.filter(isRecorded).map((object) => {
    const { apiVersion, kind, metadata } = object;
    const { name, namespace, labels, annotations, ownerReferences } = metadata;
    const group = groupOf(apiVersion);
    const key = `${kind}${group === "" ? "" : `.${group}`} ${namespace}/${name}`;
    const kept = { name, namespace, labels, annotations, ownerReferences };
    return [key, JSON.stringify({ apiVersion, kind, metadata: kept, ...partsOf(object) })] as const;
  });
  return new Map(recorded.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** What became another between two looks. */
export function changesOf(
  before: Objects,
  now: Objects,
): { readonly object: string; readonly manifest?: string }[] {
  const changed = [...now].flatMap(([object, manifest]) =>
    before.get(object) === manifest ? [] : [{ object, manifest }],
  );
  const gone = [...before.keys()].filter((object) => !now.has(object)).map((object) => ({ object }));
  return [...changed, ...gone];
}

/** All objects as they were at a time, by a record that was proven. */
export function objectsAt(contents: readonly Content[], at: string): Objects {
  const objects = new Map<string, string>();
  for (const { act, at: when } of contents) {
    if (act.kind !== "policy" || when > at) continue;
    for (const { object, manifest } of act.changed) {
      if (manifest === undefined) objects.delete(object);
      else objects.set(object, manifest);
    }
  }
  return objects;
}
