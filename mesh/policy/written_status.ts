/** The statuses of a snapshot as they are written to an API server: one per object, in the form of its kind. Pure. */
import type { KeySets } from "../model/jwks.ts";
import { keyOf, type NamespacedName } from "../model/meta.ts";
import type { Kind } from "../model/objects.ts";
import type { MeshSettings } from "../model/settings.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Condition, ObjectStatus, StatusParent } from "./condition.ts";
import { isMeshParent } from "./route_status.ts";
import { statusesOf } from "./status.ts";

/** By which the parents of routes tell our statuses from other controllers', as Linkerd's does. */
export const CONTROLLER_NAME = "linkerd.io/policy-controller";

/** A condition, with the writing of the object that it speaks of. The time of its last change is the writer's to add. */
export interface WrittenCondition extends Condition {
  readonly observedGeneration?: number;
}

/** One entry of a route's `status.parents`. */
export interface ParentStatus {
  readonly parentRef: {
    readonly group: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly port?: number;
    readonly sectionName?: string;
  };
  readonly controllerName: typeof CONTROLLER_NAME;
  readonly conditions: readonly WrittenCondition[];
}

/** The status of one object. Of a route only the entries with our controller's name are ours to write. */
export interface WrittenStatus extends NamespacedName {
  readonly group: string;
  readonly kind: string;
  readonly status:
    | { readonly type: "parents"; readonly parents: readonly ParentStatus[] }
    | {
        readonly type: "conditions";
        readonly conditions: readonly WrittenCondition[];
        readonly targetRef?: { readonly group: string; readonly kind: string; readonly name: string };
      };
}

const ROUTES: ReadonlySet<string> = new Set(["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"]);

/** Kinds whose status names its target, as in Linkerd's schema. */
const WITH_TARGET: ReadonlySet<string> = new Set(["HTTPLocalRateLimitPolicy"]);

function generationOf({ kind, group, namespace, name }: ObjectStatus, snapshot: Snapshot) {
  const known = KINDS_WITH_STATUS.find((one) => one === kind);
  if (known === undefined) return undefined;
  const key = keyOf({ namespace, name });
  return snapshot[known].get(known === "HTTPRoute" ? `${group}/${key}` : key)?.meta.generation;
}

/** Every kind that has a status of ours. */
export const KINDS_WITH_STATUS = [
  "AuthorizationPolicy",
  "EgressNetwork",
  "ExternalAuthorization",
  "GRPCRoute",
  "HTTPFaultInjection",
  "HTTPLocalRateLimitPolicy",
  "HTTPRateLimitPolicy",
  "HTTPRoute",
  "TCPRoute",
  "TLSRoute",
] as const satisfies readonly Kind[];

function reference({ group, kind, namespace, name, port, sectionName }: StatusParent) {
  return {
    group,
    kind,
    namespace,
    name,
    ...(port === undefined ? {} : { port }),
    ...(sectionName === undefined ? {} : { sectionName }),
  };
}

/** What is to be written; of a route without a parent in the mesh an empty list, which takes old entries away. */
export function statuses(
  snapshot: Snapshot,
  settings: MeshSettings,
  keySets?: KeySets,
): readonly WrittenStatus[] {
  const all = Map.groupBy(
    statusesOf(snapshot, settings, keySets),
    ({ group, kind, namespace, name }) => `${group}/${kind}/${namespace}/${name}`,
  );
  const written = [...all.values()].flatMap((entries): readonly WrittenStatus[] => {
    const [first] = entries;
    if (first === undefined) return [];
    const { group, kind, namespace, name } = first;
    const generation = generationOf(first, snapshot);
    const conditionsOf = (conditions: readonly Condition[]) =>
      conditions.map((condition) =>
        generation === undefined ? condition : { ...condition, observedGeneration: generation },
      );
    const head = { group, kind, namespace, name };
    if (!ROUTES.has(kind)) {
      const { parent, conditions } = first;
      const target =
        parent === undefined || !WITH_TARGET.has(kind)
          ? {}
          : { targetRef: { group: parent.group, kind: parent.kind, name: parent.name } };
      return [{ ...head, status: { type: "conditions", conditions: conditionsOf(conditions), ...target } }];
    }
    const parents = entries.flatMap(({ parent, conditions }): readonly ParentStatus[] =>
      parent === undefined
        ? []
        : [
            {
              parentRef: reference(parent),
              controllerName: CONTROLLER_NAME,
              conditions: conditionsOf(conditions),
            },
          ],
    );
    return [{ ...head, status: { type: "parents", parents } }];
  });
  return [...written, ...detached(snapshot)];
}

/** Routes that no longer attach to anything in the mesh. */
function detached(snapshot: Snapshot): readonly WrittenStatus[] {
  const routes = [
    ...[...snapshot.HTTPRoute.values()].map((route) => ({ kind: "HTTPRoute", route })),
    ...[...snapshot.GRPCRoute.values()].map((route) => ({ kind: "GRPCRoute", route })),
    ...[...snapshot.TLSRoute.values()].map((route) => ({ kind: "TLSRoute", route })),
    ...[...snapshot.TCPRoute.values()].map((route) => ({ kind: "TCPRoute", route })),
  ];
  return routes.flatMap(({ kind, route }) => {
    if (route.parents.some(isMeshParent)) return [];
    const { namespace, name } = route.meta;
    return [{ group: route.group, kind, namespace, name, status: { type: "parents", parents: [] } }];
  });
}
