/** What changed between two reports. Pure. */
import type { Status } from "../checks/check.ts";
import { FRAMEWORKS } from "../catalogue/control.ts";
import type { Report } from "./report.ts";

/** One statement or check whose status is another one. */
export interface Change {
  readonly of: "statement" | "check";
  readonly name: string;
  /** Absent: it is new. */
  readonly before: Status | undefined;
  /** Absent: it is gone. */
  readonly after: Status | undefined;
  /** What the later report says of a check. */
  readonly summary: string;
}

interface Line {
  readonly status: Status;
  readonly summary: string;
}

function linesOf(report: Report, of: Change["of"]): ReadonlyMap<string, Line> {
  return of === "statement"
    ? new Map(
        report.statements.map(({ framework, control, status, topic }) => [
          `${FRAMEWORKS[framework]} ${control}`,
          { status, summary: topic },
        ]),
      )
    : new Map(report.checks.map(({ id, status, summary }) => [id, { status, summary }]));
}

function changesOf(before: Report, after: Report, of: Change["of"]): readonly Change[] {
  const [earlier, later] = [linesOf(before, of), linesOf(after, of)];
  return [...new Set([...earlier.keys(), ...later.keys()])].flatMap((name): readonly Change[] => {
    const [was, is] = [earlier.get(name), later.get(name)];
    if (was?.status === is?.status) return [];
    return [{ of, name, before: was?.status, after: is?.status, summary: is?.summary ?? was?.summary ?? "" }];
  });
}

/** Every status that is another one, statements first. */
export function diff(before: Report, after: Report): readonly Change[] {
  return [...changesOf(before, after, "statement"), ...changesOf(before, after, "check")];
}
