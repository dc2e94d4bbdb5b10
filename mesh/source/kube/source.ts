/**
 * Everything the mesh needs to know of a cluster: each kind that the API server serves is followed, in the newest version
 * that both sides know; a kind that appears later is followed from then on, one that is gone takes its objects along.
 *
 * All kinds are followed whole from the start, whatever proxies ask for: an answer needs the joins of services, slices,
 * pods and policies at once, and a first question must not wait for a list. What is heavy is left with the server:
 * finished pods, the bodies of namespaces, and every field and annotation that means nothing here.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Kind, Tagged } from "../../model/objects.ts";
import type { Decoder } from "../decode/kind.ts";
import type { Problem } from "../manifests/document.ts";
import { Accepted } from "./accepted.ts";
import type { KubeClient } from "./client.ts";
import { discover, newestServed, type ServedType } from "./discovery.ts";
import { follow, noProgress, type Heard, type Progress } from "./follow.ts";
import { reader, type ReadObject } from "./read.ts";
import { apiVersionOf, describeRef } from "./resource.ts";

/** How often the server is asked what it serves. */
const DISCOVERY_MS = 5_000;
/** The same before the first answer. */
const FIRST_DISCOVERY_MS = 500;
/** A kind counts as gone when this many answers in a row do not have it: a server that starts tells of its kinds bit by bit. */
const ABSENCES_MAX = 3;

/** Kinds of which nothing but the head is used. */
const HEADS_ONLY: ReadonlySet<Kind> = new Set<Kind>(["Namespace", "ServiceAccount"]);
/** Pods that ended are nobody's endpoints, and clusters with many jobs have many of them. */
const UNFINISHED_PODS = "status.phase!=Succeeded,status.phase!=Failed";

/** What the fold is told. */
export type SourceEvent =
  | { readonly type: "relist"; readonly kind: Kind; readonly objects: readonly Tagged[] }
  | { readonly type: "upsert"; readonly tagged: Tagged }
  | { readonly type: "remove"; readonly kind: Kind; readonly key: string };

/** How one kind is followed. */
export interface KindReport {
  readonly kind: Kind;
  readonly group: string;
  /** As it is followed. Absent: the server does not serve it. */
  readonly type: ServedType | undefined;
  readonly objects: number;
  readonly progress: Readonly<Progress>;
}

/** What happens outside the stream of events. */
export interface SourceListener {
  /** Objects changed; those that arrived together come together. `written` says when changed objects were written. */
  readonly onEvents: (events: readonly SourceEvent[], written: readonly Written[]) => void;
  /** All problems there are, when one came or went. */
  readonly onProblems: (problems: readonly Problem[]) => void;
  /** A list or watch failed and will be tried again. */
  readonly onFailure: (what: string, error: unknown, pauseMs: number) => void;
  readonly onServed: (kind: Kind, version: string | undefined) => void;
}

/** A change of an object, and when it was written as far as the server says. */
export interface Written {
  readonly kind: Kind;
  readonly at: string;
}

/** One kind. */
class Followed {
  readonly decoder: Decoder;
  readonly accepted = new Accepted();
  progress: Progress = noProgress();
  type: ServedType | undefined;
  absences = 0;
  stop: AbortController | undefined;
  done: Promise<void> = Promise.resolve();

  constructor(decoder: Decoder) {
    this.decoder = decoder;
  }
}

/** The kinds of `decoders`, followed until `signal` aborts. */
export class ClusterSource {
  /** Ends when the signal aborts and nothing is under way any more. */
  readonly done: Promise<void>;
  readonly #client: KubeClient;
  readonly #kinds: readonly Followed[];
  readonly #listener: SourceListener;
  readonly #signal: AbortSignal;
  #isDiscovered = false;

  constructor(
    client: KubeClient,
    decoders: readonly Decoder[],
    { listener, signal }: { readonly listener: SourceListener; readonly signal: AbortSignal },
  ) {
    this.#client = client;
    this.#kinds = decoders.map((decoder) => new Followed(decoder));
    this.#listener = listener;
    this.#signal = signal;
    this.done = this.#run();
  }

  reports(): readonly KindReport[] {
    return this.#kinds.map(({ decoder, type, accepted, progress }) => ({
      kind: decoder.kind,
      group: decoder.group,
      type,
      objects: accepted.size,
      progress,
    }));
  }

  /** Whether every kind that is served was listed once. */
  isSynced(): boolean {
    return (
      this.#isDiscovered && this.#kinds.every(({ type, progress }) => type === undefined || progress.isSynced)
    );
  }

  async #run(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        await this.#look();
      } catch (error) {
        if (!this.#signal.aborted) this.#listener.onFailure("discovery", error, DISCOVERY_MS);
      }
      const waitMs = this.#isDiscovered ? DISCOVERY_MS : FIRST_DISCOVERY_MS;
      await sleep(waitMs, undefined, { signal: this.#signal }).catch(() => undefined);
    }
    await Promise.all(this.#kinds.map(({ done }) => done));
  }

  async #look(): Promise<void> {
    const types = await discover(this.#client, this.#signal);
    for (const one of this.#kinds) {
      const type = newestServed(types, one.decoder);
      if (type === undefined) {
        if (one.type === undefined) continue;
        one.absences += 1;
        if (one.absences < ABSENCES_MAX) continue;
        await this.#end(one);
        this.#listener.onServed(one.decoder.kind, undefined);
        this.#hear(one, { type: "begin" });
        this.#hear(one, { type: "end" });
        continue;
      }
      one.absences = 0;
      if (one.type?.version === type.version) continue;
      // The first list in the new version heals whatever differs; until then the old objects stay.
      if (one.type !== undefined) await this.#end(one);
      this.#begin(one, type);
    }
    this.#isDiscovered = true;
  }

  #begin(one: Followed, type: ServedType): void {
    const stop = new AbortController();
    one.type = type;
    one.stop = stop;
    this.#listener.onServed(one.decoder.kind, type.version);
    const what = describeRef({ type });
    const options = {
      client: this.#client,
      ref: { type },
      fieldSelector: one.decoder.kind === "Pod" ? UNFINISHED_PODS : undefined,
      isMetadataOnly: HEADS_ONLY.has(one.decoder.kind),
      read: reader(one.decoder, apiVersionOf(type)),
      progress: one.progress,
      signal: AbortSignal.any([this.#signal, stop.signal]),
      onFailure: (error: unknown, pauseMs: number) => this.#listener.onFailure(what, error, pauseMs),
    };
    const run = async (): Promise<void> => {
      for await (const heard of follow(options)) this.#hear(one, heard);
    };
    one.done = run();
  }

  async #end(one: Followed): Promise<void> {
    one.stop?.abort();
    await one.done;
    one.type = undefined;
    one.progress = noProgress();
  }

  #hear(one: Followed, heard: Heard<ReadObject>): void {
    const hadProblems = one.accepted.hasProblems;
    const outcome = one.accepted.hear(heard);
    const { kind } = one.decoder;
    switch (outcome.type) {
      case "nothing":
        return;
      case "list": {
        // Two groups may share a kind; a relist is of the kind.
        const same = this.#kinds.filter(({ decoder }) => decoder.kind === kind);
        const objects = same.flatMap(({ accepted }) => [...accepted.objects()]);
        this.#listener.onEvents([{ type: "relist", kind, objects }], []);
        break;
      }
      case "changes": {
        const events = outcome.changes.map((change): SourceEvent =>
          change.type === "upsert" ? change : { type: "remove", kind, key: change.key },
        );
        if (events.length > 0) this.#listener.onEvents(events, writtenOf(kind, heard));
      }
    }
    if (hadProblems || one.accepted.hasProblems)
      this.#listener.onProblems(this.#kinds.flatMap(({ accepted }) => accepted.problems()));
  }
}

function writtenOf(kind: Kind, heard: Heard<ReadObject>): readonly Written[] {
  if (heard.type !== "changes") return [];
  return heard.changes.flatMap(({ type, item }) =>
    type === "upsert" && item.writtenAt !== undefined ? [{ kind, at: item.writtenAt }] : [],
  );
}
