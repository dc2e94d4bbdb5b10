/** A snapshot with changes applied in memory, as an API server would apply them. Pure. */
import { keyOfObject, KINDS, type Kind, type Objects } from "@hauberk/mesh/model/objects.ts";
import { decode } from "@hauberk/mesh/source/decode/decode.ts";
import { describeObject, fieldPath, type ManifestDocument } from "@hauberk/mesh/source/manifests/document.ts";
import { deriveEndpointSlices } from "@hauberk/mesh/source/manifests/endpoint_slices.ts";
import { withPods } from "@hauberk/mesh/source/manifests/templates.ts";
import { applyAll, type Event, type Snapshot } from "@hauberk/mesh/state/snapshot.ts";

/** What is written and what is taken away. */
export interface Change {
  readonly documents: readonly ManifestDocument[];
  readonly removed: readonly Removed[];
}

/** An object that is to go, by its kind and key. */
export interface Removed {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
}

/** `KIND/NAMESPACE/NAME`, with the kind in any case. */
export function removedOf(word: string): Removed | undefined {
  const [kindWord = "", namespace, name, ...rest] = word.split("/");
  const kind = KINDS.find((one) => one.toLowerCase() === kindWord.toLowerCase());
  if (kind === undefined || namespace === undefined || name === undefined || rest.length > 0)
    return undefined;
  return { kind, namespace, name };
}

function removals({ kind, namespace, name }: Removed, snapshot: Snapshot): readonly Event[] {
  const objects: ReadonlyMap<string, Objects[Kind]> = snapshot[kind];
  return [...objects]
    .filter(([, { meta }]) => meta.name === name && (meta.namespace === namespace || kind === "Namespace"))
    .map(([key]) => ({ type: "remove", kind, key }));
}

/** Slices of services that a change brings or makes select others; those of a cluster stay. */
function withSlices(snapshot: Snapshot, touched: ReadonlySet<string>): Snapshot {
  const services = [...snapshot.Service.values()].filter((service) =>
    touched.has(keyOfObject("Service", service)),
  );
  const workloads = {
    pods: [...snapshot.Pod.values()],
    workloads: [...snapshot.ExternalWorkload.values()],
  };
  const slices = deriveEndpointSlices(services, workloads);
  return applyAll(
    snapshot,
    slices.map((object) => ({ type: "upsert", kind: "EndpointSlice", object })),
  );
}

/** The snapshot after a change; objects that cannot be read, and removals of what is not there, are told. */
export function changedBy(
  before: Snapshot,
  { documents, removed }: Change,
): { readonly snapshot: Snapshot; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const events: Event[] = [];
  const touched = new Set<string>();
  for (const document of withPods(documents)) {
    const decoded = decode(document.object);
    if (decoded === undefined) continue;
    if (!decoded.ok) {
      for (const { path, message } of decoded.issues)
        problems.push(
          `${document.file}:${document.lineOf(path)}: ${describeObject(document.object)}: ${fieldPath(path)}: ${message}`,
        );
      continue;
    }
    const { tagged } = decoded;
    if (tagged.kind === "Service") touched.add(keyOfObject("Service", tagged.object));
    events.push({ type: "upsert", ...tagged });
  }
  for (const one of removed) {
    const found = removals(one, before);
    if (found.length === 0) problems.push(`${one.kind} ${one.namespace}/${one.name} is not there`);
    events.push(...found);
  }
  return { snapshot: withSlices(applyAll(before, events), touched), problems };
}
