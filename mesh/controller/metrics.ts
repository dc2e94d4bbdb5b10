/** The controller's own numbers as Prometheus text (exposition format 0.0.4). Pure. */

/** One family of series. */
export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly series: readonly Series[];
}

export interface Series {
  /** After the family's name: `_bucket`, `_sum` or `_count` of a histogram. */
  readonly suffix?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

function escape(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

export function renderMetrics(families: readonly Family[]): string {
  return families
    .map(({ name, type, help, series }) => {
      const lines = series.map(({ suffix = "", labels, value }) => {
        const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(text)}"`);
        return `${name}${suffix}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
      });
      return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join("\n");
    })
    .map((text) => `${text}\n`)
    .join("");
}
