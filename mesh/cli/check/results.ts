import type { Check, Finding } from "./checks.ts";
import type { CheckFacts } from "./facts.ts";

/** Where hints are explained: Linkerd's pages for the checks that are Linkerd's, ours for our own. */
function hintOf(anchor: string): string {
  return anchor.startsWith("l5d-")
    ? `https://linkerd.io/2/checks/#${anchor}`
    : `docs/guide/checks.md#${anchor}`;
}

/** One line of the report. */
export interface Result {
  readonly category: string;
  readonly description: string;
  readonly hint: string;
  readonly finding: Finding;
}

/** Makes the checks in order. After a fatal error nothing more is judged. */
export function runChecks(checks: readonly Check[], facts: CheckFacts): readonly Result[] {
  const results: Result[] = [];
  for (const { category, description, hint, fatal, find } of checks) {
    const finding = find(facts);
    results.push({ category, description, hint: hintOf(hint), finding });
    if (fatal && finding.type === "error") break;
  }
  return results;
}

/** Whether nothing is in error. Warnings do not count. */
export function isHealthy(results: readonly Result[]): boolean {
  return results.every(({ finding }) => finding.type !== "error");
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
