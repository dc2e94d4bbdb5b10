/** A loop that makes the API server agree with what is computed from the world, again after each change. */
import { setTimeout as sleep } from "node:timers/promises";

/** Changes within this time are looked at together. */
const GATHER_MS = 100;
/** After this time what failed is tried again. */
const RETRY_MS = 5_000;

export interface Reconciliation {
  /** Calls `wake` when what `reconcile` depends on may have changed; returns what ends that. */
  readonly listen: (wake: () => void) => () => void;
  /** Looks at the world as it is and writes what differs; false if something has to be tried again. */
  readonly reconcile: (signal: AbortSignal) => Promise<boolean>;
  /** Everything is looked at again after this time without a change. */
  readonly resyncMs: number;
}

/** Reconciles until `signal` aborts. */
export async function reconciling(
  { listen, reconcile, resyncMs }: Reconciliation,
  signal: AbortSignal,
): Promise<void> {
  let changed = new AbortController();
  const stop = listen(() => changed.abort());
  try {
    while (!signal.aborted) {
      changed = new AbortController();
      const isDone = await reconcile(signal);
      const wake = AbortSignal.any([changed.signal, signal]);
      await sleep(isDone ? resyncMs : RETRY_MS, undefined, { signal: wake }).catch(() => undefined);
      if (!signal.aborted) await sleep(GATHER_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    stop();
  }
}

/** Does `work` on every item, `atOnce` at a time; whether all went well. */
export async function forEach<T>(
  items: readonly T[],
  { atOnce, signal }: { readonly atOnce: number; readonly signal: AbortSignal },
  work: (item: T) => Promise<boolean>,
): Promise<boolean> {
  const queue = [...items];
  let isAllWell = true;
  const worker = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined && !signal.aborted; one = queue.shift())
      if (!(await work(one))) isAllWell = false;
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return isAllWell;
}
