/** Counters with labels, with a bound on their series. Pure but for what they hold. */

/** One family of series, as the control plane's exposition writes it. */
export interface CounterFamily {
  readonly name: string;
  readonly type: "counter";
  readonly help: string;
  readonly series: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** Most series of one counter. Labels come from objects, of which a cluster may have any number. */
export const SERIES_MAX = 2_000;

/** What stands in every label of the series that holds all that {@link SERIES_MAX} leaves no room for. */
export const OVERFLOW = "other";

/** A counter. */
export class Counter {
  readonly #name: string;
  readonly #help: string;
  readonly #series = new Map<string, { labels: Readonly<Record<string, string>>; value: number }>();

  constructor(name: string, help: string) {
    this.#name = name;
    this.#help = help;
  }

  add(labels: Readonly<Record<string, string>>, by = 1): void {
    const known = this.#series.get(JSON.stringify(labels));
    if (known !== undefined) {
      known.value += by;
      return;
    }
    const isFull = this.#series.size >= SERIES_MAX;
    const kept = isFull ? Object.fromEntries(Object.keys(labels).map((label) => [label, OVERFLOW])) : labels;
    const key = JSON.stringify(kept);
    const value = (this.#series.get(key)?.value ?? 0) + by;
    this.#series.set(key, { labels: kept, value });
  }

  family(): CounterFamily {
    const series = [...this.#series.values()].map(({ labels, value }) => ({ labels, value }));
    return { name: this.#name, type: "counter", help: this.#help, series };
  }
}
