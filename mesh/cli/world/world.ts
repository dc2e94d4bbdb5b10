/** The objects that a command speaks of: a directory's or a cluster's, folded as the controller folds them. */
import type { Tagged } from "@hauberk/mesh/model/objects.ts";
import type { MeshSettings } from "@hauberk/mesh/model/settings.ts";
import type { InboundContext } from "@hauberk/mesh/policy/authz.ts";
import { decode } from "@hauberk/mesh/source/decode/decode.ts";
import { accept, NOTHING_ACCEPTED } from "@hauberk/mesh/source/manifests/accept.ts";
import { complete } from "@hauberk/mesh/source/manifests/complete.ts";
import type { ManifestDocument, ManifestObject, Problem } from "@hauberk/mesh/source/manifests/document.ts";
import { loadManifests } from "@hauberk/mesh/source/manifests/load.ts";
import { withPods } from "@hauberk/mesh/source/manifests/templates.ts";
import { applyAll, emptySnapshot, relistAll } from "@hauberk/mesh/state/snapshot.ts";
import { settingsOf } from "./settings.ts";

/** Objects as they are, and what was wrong with some of them. */
export interface PolicyWorld extends InboundContext {
  readonly problems: readonly Problem[];
  /** As they were read, for kinds that are no business of the resolvers. */
  readonly documents: readonly ManifestDocument[];
}

/** The world of documents; controllers count as one pod each. */
export function worldOfDocuments(
  documents: readonly ManifestDocument[],
  settings: MeshSettings,
  problems: readonly Problem[] = [],
): PolicyWorld {
  const accepted = accept(NOTHING_ACCEPTED, {
    documents: withPods(documents),
    problems,
    broken: new Set(),
  });
  const completed = complete(accepted);
  const snapshot = applyAll(emptySnapshot(), relistAll(completed.objects));
  return { snapshot, settings, problems: completed.problems, documents };
}

/** The world of directories and files of manifests. */
export async function worldOfManifests(
  paths: readonly string[],
  {
    values = {},
    controlPlaneNamespace,
  }: { readonly values?: unknown; readonly controlPlaneNamespace: string },
): Promise<PolicyWorld> {
  const { documents, problems } = await loadManifests(paths);
  return worldOfDocuments(documents, settingsOf(values, controlPlaneNamespace), problems);
}

/** The world of a running standalone mesh: its controllers' pods are objects of their own there. */
export async function worldOfRunning(
  paths: readonly string[],
  { controlPlaneNamespace }: { readonly controlPlaneNamespace: string },
): Promise<PolicyWorld> {
  const loaded = await loadManifests(paths);
  const completed = complete(accept(NOTHING_ACCEPTED, loaded));
  const snapshot = applyAll(emptySnapshot(), relistAll(completed.objects));
  const settings = settingsOf({}, controlPlaneNamespace);
  return { snapshot, settings, problems: completed.problems, documents: loaded.documents };
}

/** The world of a cluster's objects, which already has addresses, slices and pods. */
export function worldOfObjects(objects: readonly ManifestObject[], settings: MeshSettings): PolicyWorld {
  const tagged = objects.flatMap((object): readonly Tagged[] => {
    const decoded = decode(object);
    return decoded?.ok === true ? [decoded.tagged] : [];
  });
  return {
    snapshot: applyAll(emptySnapshot(), relistAll(tagged)),
    settings,
    problems: [],
    documents: [],
  };
}
