/** Writes the conditions of routes and policies into the API server, as long as this replica leads. */
import type { KeySets } from "../model/jwks.ts";
import { KINDS, type Kind } from "../model/objects.ts";
import type { MeshSettings } from "../model/settings.ts";
import { statuses, type WrittenStatus } from "../policy/written_status.ts";
import type { KubeClient } from "../source/kube/client.ts";
import type { ServedType } from "../source/kube/discovery.ts";
import { KubeError } from "../source/kube/error.ts";

import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import type { Log } from "./log.ts";
import { forEach, reconciling } from "./reconcile.ts";
import { statusPatch } from "./status_patch.ts";

/** After this time everything is compared with the API server again, in case somebody else wrote our entries. */
const RESYNC_MS = 600_000;
/** Objects that are written at a time. */
const WRITES_AT_ONCE = 8;
const FIELD_MANAGER = "linkerd.io/policy-controller";

/** Kinds that change all the time and that no condition depends on. */
const IRRELEVANT: ReadonlySet<Kind> = new Set<Kind>(["EndpointSlice", "Node", "Pod"]);

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly snapshots: Latest<Snapshot>;
  readonly settings: MeshSettings;
  readonly keySets: Latest<KeySets>;
  /** The served type of a kind. */
  readonly typeOf: (group: string, kind: string) => ServedType | undefined;
  readonly log: Log;
  readonly counts: StatusCounts;
}

/** What was written. */
export interface StatusCounts {
  written: number;
  failed: number;
}

function keyOf({ group, kind, namespace, name }: WrittenStatus): string {
  return `${group}/${kind}/${namespace}/${name}`;
}

/** Whether anything changed that a condition may depend on. */
function isRelevant(before: Snapshot, after: Snapshot): boolean {
  return KINDS.some((kind) => !IRRELEVANT.has(kind) && before[kind] !== after[kind]);
}

/** Writes until `signal` aborts. */
export async function writeStatuses(options: StatusWriterOptions, signal: AbortSignal): Promise<void> {
  const { snapshots, settings, keySets } = options;
  /** What is known to stand in the API server, by object. */
  let known = new Map<string, string>();
  let resyncAtMs = performance.now() + RESYNC_MS;
  const reconcile = (): Promise<boolean> => {
    if (performance.now() >= resyncAtMs) {
      known = new Map();
      resyncAtMs = performance.now() + RESYNC_MS;
    }
    const wanted = statuses(snapshots.value, settings, keySets.value);
    const present = new Set(wanted.map(keyOf));
    for (const key of known.keys()) if (!present.has(key)) known.delete(key);
    const due = wanted.filter((one) => known.get(keyOf(one)) !== JSON.stringify(one.status));
    return forEach(due, { atOnce: WRITES_AT_ONCE, signal }, async (one) => {
      const isWritten = await write(one, options, signal);
      if (isWritten) known.set(keyOf(one), JSON.stringify(one.status));
      return isWritten;
    });
  };
  const listen = (wake: () => void) => {
    const stops = [
      snapshots.listen((after, before) => {
        if (isRelevant(before, after)) wake();
      }),
      keySets.listen(wake),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  };
  await reconciling({ listen, reconcile, resyncMs: RESYNC_MS }, signal);
}

/** Writes one status; false if it has to be tried again. */
async function write(
  { group, kind, namespace, name, status }: WrittenStatus,
  { client, typeOf, log, counts }: StatusWriterOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const type = typeOf(group, kind);
  // A schema without a place for conditions gets none.
  if (type === undefined || !type.subresources.includes("status")) return true;
  const ref = { type, namespace, name };
  try {
    const object = await client.find(ref, signal);
    if (object === undefined) return true;
    const body = statusPatch(status, object, new Date().toISOString().replace(/\.\d+Z/, "Z"));
    if (body === undefined) return true;
    const patch = { type: "merge", body } as const;
    await client.patch({ ...ref, subresource: "status" }, patch, { fieldManager: FIELD_MANAGER, signal });
    counts.written += 1;
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    // Written by somebody else in between, or gone: the next look tells.
    if (error instanceof KubeError && (error.status === 409 || error.status === 404)) return false;
    counts.failed += 1;
    const reason = error instanceof Error ? error.message : String(error);
    log("warn", "status not written", { kind, object: `${namespace}/${name}`, reason });
    return false;
  }
}
