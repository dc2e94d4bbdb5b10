/** What has to be written into an object's status, given what stands there. Pure. */
import { z } from "zod";
import { CONTROLLER_NAME, type WrittenCondition, type WrittenStatus } from "../policy/written_status.ts";

/** Most entries of a route's `status.parents`, by the Gateway API. */
const PARENTS_MAX = 32;

const Condition = z.looseObject({
  type: z.string(),
  status: z.string(),
  lastTransitionTime: z.string().nullish(),
});

const ParentEntry = z.looseObject({
  parentRef: z.looseObject({}),
  controllerName: z.string(),
  conditions: z.array(Condition).nullish(),
});

const Present = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string().default("") }),
  status: z
    .looseObject({
      parents: z.array(ParentEntry).nullish(),
      conditions: z.array(Condition).nullish(),
      targetRef: z.unknown().optional(),
    })
    .nullish(),
});
type StoredCondition = z.infer<typeof Condition>;

/** A body for a merge patch of the `status` subresource; refused with 409 if the object changed in between. */
export interface StatusPatch {
  readonly metadata: { readonly resourceVersion: string };
  readonly status: Readonly<Record<string, unknown>>;
}

/** The conditions with the times of their last change: now, unless the state is the one that stands there. */
function dated(
  wanted: readonly WrittenCondition[],
  present: readonly StoredCondition[],
  now: string,
): readonly Record<string, unknown>[] {
  return wanted.map((condition) => {
    const before = present.find(({ type }) => type === condition.type);
    const isSame = before?.status === condition.status;
    return { ...condition, lastTransitionTime: (isSame ? before.lastTransitionTime : undefined) ?? now };
  });
}

/** By its fields in whatever order. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/**
 * The patch that brings `object` to what is wanted; `undefined` if it is there already.
 *
 * `status.parents` is one atomic list that several controllers share, so whole-list server-side apply would take the
 * others' entries away: the list is read, our entries are replaced, and the version that was read is demanded.
 */
export function statusPatch(
  wanted: WrittenStatus["status"],
  object: unknown,
  now: string,
): StatusPatch | undefined {
  const { metadata, status } = Present.parse(object);
  const patch = (fields: StatusPatch["status"]) => ({
    metadata: { resourceVersion: metadata.resourceVersion },
    status: fields,
  });
  switch (wanted.type) {
    case "parents": {
      const present = status?.parents ?? [];
      const ours = present.filter(({ controllerName }) => controllerName === CONTROLLER_NAME);
      const others = present.filter(({ controllerName }) => controllerName !== CONTROLLER_NAME);
      const entries = wanted.parents.map((entry) => {
        const before = ours.find(({ parentRef }) => text(parentRef) === text(entry.parentRef));
        return { ...entry, conditions: dated(entry.conditions, before?.conditions ?? [], now) };
      });
      if (text(entries) === text(ours)) return undefined;
      return patch({ parents: [...others, ...entries].slice(0, PARENTS_MAX) });
    }
    case "conditions": {
      const present = status?.conditions ?? [];
      const types = new Set<string>(wanted.conditions.map(({ type }) => type));
      const others = present.filter(({ type }) => !types.has(type));
      const conditions = [...others, ...dated(wanted.conditions, present, now)];
      const { targetRef } = wanted;
      const isSameTarget = targetRef === undefined || text(targetRef) === text(status?.targetRef);
      if (isSameTarget && text(conditions) === text(present)) return undefined;
      return patch({ conditions, ...(targetRef === undefined ? {} : { targetRef }) });
    }
  }
}
