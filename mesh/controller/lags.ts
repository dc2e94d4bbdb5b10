/** How long after objects were written their changes were heard of: histograms by kind. */
import type { Kind } from "../model/objects.ts";
import type { Family } from "./metrics.ts";

/** Upper bounds in seconds. Times of writing are whole seconds, so nothing below one says much. */
const BOUNDS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1_000] as const;

/** Names that dashboards know, by kind. */
const NAMES: ReadonlyMap<Kind, string> = new Map<Kind, string>([
  ["EndpointSlice", "endpointslices_informer_lag_seconds"],
  ["Pod", "pods_informer_lag_seconds"],
  ["Service", "services_informer_lag_seconds"],
  ["Server", "servers_informer_lag_seconds"],
  ["ServiceProfile", "serviceprofiles_informer_lag_seconds"],
  ["ExternalWorkload", "externalworkload_informer_lag_seconds"],
]);

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** Counts lags. */
export class Lags {
  readonly #byKind = new Map<Kind, Histogram>();

  saw(kind: Kind, seconds: number): void {
    if (!NAMES.has(kind) || !Number.isFinite(seconds)) return;
    const histogram = this.#byKind.get(kind) ?? { counts: BOUNDS.map(() => 0), sum: 0, count: 0 };
    this.#byKind.set(kind, histogram);
    BOUNDS.forEach((bound, at) => {
      if (seconds <= bound) histogram.counts[at] = (histogram.counts[at] ?? 0) + 1;
    });
    // Clocks differ: a lag below zero is none.
    histogram.sum += Math.max(0, seconds);
    histogram.count += 1;
  }

  families(): readonly Family[] {
    return [...NAMES].map(([kind, name]) => {
      const { counts, sum, count } = this.#byKind.get(kind) ?? {
        counts: BOUNDS.map(() => 0),
        sum: 0,
        count: 0,
      };
      return {
        name,
        type: "histogram",
        help: "Seconds from an object's last write to its arrival here.",
        series: [
          ...BOUNDS.map((bound, at) => ({
            suffix: "_bucket",
            labels: { le: String(bound) },
            value: counts[at] ?? 0,
          })),
          { suffix: "_bucket", labels: { le: "+Inf" }, value: count },
          { suffix: "_sum", labels: {}, value: sum },
          { suffix: "_count", labels: {}, value: count },
        ],
      };
    });
  }
}
