/** One sample of a scrape. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /\s*([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*(?:,|$)/y;
const ESCAPED = /\\(.)/g;

/**
 * Samples of a Prometheus text exposition (format 0.0.4; OpenMetrics' differences do not matter here), as far as
 * `wanted` wants their names. Lines that are no samples are skipped: a scrape is foreign text.
 */
export function parseExposition(text: string, wanted: (name: string) => boolean): readonly Series[] {
  const series: Series[] = [];
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const end = line.search(/[{\s]/);
    if (end < 0 || !wanted(line.slice(0, end))) continue;
    const match = LINE.exec(line);
    const [, name = "", labels = "", number = ""] = match ?? [];
    const value = numberOf(number);
    if (match !== null && value !== undefined) series.push({ name, labels: labelsOf(labels), value });
  }
  return series;
}

function numberOf(text: string): number | undefined {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  const value = Number(text);
  return text === "" || Number.isNaN(value) ? undefined : value;
}

function labelsOf(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  for (let match = LABEL.exec(text); match !== null; match = LABEL.exec(text)) {
    const [, name = "", value = ""] = match;
    labels[name] = value.includes("\\")
      ? value.replaceAll(ESCAPED, (_, one: string) => (one === "n" ? "\n" : one))
      : value;
    if (LABEL.lastIndex >= text.length) break;
  }
  return labels;
}
