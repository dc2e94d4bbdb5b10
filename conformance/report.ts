/** What suites say, held against what was expected of them. Pure: a report in, a verdict out. */
import { z } from "zod";

/** One case as it came out. `outcome` is a word of the suite's; `detail` says what was seen. */
export interface Case {
  readonly name: string;
  readonly outcome: string;
  readonly detail?: string;
}

/** What one suite saw. */
export interface SuiteResult {
  readonly suite: string;
  /** The outcome that every case has unless an expectation says otherwise. */
  readonly usual: (name: string) => string;
  /** Outcomes that no reason excuses. */
  readonly never: readonly string[];
  /** How many cases a complete run has; fewer is a failure. */
  readonly least: number;
  readonly cases: readonly Case[];
}

/** Cases that come out otherwise, each with its reason. */
export const Expectations = z.record(
  z.string(),
  z.strictObject({ outcome: z.string().min(1), reason: z.string().min(20) }),
);
export type Expectations = z.infer<typeof Expectations>;

/** A suite's result with the verdict on it. */
export const Judged = z.object({
  suite: z.string(),
  cases: z.array(z.object({ name: z.string(), outcome: z.string(), detail: z.string().optional() })),
  asUsual: z.number(),
  /** Cases that came out as an expectation says. */
  excused: z.number(),
  findings: z.array(z.object({ case: z.string(), problem: z.string() })),
  /** How long it took; where it ran beside others, that says little. */
  seconds: z.number().optional(),
});
export type Judged = z.infer<typeof Judged>;

/** The verdict on a suite that did not come to its end. */
export function unfinished(suite: string, problem: string): Judged {
  return { suite, cases: [], asUsual: 0, excused: 0, findings: [{ case: suite, problem }] };
}

/** Holds a result against the expectations: a stale expectation is as wrong as a failing case. */
export function judge(result: SuiteResult, expectations: Expectations): Judged {
  const findings: Judged["findings"] = [];
  let asUsual = 0;
  let excused = 0;
  const seen = new Set<string>();
  for (const { name, outcome, detail } of result.cases) {
    if (seen.has(name)) findings.push({ case: name, problem: "stands twice" });
    seen.add(name);
    const expected = expectations[name]?.outcome;
    const shown = detail === undefined ? outcome : `${outcome} (${detail})`;
    if (result.never.includes(outcome)) findings.push({ case: name, problem: shown });
    else if (expected === undefined && outcome === result.usual(name)) asUsual += 1;
    else if (outcome === expected) excused += 1;
    else findings.push({ case: name, problem: `${shown}, expected ${expected ?? result.usual(name)}` });
  }
  for (const [name, { outcome }] of Object.entries(expectations)) {
    if (!seen.has(name))
      findings.push({ case: name, problem: `an expectation (${outcome}) for a case that did not run` });
    else if (outcome === result.usual(name))
      findings.push({ case: name, problem: "an expectation of the usual" });
  }
  if (seen.size === 0) findings.push({ case: result.suite, problem: "looked at nothing" });
  else if (seen.size < result.least) {
    findings.push({
      case: result.suite,
      problem: `${seen.size} cases where a whole run has ${result.least}`,
    });
  }
  return { suite: result.suite, cases: [...result.cases], asUsual, excused, findings };
}

/** The report that a person reads. */
export function render(suites: readonly Judged[]): string {
  const lines = suites.flatMap(({ suite, cases, asUsual, excused, findings, seconds }) => {
    const tally = Object.entries(Object.groupBy(cases, ({ outcome }) => outcome))
      .map(([outcome, of]) => `${of?.length ?? 0} ${outcome}`)
      .join(", ");
    return [
      `${findings.length === 0 ? "√" : "×"} ${suite}: ${asUsual} of ${cases.length} as required, ${excused} otherwise for a stated reason (${tally})${seconds === undefined ? "" : ` in ${seconds} s`}`,
      ...findings.map((finding) => `    × ${finding.case}: ${finding.problem}`),
    ];
  });
  return `${lines.join("\n")}\n`;
}
