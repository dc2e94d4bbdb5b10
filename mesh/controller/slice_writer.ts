/** Writes the EndpointSlices of external workloads, as long as this replica leads. */
import type { KubeClient } from "../source/kube/client.ts";
import { isStatus } from "../source/kube/error.ts";
import { RESOURCES } from "../source/kube/resource.ts";
import type { Snapshot } from "../state/snapshot.ts";
import type { Latest } from "../state/subscribe.ts";
import type { Log } from "./log.ts";
import { forEach, reconciling } from "./reconcile.ts";
import { MANAGER, sliceChanges, sliceObject } from "./workload_slices.ts";

const WRITES_AT_ONCE = 4;
const RESYNC_MS = 600_000;

export interface SliceWriterOptions {
  readonly client: KubeClient;
  readonly snapshots: Latest<Snapshot>;
  readonly log: Log;
}

function isRelevant(before: Snapshot, after: Snapshot): boolean {
  return (
    before.ExternalWorkload !== after.ExternalWorkload ||
    (after.ExternalWorkload.size > 0 &&
      (before.Service !== after.Service || before.EndpointSlice !== after.EndpointSlice))
  );
}

/** Writes until `signal` aborts. */
export async function writeSlices(options: SliceWriterOptions, signal: AbortSignal): Promise<void> {
  const { snapshots } = options;
  const listen = (wake: () => void) =>
    snapshots.listen((after, before) => {
      if (isRelevant(before, after)) wake();
    });
  await reconciling({ listen, reconcile: () => reconcile(options, signal), resyncMs: RESYNC_MS }, signal);
}

async function reconcile(
  { client, snapshots, log }: SliceWriterOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const { write, remove } = sliceChanges(snapshots.value);
  const attempt = async (object: string, act: () => Promise<unknown>): Promise<boolean> => {
    try {
      await act();
      return true;
    } catch (error) {
      if (isStatus(error, 404)) return true;
      if (signal.aborted) return false;
      const reason = error instanceof Error ? error.message : String(error);
      log("warn", "endpoint slice not written", { object, reason });
      return false;
    }
  };
  const limits = { atOnce: WRITES_AT_ONCE, signal };
  const isWritten = await forEach(write, limits, (slice) => {
    const { namespace, name } = slice;
    const ref = { type: RESOURCES.endpointSlices, namespace, name };
    const options = { fieldManager: MANAGER, force: true, signal };
    return attempt(`${namespace}/${name}`, () => client.apply(ref, sliceObject(slice), options));
  });
  const isRemoved = await forEach(remove, limits, ({ meta: { namespace, name, uid } }) => {
    const ref = { type: RESOURCES.endpointSlices, namespace, name };
    return attempt(`${namespace}/${name}`, () => client.delete(ref, { uid, signal }));
  });
  return isWritten && isRemoved;
}
