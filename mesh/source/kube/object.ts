/** Kubernetes' JSON at the boundary: objects, lists, watch events and refusals. Pure. */
import { z } from "zod";

const Strings = z.record(z.string(), z.string());

/** The parts of `metadata` that are used; the rest is kept as it is. */
const Metadata = z.looseObject({
  name: z.string().default(""),
  namespace: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: z.number().optional(),
  creationTimestamp: z.string().nullish(),
  deletionTimestamp: z.string().nullish(),
  labels: Strings.nullish(),
  annotations: Strings.nullish(),
});

/** Any object. Fields outside the head are `unknown`: read them with a schema of your own. */
export const KubeObject = z.looseObject({
  apiVersion: z.string().default(""),
  kind: z.string().default(""),
  metadata: Metadata,
});
export type KubeObject = z.infer<typeof KubeObject>;

/** A page of a list. Items of built-in types carry no `apiVersion` and `kind` of their own. */
export const KubeList = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    resourceVersion: z.string().default(""),
    continue: z.string().optional(),
  }),
  items: z.array(z.unknown()).nullish(),
});

/** An answer that says how a call ended. */
export const Status = z.looseObject({
  kind: z.literal("Status"),
  code: z.number().default(0),
  reason: z.string().default(""),
  message: z.string().default(""),
});

/** What a watch says. `object` is as it came; a bookmark's has only its resource version. */
export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: unknown;
}

/** One line of a watch. */
export const WatchLine = z.object({
  type: z.enum(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]),
  object: z.unknown(),
});

/** Marks the bookmark after the last object that existed when a watch with `sendInitialEvents` began (KEP-3157). */
export const INITIAL_EVENTS_END = "k8s.io/initial-events-end";

/** The head of an object that came in a watch, or of a bookmark. */
export const Head = z.object({
  metadata: z.object({
    name: z.string().default(""),
    namespace: z.string().default(""),
    resourceVersion: z.string().default(""),
    annotations: Strings.nullish(),
  }),
});
