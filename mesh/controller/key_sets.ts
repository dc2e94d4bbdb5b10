/** The keys of the issuers that JWTAuthentications name by URI: fetched, refreshed, and kept when a fetch fails. */
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { KeyLocation } from "../model/authentication.ts";
import { keyOfLocation, type KeySets } from "../model/jwks.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { Latest } from "../state/subscribe.ts";
import type { FetchedKeys } from "./key_fetch.ts";
import type { Log } from "./log.ts";

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;
/** Issuers followed; more are reported and have no keys. */
const LOCATIONS_MAX = 256;

/** How one location fares. */
export interface KeyReport {
  readonly uri: string;
  readonly keys: number;
  /** When the keys in force were fetched, milliseconds since 1970. */
  readonly fetchedMs: number | undefined;
  readonly failures: number;
  /** Of the last attempt. */
  readonly error: string | undefined;
}

export interface KeyFollower {
  readonly sets: Latest<KeySets>;
  readonly reports: () => readonly KeyReport[];
  /** Ends when `signal` aborts and every fetch is over. */
  readonly done: Promise<void>;
}

interface Follow {
  readonly stop: AbortController;
  readonly done: Promise<void>;
  report: KeyReport;
}

export interface KeyOptions {
  readonly fetch: (location: KeyLocation, signal: AbortSignal) => Promise<FetchedKeys>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Locations that objects name, each once. */
function locationsOf(snapshot: Snapshot): ReadonlyMap<string, KeyLocation> {
  const all = [...snapshot.JWTAuthentication.values()].flatMap(({ keys }) =>
    keys.type === "uri" ? [keys] : [],
  );
  return new Map(all.map((location) => [keyOfLocation(location), location]));
}

/** Follows every location that the snapshots name. */
export function followKeys(snapshots: Latest<Snapshot>, options: KeyOptions): KeyFollower {
  const { log, signal } = options;
  const sets = new Latest<KeySets>(new Map());
  const follows = new Map<string, Follow>();
  const ending = new Set<Promise<void>>();
  const begin = (key: string, location: KeyLocation): void => {
    const stop = new AbortController();
    const report: KeyReport = {
      uri: location.uri,
      keys: 0,
      fetchedMs: undefined,
      failures: 0,
      error: undefined,
    };
    const follow: Follow = {
      stop,
      report,
      done: followOne(location, { ...options, signal: AbortSignal.any([signal, stop.signal]) }, (heard) => {
        follow.report = { ...follow.report, ...heard.report(follow.report) };
        if (heard.keys !== undefined && !isDeepStrictEqual(sets.value.get(key)?.keys, heard.keys)) {
          sets.set(new Map(sets.value).set(key, { keys: heard.keys }));
        }
      }),
    };
    follows.set(key, follow);
  };
  const look = (snapshot: Snapshot): void => {
    const wanted = locationsOf(snapshot);
    for (const [key, { stop, done }] of follows) {
      if (wanted.has(key)) continue;
      stop.abort();
      const over = done.finally(() => ending.delete(over));
      ending.add(over);
      follows.delete(key);
      const left = new Map(sets.value);
      if (left.delete(key)) sets.set(left);
    }
    for (const [key, location] of wanted) {
      if (follows.has(key)) continue;
      if (follows.size < LOCATIONS_MAX) begin(key, location);
      else log("error", "too many key locations", { uri: location.uri, most: LOCATIONS_MAX });
    }
  };
  look(snapshots.value);
  const stopListening = snapshots.listen(look);
  const over = Promise.withResolvers<void>();
  signal.addEventListener(
    "abort",
    () => {
      stopListening();
      Promise.all([...ending, ...[...follows.values()].map(({ done }) => done)]).then(
        () => over.resolve(),
        over.reject,
      );
    },
    { once: true },
  );
  return { sets, reports: () => [...follows.values()].map(({ report }) => report), done: over.promise };
}

interface Heard {
  readonly keys?: FetchedKeys["keys"];
  readonly report: (before: KeyReport) => Partial<KeyReport>;
}

/** Fetches one location again and again. A failure changes nothing that was learnt before. */
async function followOne(
  location: KeyLocation,
  { fetch, log, signal }: KeyOptions,
  hear: (heard: Heard) => void,
): Promise<void> {
  const { uri } = location;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const { keys, problems } = await fetch(location, signal);
      if (failures > 0) log("info", "key set fetched again", { uri, keys: keys.length });
      if (problems.length > 0)
        log("warn", "keys of a set are not usable", { uri, problems: problems.join("; ") });
      failures = 0;
      hear({ keys, report: () => ({ keys: keys.length, fetchedMs: Date.now(), error: undefined }) });
    } catch (error) {
      if (signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      failures += 1;
      if (failures === 1)
        log("warn", "key set cannot be fetched; the last one stays in force", { uri, reason });
      hear({ report: (before) => ({ failures: before.failures + 1, error: reason }) });
    }
    const pauseMs =
      failures === 0
        ? location.refreshMs
        : Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures - 1, 10), location.refreshMs);
    // Many control planes must not ask one issuer in step.
    await sleep(pauseMs * (0.9 + Math.random() * 0.2), undefined, { signal }).catch(() => undefined);
  }
}
