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
}

/** Topics by question. A topic lives for as long as somebody reads it. `C` tells what a change of the world can touch. */
export class Answers<S extends object, C = void> {
  readonly #options: AnswersOptions<S>;
  readonly #topics = new Map<string, Followed<S, C>>();

  constructor(options: AnswersOptions<S>) {
    this.#options = options;
  }

  /** How many distinct questions are being followed. */
  get size(): number {
    return this.#topics.size;
  }

  /**
   * The topic of the question `key`; throws its refusal. `compute` must depend on nothing but the key and the world, and
   * `isTouched` must not deny a change that it depends on.
   */
  open(key: string, compute: () => Answer<S>, isTouched: (change: C) => boolean = () => true): Readable {
    const known = this.#topics.get(key);
    if (known !== undefined) return known.topic;
    const answer = compute();
    if (!answer.ok) throw answer.refusal;
    const topic = new Topic<S>(answer.state, this.#options.encode, () => void this.#topics.delete(key));
    this.#topics.set(key, { topic, compute, isTouched });
    return topic;
  }

  /** Computes every answer anew that the change can touch; called after each change of the world. */
  refresh(change: C): void {
    for (const [key, { topic, compute, isTouched }] of this.#topics) {
      // Opened for a call that was over before it could join: nobody will ever leave it.
      if (topic.readers === 0) {
        this.#topics.delete(key);
        continue;
      }
      if (!isTouched(change)) continue;
      const answer = compute();
      if (!answer.ok) topic.end(answer.refusal);
      else if (!this.#options.same(topic.state, answer.state)) topic.publish(answer.state);
    }
  }
}
