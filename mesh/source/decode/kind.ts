/** How a manifest becomes an object of the model: one schema per kind, unknown fields left alone. */
import { z } from "zod";
import type { Meta } from "../../model/meta.ts";
import type { Kind, Tagged } from "../../model/objects.ts";
import type { ManifestObject } from "../manifests/document.ts";

/** What is wrong with one field. */
export interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

export type Decoded =
  /** `notes` are fields that were understood and are not honoured yet. */
  | { readonly ok: true; readonly tagged: Tagged; readonly notes: readonly Issue[] }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/** Reads the objects of one kind. */
export interface Decoder {
  readonly group: string;
  readonly kind: Kind;
  readonly versions: readonly string[];
  readonly decode: (object: ManifestObject) => Decoded;
}

/** A decoder from the schema of everything but `apiVersion`, `kind` and `metadata`. */
export function decoder<S extends z.ZodType>(
  head: { readonly group: string; readonly kind: Kind; readonly versions: readonly string[] },
  schema: S,
  build: (meta: Meta, body: z.output<S>) => Tagged,
  notes: (body: z.output<S>) => readonly Issue[] = () => [],
): Decoder {
  return {
    ...head,
    decode: (object) => {
      const body = schema.safeParse(object.rest);
      if (!body.success) {
        return { ok: false, issues: body.error.issues.map(({ path, message }) => ({ path, message })) };
      }
      return { ok: true, tagged: build(metaOf(object), body.data), notes: notes(body.data) };
    },
  };
}

/** The head of an object, as the model keeps it. */
function metaOf({ metadata }: ManifestObject): Meta {
  const createdMs = Date.parse(metadata.creationTimestamp ?? "");
  const owner =
    metadata.ownerReferences.find((reference) => reference.controller) ?? metadata.ownerReferences[0];
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid ?? "",
    labels: metadata.labels,
    annotations: metadata.annotations,
    createdMs: Number.isNaN(createdMs) ? 0 : createdMs,
    ...(metadata.generation === undefined ? {} : { generation: metadata.generation }),
    isDeleting: metadata.deletionTimestamp !== undefined,
    owner: owner === undefined ? undefined : { kind: owner.kind, name: owner.name },
  };
}

/** Whether an optional field has a value; `null` is as good as absent. */
export function isGiven<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null;
}

/** A TCP port. */
export const Port = z.number().int().min(1).max(65_535);

/** A port by number or by name (IANA_SVC_NAME). */
export const PortOrName = z.union([
  Port,
  z
    .string()
    .max(63)
    .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, "is neither a port number nor a port name"),
]);

/** The core group is written `""` in Kubernetes and `core` by habit; both mean the same. */
export function coreGroup(group: string): string {
  return group === "core" ? "" : group;
}
