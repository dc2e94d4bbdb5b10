/** What h2specd prints, as cases. Pure. */
import type { Case } from "../report.ts";

const SECTION = /^ *((?:[0-9.]+)\. .*|Generic tests.*)$/;
const PASSED = /^\s*✔ (\d+): (.*)$/;
const FAILED = /^\s*× (\d+): (.*)$/;
const ACTUAL = /^\s*Actual: (.*)$/;
/** The connection did end, as asked, but by TCP's reset and not by GOAWAY or FIN. */
const RESET = /reset by peer/i;

/** The cases that a run printed before its list of failures, which repeats them. */
export function readOutput(text: string): readonly Case[] {
  const cases: Case[] = [];
  let section = "";
  for (const line of text.replaceAll("\r", "\n").split("\n")) {
    if (line.trim() === "Failures:") break;
    const [, title] = SECTION.exec(line) ?? [];
    if (title !== undefined) section = title.trim();
    const [, passedNumber, passed] = PASSED.exec(line) ?? [];
    if (passed !== undefined)
      cases.push({ name: `${section} (${passedNumber}) ${passed}`, outcome: "passed" });
    const [, failedNumber, failed] = FAILED.exec(line) ?? [];
    if (failed !== undefined)
      cases.push({ name: `${section} (${failedNumber}) ${failed}`, outcome: "failed" });
    const [, actual] = ACTUAL.exec(line) ?? [];
    const last = cases.at(-1);
    if (actual !== undefined && last?.outcome === "failed") {
      cases.pop();
      cases.push({ ...last, outcome: RESET.test(actual) ? "reset" : "failed", detail: actual });
    }
  }
  return cases;
}
