/**
 * A value that changes, and the streams that follow it.
 *
 * Each reader remembers the state it was last brought to. The frame from that state to the present one is
 * encoded once, however many readers stand at the same place, and shared. A slow reader queues nothing: when it
 * can be written to again it gets one frame from where it stopped to now.
 */
import type { Frame } from "./frame.ts";
import type { RpcError } from "./status.ts";

/** The frame that takes a reader from `from` (`undefined`: it has nothing yet) to `to`; pure. */
export type Encode<S extends object> = (from: S | undefined, to: S) => Frame;

/** Who is to be told. `wake` must not throw and must not wait. */
export interface Reader {
  /** There may be something new to take. */
  wake(): void;
  /** The topic is over; nothing follows. */
  end(reason: RpcError): void;
}

/** One reader's place in a topic. */
export interface Subscription {
  /** The frame that is missing, or `undefined` when the reader has seen the present state. */
  take(): Frame | undefined;
  leave(): void;
}

/** What a server needs of a topic. */
export interface Readable {
  join(reader: Reader): Subscription;
}

/** See the head of the file. States are compared by identity and must be immutable. */
export class Topic<S extends object> implements Readable {
  #state: S;
  /** The frame for readers that have nothing. Shared by those that come together, not kept for those to come. */
  #first: WeakRef<Frame> | undefined;
  /** Frames to the present state, by the state they start from. Replaced whole when the state changes. */
  #frames = new WeakMap<S, Frame>();
  readonly #readers = new Set<Reader>();
  readonly #encode: Encode<S>;
  readonly #onIdle: () => void;

  /** `onIdle` runs when the last reader has left; the owner forgets the topic there. */
  constructor(state: S, encode: Encode<S>, onIdle: () => void) {
    this.#state = state;
    this.#encode = encode;
    this.#onIdle = onIdle;
  }

  get state(): S {
    return this.#state;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** Makes `state` the present one. Publishing the same state again does nothing. */
  publish(state: S): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#first = undefined;
    this.#frames = new WeakMap();
    for (const reader of this.#readers) reader.wake();
  }

  /** Ends every stream of this topic. */
  end(reason: RpcError): void {
    for (const reader of this.#readers) reader.end(reason);
  }

  join(reader: Reader): Subscription {
    let seen: S | undefined;
    this.#readers.add(reader);
    return {
      take: () => {
        if (seen === this.#state) return undefined;
        const frame = this.#frameFrom(seen);
        seen = this.#state;
        return frame;
      },
      leave: () => {
        if (this.#readers.delete(reader) && this.#readers.size === 0) this.#onIdle();
      },
    };
  }

  #frameFrom(seen: S | undefined): Frame {
    if (seen === undefined) {
      const shared = this.#first?.deref();
      if (shared !== undefined) return shared;
      const first = this.#encode(undefined, this.#state);
      this.#first = new WeakRef(first);
      return first;
    }
    const known = this.#frames.get(seen);
    if (known !== undefined) return known;
    const frame = this.#encode(seen, this.#state);
    this.#frames.set(seen, frame);
    return frame;
  }
}
