import type { Check, Finding } from "./check.ts";

/** Where hints are explained: one page, with Linkerd's anchors where the check is Linkerd's. */
const HINTS = "docs/guide/check.md";

/** One line of the report. */
export interface Result {
  readonly category: string;
  readonly description: string;
  readonly hint: string;
  readonly finding: Finding;
  /** Whether an error may go away by itself. */
  readonly passes: boolean;
}

/** Makes the checks in order. After a fatal error nothing more is judged. */
export function runChecks<F>(checks: readonly Check<F>[], facts: F): readonly Result[] {
  const results: Result[] = [];
  for (const { category, description, hint, fatal, find, passes = false } of checks) {
    const finding = find(facts);
    results.push({ category, description, hint: `${HINTS}#${hint}`, finding, passes });
    if (fatal && finding.type === "error") break;
  }
  return results;
}

/** Whether nothing is in error. Warnings do not count. */
export function isHealthy(results: readonly Result[]): boolean {
  return results.every(({ finding }) => finding.type !== "error");
}

/** Whether waiting may help: what is in error is all of the kind that goes away. */
export function mayPass(results: readonly Result[]): boolean {
  return results.every(({ finding, passes }) => finding.type !== "error" || passes);
}

const GLYPHS = { success: "√", warning: "‼", error: "×" } as const;

/** As `linkerd check` prints it; `short`: only what is not well. */
export function renderResults(results: readonly Result[], output: "table" | "short"): string {
  const shown = output === "table" ? results : results.filter(({ finding }) => finding.type !== "success");
  const lines: string[] = [];
  let category = "";
  for (const result of shown) {
    if (result.category !== category) {
      if (category !== "") lines.push("");
      category = result.category;
      lines.push(category, "-".repeat(category.length));
    }
    lines.push(`${GLYPHS[result.finding.type]} ${result.description}`);
    if (result.finding.type === "success") continue;
    lines.push(
      ...result.finding.message.split("\n").map((line) => `    ${line}`),
      `    see ${result.hint} for hints`,
    );
  }
  lines.push(
    ...(shown.length === 0 ? [] : [""]),
    `Status check results are ${isHealthy(results) ? "√" : "×"}`,
  );
  return lines.join("\n");
}

/** The report that scripts parse, in Linkerd's form. */
export function resultsJson(results: readonly Result[]): object {
  const names = [...new Set(results.map(({ category }) => category))];
  return {
    success: isHealthy(results),
    categories: names.map((categoryName) => ({
      categoryName,
      checks: results
        .filter(({ category }) => category === categoryName)
        .map(({ description, hint, finding }) => ({
          description,
          ...(finding.type === "success" ? {} : { hint, error: finding.message }),
          result: finding.type,
        })),
    })),
  };
}
