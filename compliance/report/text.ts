/** A report, and what changed between two, as people read them in a terminal. Pure. */
import type { Status } from "../checks/check.ts";
import type { Change } from "./diff.ts";
import { byFramework, tally, type Report, type Statement } from "./report.ts";

const MARKS: Readonly<Record<Status, string>> = {
  satisfied: "√",
  "not-satisfied": "×",
  "not-assessable": "?",
};
const WORDS: Readonly<Record<Status, string>> = {
  satisfied: "satisfied",
  "not-satisfied": "not satisfied",
  "not-assessable": "not assessable",
};

export const describeStatus = (status: Status): string => WORDS[status];

/** `12 satisfied, 1 not satisfied, 3 not assessable`. */
export function describeTally(statements: readonly Statement[]): string {
  const counts = tally(statements);
  return (["satisfied", "not-satisfied", "not-assessable"] as const)
    .map((status) => `${counts[status]} ${WORDS[status]}`)
    .join(", ");
}

/** Statements by framework, then every check that is not satisfied, with its findings and its remedy. */
export function describeReport(report: Report): string {
  const statements = byFramework(report).flatMap(([title, own]) => [
    title,
    ...own.map(({ status, control, topic }) => `  ${MARKS[status]} ${control}: ${topic}`),
    `  ${describeTally(own)}`,
    "",
  ]);
  const open = report.checks.filter(({ status }) => status !== "satisfied");
  const checks = open.flatMap(({ status, id, title, summary, findings, remedy }) => [
    `${MARKS[status]} ${id}: ${title}`,
    `    ${summary}`,
    ...findings.map((line) => `    - ${line}`),
    `    what would change it: ${remedy}`,
  ]);
  return [
    ...statements,
    ...checks,
    ...(checks.length === 0 ? [] : [""]),
    `${report.statements.length} statements: ${describeTally(report.statements)}`,
  ].join("\n");
}

const word = (status: Status | undefined) => (status === undefined ? "absent" : WORDS[status]);

/** One line for each change. */
export function describeChanges(changes: readonly Change[]): string {
  if (changes.length === 0) return "nothing changed";
  return changes
    .map(({ name, before, after, summary }) => {
      const mark = after === undefined ? " " : MARKS[after];
      return `${mark} ${name}: ${word(before)} → ${word(after)}: ${summary}`;
    })
    .join("\n");
}
