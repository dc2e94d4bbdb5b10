/**
 * One collection of an API server, followed for as long as it is wanted: a list, then what changes, again and again.
 *
 * It never ends by itself. A watch that the server ends is resumed where it stood; one that fell too far behind (410)
 * begins with a list; one that is silent for longer than a live one counts as broken; every failure is reported, and
 * tried again after a pause that grows and is not the same for everybody.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { METADATA_ONLY, type KubeClient } from "./client.ts";
import { KubeError } from "./error.ts";
import { Head, INITIAL_EVENTS_END, type WatchEvent } from "./object.ts";
import type { CollectionRef } from "./resource.ts";

/** Pause after the first failure, and the longest one. Short enough that a server that is back is found soon. */
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 5_000;
/** A watch that lived this long was a good one: the next failure is a first one. */
const GOOD_MS = 10_000;
/** Servers are asked to end watches after a time between these, so that replicas do not reconnect together. */
const WATCH_SECONDS_MIN = 240;
const WATCH_SECONDS_MAX = 480;
/** Servers send a bookmark about once a minute; after this silence the connection is given up. */
const SILENCE_MS_MAX = 150_000;

/** What is heard of a collection. */
export type Heard<T> =
  /** Now comes all there is, in parts up to the `end`. One that is not ended before the next began is void. */
  | { readonly type: "begin" }
  | { readonly type: "part"; readonly items: readonly T[] }
  | { readonly type: "end" }
  | { readonly type: "changes"; readonly changes: readonly Change<T>[] };

export interface Change<T> {
  readonly type: "upsert" | "remove";
  readonly item: T;
}

/** How following goes. Written by `follow`, read by metrics and readiness. */
export interface Progress {
  /** Whether a list was heard. */
  isSynced: boolean;
  lists: number;
  watches: number;
  failures: number;
  /** The failure that is being waited out; absent while all is well. */
  trouble: string | undefined;
  /** When the server last said anything, by the clock of `nowMs`. */
  heardMs: number;
}

export function noProgress(): Progress {
  return { isSynced: false, lists: 0, watches: 0, failures: 0, trouble: undefined, heardMs: 0 };
}

/** The calls that are needed of a client. */
export type Lister = Pick<KubeClient, "pages" | "watchBatches">;

export interface FollowOptions<T> {
  readonly client: Lister;
  readonly ref: CollectionRef;
  readonly fieldSelector?: string | undefined;
  /** Only heads are wanted: what is in the objects does not travel. */
  readonly isMetadataOnly?: boolean | undefined;
  /** What is kept of an object as it came. Called at once, so that the rest is not held. */
  readonly read: (object: unknown) => T;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Told of each failure before the pause after it. */
  readonly onFailure: (error: unknown, pauseMs: number) => void;
  /** For tests. */
  readonly timing?: Timing;
}

/** Time and chance. */
export interface Timing {
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
}

const REAL: Timing = {
  nowMs: () => Date.now(),
  random: Math.random,
  pause: async (ms, signal) => {
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  },
};

/** The pause before try number `failures` (from 1): doubles, and is spread over its upper half. */
export function pauseMs(failures: number, random: () => number): number {
  const full = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(20, failures - 1));
  return full * (0.5 + random() / 2);
}

/** A server without the feature refuses to begin a watch with what there is (KEP-3157). */
function isWithoutWatchList(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 422 || error.status === 400);
}

interface Place {
  /** Where the next watch begins; absent: with everything. */
  version: string | undefined;
  hasWatchList: boolean;
}

/** Follows a collection until `signal` aborts. */
export async function* follow<T>(options: FollowOptions<T>): AsyncGenerator<Heard<T>, void> {
  const { signal, progress, onFailure, timing = REAL } = options;
  const place: Place = { version: undefined, hasWatchList: true };
  let failures = 0;
  while (!signal.aborted) {
    const beganMs = timing.nowMs();
    try {
      if (place.version === undefined && !place.hasWatchList) yield* listed(options, place);
      yield* watched(options, place);
      // Ended by the server, as it does from time to time; one that ends at once is no better than a failure.
      if (timing.nowMs() - beganMs >= GOOD_MS) {
        failures = 0;
        continue;
      }
      failures += 1;
      await timing.pause(pauseMs(failures, timing.random), signal);
    } catch (error) {
      if (signal.aborted) return;
      if (place.version === undefined && place.hasWatchList && isWithoutWatchList(error)) {
        place.hasWatchList = false;
        continue;
      }
      const isExpired = error instanceof KubeError && error.isExpired;
      if (isExpired) place.version = undefined;
      // A server that says "too old" is there.
      failures = isExpired || timing.nowMs() - beganMs >= GOOD_MS ? 1 : failures + 1;
      progress.failures += 1;
      progress.trouble = error instanceof Error ? error.message : String(error);
      const waitMs = pauseMs(failures, timing.random);
      onFailure(error, waitMs);
      await timing.pause(waitMs, signal);
    }
  }
}

function heard<T>({ progress, timing = REAL }: FollowOptions<T>): void {
  progress.heardMs = timing.nowMs();
  progress.trouble = undefined;
}

async function* listed<T>(options: FollowOptions<T>, place: Place): AsyncGenerator<Heard<T>, void> {
  const { client, ref, fieldSelector, isMetadataOnly, read, signal } = options;
  const accept = isMetadataOnly === true ? METADATA_ONLY.list : undefined;
  let version = "";
  yield { type: "begin" };
  for await (const page of client.pages(ref, { fieldSelector, accept, signal })) {
    yield { type: "part", items: page.items.map(read) };
    version = page.resourceVersion;
  }
  yield ended(options);
  place.version = version;
}

/** The end of a list. */
function ended<T>(options: FollowOptions<T>): Heard<T> {
  heard(options);
  options.progress.lists += 1;
  options.progress.isSynced = true;
  return { type: "end" };
}

async function* watched<T>(options: FollowOptions<T>, place: Place): AsyncGenerator<Heard<T>, void> {
  const { client, ref, fieldSelector, isMetadataOnly, read, progress, signal, timing = REAL } = options;
  const seconds = WATCH_SECONDS_MIN + timing.random() * (WATCH_SECONDS_MAX - WATCH_SECONDS_MIN);
  // Whether what comes is still what there was when the watch began.
  let isInitial = place.version === undefined;
  const batches = client.watchBatches(ref, {
    fieldSelector,
    accept: isMetadataOnly === true ? METADATA_ONLY.watch : undefined,
    signal,
    resourceVersion: place.version,
    sendInitialEvents: isInitial,
    timeoutSeconds: Math.round(seconds),
    silenceMsMax: SILENCE_MS_MAX,
  });
  progress.watches += 1;
  if (isInitial) yield { type: "begin" };
  for await (const batch of batches) {
    heard(options);
    let changes: Change<T>[] = [];
    let version: string | undefined;
    for (const event of batch) {
      const { metadata } = Head.parse(event.object);
      if (event.type === "BOOKMARK" && isInitial) {
        if (metadata.annotations?.[INITIAL_EVENTS_END] !== "true") continue;
        if (changes.length > 0) yield partOf(changes);
        changes = [];
        yield ended(options);
        isInitial = false;
      }
      // Before the end of the initial events there is no place to resume from.
      if (!isInitial) version = metadata.resourceVersion;
      const change = changeOf(event, read);
      if (change !== undefined) changes.push(change);
    }
    if (changes.length > 0) yield isInitial ? partOf(changes) : { type: "changes", changes };
    // Only now is what the version says in the hands of the reader.
    if (version !== undefined && version !== "") place.version = version;
  }
}

function partOf<T>(changes: readonly Change<T>[]): Heard<T> {
  return { type: "part", items: changes.flatMap(({ type, item }) => (type === "upsert" ? [item] : [])) };
}

function changeOf<T>({ type, object }: WatchEvent, read: (object: unknown) => T): Change<T> | undefined {
  switch (type) {
    case "ADDED":
    case "MODIFIED":
      return { type: "upsert", item: read(object) };
    case "DELETED":
      return { type: "remove", item: read(object) };
    case "BOOKMARK":
      return undefined;
  }
}
