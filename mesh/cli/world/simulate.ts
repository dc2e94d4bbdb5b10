/** What a change would do to every edge. */
import { ACCESS_POLICIES, type AccessPolicy } from "@hauberk/mesh/model/policy.ts";
import type { InboundContext } from "@hauberk/mesh/policy/authz.ts";
import { changedEdges, declaredEdges, type ChangedEdge } from "@hauberk/mesh/policy/edges.ts";
import { edgesOf, type ObservedEdge } from "@hauberk/mesh/policy/observed.ts";
import { describeObject } from "@hauberk/mesh/source/manifests/document.ts";
import { loadManifests } from "@hauberk/mesh/source/manifests/load.ts";
import { sentence, validate } from "@hauberk/mesh/validator/validate.ts";
import { changedBy, removedOf, type Change } from "./change.ts";

/** A change of objects, and of the mesh's default. */
export interface WorldChange extends Change {
  readonly ok: true;
  readonly defaultInboundPolicy: AccessPolicy | undefined;
}

/** Reads a change from its words; every mistake is told. */
export async function readChange(words: {
  readonly apply: readonly string[];
  readonly remove: readonly string[];
  readonly defaultInboundPolicy: string | undefined;
}): Promise<WorldChange | { readonly ok: false; readonly problems: readonly string[] }> {
  const problems: string[] = [];
  const loaded = await loadManifests(words.apply);
  for (const { severity, file, line, field, message } of loaded.problems)
    if (severity === "error") problems.push(`${file}:${line}: ${field} ${message}`);
  const removed = words.remove.flatMap((word) => {
    const parsed = removedOf(word);
    if (parsed === undefined) problems.push(`--delete ${word} is not KIND/NAMESPACE/NAME`);
    return parsed ?? [];
  });
  const policy = ACCESS_POLICIES.find((one) => one === words.defaultInboundPolicy);
  if (words.defaultInboundPolicy !== undefined && policy === undefined)
    problems.push(`--default-inbound-policy: is none of ${ACCESS_POLICIES.join(", ")}`);
  if (loaded.documents.length === 0 && removed.length === 0 && policy === undefined)
    problems.push("nothing to simulate: give --apply, --delete or --default-inbound-policy");
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, documents: loaded.documents, removed, defaultInboundPolicy: policy };
}

/** What comes out. */
export interface Simulated {
  readonly judged: number;
  readonly changed: readonly ChangedEdge[];
  /** Objects of the change that admission would refuse, with the reason. */
  readonly refused: readonly string[];
  readonly problems: readonly string[];
}

/** Judges every edge before and after. Pure. */
export function simulate(
  before: InboundContext,
  change: WorldChange,
  traffic: { readonly observed: readonly ObservedEdge[]; readonly onlyObserved: boolean },
): Simulated {
  const { snapshot, problems } = changedBy(before.snapshot, change);
  const { defaultInboundPolicy = before.settings.defaultInboundPolicy } = change;
  const after: InboundContext = {
    ...before,
    snapshot,
    settings: { ...before.settings, defaultInboundPolicy },
  };
  const refused = change.documents.flatMap(({ object }) =>
    validate(object, after)
      .filter(({ severity }) => severity === "error")
      .map((finding) => `${describeObject(object)}: ${sentence(finding)}`),
  );
  const seen = edgesOf(traffic.observed, before);
  const edges = traffic.onlyObserved ? seen : [...seen, ...declaredEdges(after)];
  return { judged: edges.length, changed: changedEdges(edges, before, after), refused, problems };
}
