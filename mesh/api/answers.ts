/** Answers that are computed from a changing world and followed by many: one topic per distinct question. */
import type { RpcError } from "./status.ts";
import { Topic, type Encode, type Readable } from "./topic.ts";

/** What a question is answered with now. */
export type Answer<S> =
  | { readonly ok: true; readonly state: S }
  /** The stream is refused, or ends. */
  | { readonly ok: false; readonly refusal: RpcError };

/** A state, and the revision of the world that it was first computed from. */
export interface Versioned<S> {
  readonly version: number;
  readonly value: S;
}

export interface AnswersOptions<S extends object> {
  readonly encode: Encode<S>;
  /** Whether readers of `before` need not be told of `after`. */
  readonly same: (before: S, after: S) => boolean;
}

/** A question that somebody follows. */
interface Followed<S extends object, C> {
  readonly topic: Topic<S>;
  readonly compute: () => Answer<S>;
  readonly isTouched: (change: C) => boolean;
  readonly interests: readonly string[] | undefined;
}

/** What of a change an answer may depend on. */
export interface Dependence<C> {
  /** Must not deny a change that the answer depends on. */
  readonly isTouched: (change: C) => boolean;
  /** Names of what it may depend on, so that it is found by what changed. Absent: it is looked at on every change. */
  readonly interests?: readonly string[];
}

const ANY: Dependence<unknown> = { isTouched: () => true };

/** Topics by question. A topic lives for as long as somebody reads it. `C` tells what a change of the world can touch. */
export class Answers<S extends object, C = void> {
  readonly #options: AnswersOptions<S>;
  readonly #topics = new Map<string, Followed<S, C>>();
  readonly #byInterest = new Map<string, Set<string>>();
  /** Questions that are looked at on every change. */
  readonly #always = new Set<string>();

  constructor(options: AnswersOptions<S>) {
    this.#options = options;
  }

  /** How many distinct questions are being followed. */
  get size(): number {
    return this.#topics.size;
  }

  /**
   * The topic of the question `key`; throws its refusal. `compute` must depend on nothing but the key and the world.
   */
  open(key: string, compute: () => Answer<S>, dependence: Dependence<C> = ANY): Readable {
    const known = this.#topics.get(key);
    if (known !== undefined) return known.topic;
    const answer = compute();
    if (!answer.ok) throw answer.refusal;
    const { isTouched, interests } = dependence;
    const topic = new Topic<S>(answer.state, this.#options.encode, () => this.#forget(key));
    this.#topics.set(key, { topic, compute, isTouched, interests });
    if (interests === undefined) this.#always.add(key);
    for (const interest of interests ?? [])
      this.#byInterest.set(interest, (this.#byInterest.get(interest) ?? new Set()).add(key));
    return topic;
  }

  /**
   * Computes every answer anew that the change can touch; called after each change of the world. `interests` are those
   * that the change is of; absent: of all.
   */
  refresh(change: C, interests?: readonly string[]): void {
    for (const key of this.#concerned(interests)) {
      const followed = this.#topics.get(key);
      if (followed === undefined) continue;
      const { topic, compute, isTouched } = followed;
      // Opened for a call that was over before it could join: nobody will ever leave it.
      if (topic.readers === 0) {
        this.#forget(key);
        continue;
      }
      if (!isTouched(change)) continue;
      const answer = compute();
      if (!answer.ok) topic.end(answer.refusal);
      else if (!this.#options.same(topic.state, answer.state)) topic.publish(answer.state);
    }
  }

  #concerned(interests: readonly string[] | undefined): Iterable<string> {
    if (interests === undefined) return [...this.#topics.keys()];
    const keys = new Set(this.#always);
    for (const interest of interests) for (const key of this.#byInterest.get(interest) ?? []) keys.add(key);
    return keys;
  }

  #forget(key: string): void {
    const followed = this.#topics.get(key);
    if (followed === undefined) return;
    this.#topics.delete(key);
    this.#always.delete(key);
    for (const interest of followed.interests ?? []) {
      const keys = this.#byInterest.get(interest);
      keys?.delete(key);
      if (keys?.size === 0) this.#byInterest.delete(interest);
    }
  }
}
