import { accept, NOTHING_ACCEPTED } from "../source/manifests/accept.ts";
import type { Accepted } from "../source/manifests/accept.ts";
import { complete } from "../source/manifests/complete.ts";
import { objectKey } from "../source/manifests/document.ts";
import type { ManifestDocument, Problem } from "../source/manifests/document.ts";
import type { Loaded } from "../source/manifests/load.ts";
import type { Service } from "../model/service.ts";
import { decodeWorkload, workloadKind } from "./decode.ts";
import { SettingsData } from "./settings-data.ts";
import type { Workload } from "./workload.ts";

/** What the user's manifests ask for. A wrong edit leaves what was accepted before. */
export interface Wanted {
  readonly workloads: ReadonlyMap<string, Workload>;
  readonly services: readonly Service[];
  /** By namespace. */
  readonly namespaceAnnotations: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly data: SettingsData;
  readonly problems: readonly Problem[];
  readonly accepted: Accepted;
}

/** Before the first look. */
export const NOTHING_WANTED: Wanted = {
  workloads: new Map(),
  services: [],
  namespaceAnnotations: new Map(),
  data: new SettingsData([]),
  problems: [],
  accepted: NOTHING_ACCEPTED,
};

/** What is asked for after `loaded`, given what was before. Pure. */
export function want(before: Wanted, loaded: Loaded): Wanted {
  const accepted = accept(before.accepted, loaded);
  const { objects, problems } = complete(accepted);
  const services = objects.flatMap((tagged) => (tagged.kind === "Service" ? [tagged.object] : []));
  const namespaceAnnotations = new Map(
    objects.flatMap((tagged) =>
      tagged.kind === "Namespace" ? [[tagged.object.meta.name, tagged.object.meta.annotations] as const] : [],
    ),
  );
  const accounts = new Set(
    objects.flatMap((tagged) =>
      tagged.kind === "ServiceAccount" ? [`${tagged.object.meta.namespace}/${tagged.object.meta.name}`] : [],
    ),
  );
  const found = workloads(before, loaded, accounts);
  return {
    services,
    namespaceAnnotations,
    accepted,
    workloads: found.workloads,
    data: new SettingsData(loaded.documents),
    problems: [...problems, ...found.problems],
  };
}

function workloads(
  before: Wanted,
  loaded: Loaded,
  accounts: ReadonlySet<string>,
): { readonly workloads: ReadonlyMap<string, Workload>; readonly problems: readonly Problem[] } {
  const workloads = new Map<string, Workload>();
  const problems: Problem[] = [];
  for (const document of loaded.documents) {
    const kind = workloadKind(document);
    if (kind === undefined) continue;
    const key = objectKey(document.object);
    const { workload, errors, warnings } = decodeWorkload(document, kind);
    const missing = workload === undefined ? [] : missingAccount(workload, document, accounts);
    problems.push(...errors, ...missing, ...warnings);
    const previous = before.workloads.get(key);
    const effective = workload !== undefined && missing.length === 0 ? workload : previous;
    if (effective !== undefined) workloads.set(key, effective);
  }
  for (const [key, workload] of before.workloads) {
    if (loaded.broken.has(workload.file) && !workloads.has(key)) workloads.set(key, workload);
  }
  return { workloads, problems };
}

function missingAccount(
  { namespace, template: { serviceAccount } }: Workload,
  document: ManifestDocument,
  accounts: ReadonlySet<string>,
): readonly Problem[] {
  if (serviceAccount === "default" || accounts.has(`${namespace}/${serviceAccount}`)) return [];
  const path = document.object.kind === "Pod" ? ["spec"] : ["spec", "template", "spec"];
  return [
    {
      severity: "error",
      file: document.file,
      line: document.lineOf([...path, "serviceAccountName"]),
      object: `${document.object.kind} ${namespace}/${document.object.metadata.name}`,
      field: [...path, "serviceAccountName"].join("."),
      message: `there is no ServiceAccount ${serviceAccount} in namespace ${namespace}`,
    },
  ];
}
