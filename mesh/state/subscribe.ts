/** Following a value that changes, bounded by keeping only the latest. */

/** A value with one writer. A follower that is slow misses what lay between, never the last. */
export class Latest<T> {
  #value: T;
  #revision: number;
  readonly #listeners = new Set<(value: T, before: T) => void>();

  /** `revision` is that of `value`; each change adds one. */
  constructor(value: T, revision = 0) {
    this.#value = value;
    this.#revision = revision;
  }

  get revision(): number {
    return this.#revision;
  }

  get value(): T {
    return this.#value;
  }

  /** Replaces the value; the same value again is no change. */
  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    const before = this.#value;
    this.#value = value;
    this.#revision += 1;
    for (const listener of this.#listeners) listener(value, before);
  }

  /** Calls `listener` on each change, at once and in turn; returns what ends that. */
  listen(listener: (value: T, before: T) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Yields the present value and then each later one that the reader is in time for, until `signal` aborts. */
  async *follow(signal: AbortSignal): AsyncGenerator<T, void> {
    let waiting: (() => void) | undefined;
    const wake = () => waiting?.();
    const stop = this.listen(wake);
    signal.addEventListener("abort", wake, { once: true });
    try {
      let seen: { readonly value: T } | undefined;
      while (!signal.aborted) {
        const value = this.#value;
        if (seen === undefined || !Object.is(seen.value, value)) {
          seen = { value };
          yield value;
          continue;
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        waiting = resolve;
        await promise;
      }
    } finally {
      stop();
      signal.removeEventListener("abort", wake);
    }
  }
}
