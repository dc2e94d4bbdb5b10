/** Objects that are not written yet, tried on traffic. Pure. */
import type { InboundContext } from "@hauberk/mesh/policy/authz.ts";
import { judgeEdges } from "@hauberk/mesh/policy/edges.ts";
import { edgesOf, type ObservedEdge } from "@hauberk/mesh/policy/observed.ts";
import { parseFile } from "@hauberk/mesh/source/manifests/parse.ts";
import { changedBy } from "./change.ts";

/** Identified edges that would be denied with `objects` in force, as sentences. */
export function tried(
  objects: readonly object[],
  observed: readonly ObservedEdge[],
  context: InboundContext,
): readonly string[] {
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  const { documents, problems } = parseFile("generated.json", list);
  const changed = changedBy(context.snapshot, { documents, removed: [] });
  const wrong = [...problems.map(({ message }) => message), ...changed.problems];
  const edges = edgesOf(observed, context).filter(({ from }) => from.type !== "unmeshed");
  const lost = judgeEdges(edges, { ...context, snapshot: changed.snapshot }).filter(
    ({ verdict }) => verdict?.type !== "allowed",
  );
  return [...wrong, ...lost.map(({ from, to, request }) => `${from} to ${to}: ${request}`)];
}
