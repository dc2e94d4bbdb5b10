/** The form of a check, and the words for its outcome. Pure. */
import type { Evidence, Fact, Learnt, Source } from "../evidence/evidence.ts";

/** `not-assessable`: the evidence that would decide is absent. Nothing is ever satisfied without evidence. */
export type Status = "satisfied" | "not-satisfied" | "not-assessable";

/** What a check found. */
export interface Outcome {
  readonly status: Status;
  /** One sentence with the numbers that decided. */
  readonly summary: string;
  /** The objects that fail, each with what is wrong with it. */
  readonly findings: readonly string[];
}

/** An outcome with what it rests on. */
export interface CheckResult extends Outcome {
  readonly id: string;
  readonly title: string;
  readonly evidence: readonly Source[];
  /** What would change the status; empty where it is satisfied. */
  readonly remedy: string;
}

export interface Check {
  readonly id: string;
  readonly title: string;
  readonly needs: readonly Fact[];
  readonly remedy: string;
  readonly judge: (evidence: Evidence) => Outcome;
}

export const satisfied = (summary: string): Outcome => ({ status: "satisfied", summary, findings: [] });
export const unsatisfied = (summary: string, findings: readonly string[]): Outcome => ({
  status: "not-satisfied",
  summary,
  findings,
});
export const unknown = (summary: string, findings: readonly string[] = []): Outcome => ({
  status: "not-assessable",
  summary,
  findings,
});

/** `1 proxy`, `2 proxies`. */
export function count(number: number, one: string, many: string = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** Judges with one fact; without it nothing is assessable. */
export function using<T>(fact: Learnt<T>, judge: (value: T) => Outcome): Outcome {
  return fact.known ? judge(fact.value) : unknown(`${fact.query}: ${fact.why}`);
}

/** Makes one check. What it needs and is there becomes its evidence. */
export function run(check: Check, evidence: Evidence): CheckResult {
  const { id, title, needs, remedy, judge } = check;
  const outcome = judge(evidence);
  const sources = needs.flatMap((name) => {
    const fact = evidence[name];
    return fact.known ? [fact.source] : [];
  });
  const missing = needs.flatMap((name) => {
    const fact = evidence[name];
    return fact.known ? [] : [`${fact.query}: ${fact.why}`];
  });
  return {
    id,
    title,
    ...outcome,
    evidence: sources,
    remedy:
      outcome.status === "satisfied"
        ? ""
        : missing.length > 0 && outcome.status === "not-assessable"
          ? `Supply the evidence that is missing (${missing.join("; ")}). ${remedy}`
          : remedy,
  };
}
