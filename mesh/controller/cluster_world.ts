/** A cluster wired to the fold: API server → accepted objects → snapshot. */
import { DECODERS } from "../source/decode/decode.ts";
import type { KubeClient } from "../source/kube/client.ts";
import { ClusterSource, type KindReport, type SourceEvent, type Written } from "../source/kube/source.ts";
import type { Problem } from "../source/manifests/document.ts";
import type { Kind } from "../model/objects.ts";
import { applyAll, emptySnapshot, relistAll, type Event } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import { Lags } from "./lags.ts";
import type { Log } from "./log.ts";
import { logProblems, type World } from "./world.ts";

/** Changes that arrive within this time of each other are folded together. */
const GATHER_MS = 5;
/** The same failure of the same kind is logged again after this time. */
const LOG_AGAIN_MS = 60_000;

/** What a cluster says, and how it is heard. */
export interface ClusterWorld extends World {
  readonly kinds: () => readonly KindReport[];
  readonly isSynced: () => boolean;
  readonly lags: Lags;
}

/** Kinds that mean something to discovery and policy. Accounts are only names there. */
const FOLLOWED = DECODERS.filter(({ kind }) => kind !== "ServiceAccount");

function eventsOf(event: SourceEvent): readonly Event[] {
  switch (event.type) {
    case "relist":
      return relistAll(event.objects).filter(({ kind }) => kind === event.kind);
    case "upsert":
      return [{ type: "upsert", ...event.tagged }];
    case "remove":
      return [{ type: "remove", kind: event.kind, key: event.key }];
  }
}

/** Logs a failure when it is a new one, and now and then while it lasts. */
function failureLog(log: Log): (what: string, error: unknown, pauseMs: number) => void {
  const told = new Map<string, { readonly text: string; readonly atMs: number }>();
  return (what, error, pauseMs) => {
    const text = error instanceof Error ? error.message : String(error);
    const before = told.get(what);
    if (before?.text === text && Date.now() - before.atMs < LOG_AGAIN_MS) return;
    told.set(what, { text, atMs: Date.now() });
    log("warn", "cannot follow", { what, reason: text, nextTryMs: Math.round(pauseMs) });
  };
}

/** Starts to follow a cluster. */
export function followKube(
  client: KubeClient,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): ClusterWorld {
  // Revisions grow over restarts, too: there are fewer changes than milliseconds.
  const snapshots = new Latest(emptySnapshot(), Date.now());
  const problems = new Latest<readonly Problem[]>([]);
  const lags = new Lags();
  const first = Promise.withResolvers<void>();
  let pending: SourceEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    timer = undefined;
    const events = pending;
    pending = [];
    snapshots.set(applyAll(snapshots.value, events.flatMap(eventsOf)));
    if (source.isSynced()) first.resolve();
  };
  const onEvents = (events: readonly SourceEvent[], written: readonly Written[]): void => {
    for (const event of events) pending.push(event);
    for (const { kind, at } of written) lags.saw(kind, (Date.now() - Date.parse(at)) / 1_000);
    timer ??= setTimeout(flush, GATHER_MS);
  };
  const onProblems = (all: readonly Problem[]): void => {
    logProblems(log, problems.value, all);
    problems.set(all);
  };
  const onServed = (kind: Kind, version: string | undefined): void =>
    log("info", version === undefined ? "kind is no longer served" : "following kind", { kind, version });
  const listener = { onEvents, onProblems, onServed, onFailure: failureLog(log) };
  const source = new ClusterSource(client, FOLLOWED, { listener, signal });
  const ended = async (): Promise<void> => {
    await source.done;
    clearTimeout(timer);
    first.reject(new Error("stopped before the cluster was read"));
  };
  // Whoever does not wait for the first list is not to be disturbed by its failure.
  first.promise.catch(() => undefined);
  return {
    snapshots,
    problems,
    loaded: first.promise,
    done: ended(),
    kinds: () => source.reports(),
    isSynced: () => source.isSynced(),
    lags,
  };
}
