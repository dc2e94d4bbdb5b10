/** What judges of others say of the manifests, held against the exceptions that we make. Pure. */
import { z } from "zod";
import type { Case } from "../report.ts";

/** More would be a policy of not listening. */
const EXCEPTIONS_MAX = 5;

/** Something that a judge does not like. */
export interface Finding {
  /** The judge and its rule, as exceptions name it. */
  readonly rule: string;
  /** Kind and name. */
  readonly object: string;
}

/** One decision against the judges' advice: the rules that it breaks, in the objects that it concerns. */
export const Exceptions = z
  .array(
    z.strictObject({
      title: z.string().min(1),
      reason: z.string().min(60),
      rules: z.array(z.string()).min(1),
      objects: z.array(z.string()).min(1),
    }),
  )
  .max(EXCEPTIONS_MAX);
export type Exceptions = z.infer<typeof Exceptions>;

/** Findings that no exception covers. */
export function unexcused(findings: readonly Finding[], exceptions: Exceptions): readonly Finding[] {
  return findings.filter(
    ({ rule, object }) =>
      !exceptions.some(({ rules, objects }) => rules.includes(rule) && objects.includes(object)),
  );
}

/** What exceptions name and no judge found: they would hide what comes later. */
export function unneeded(findings: readonly Finding[], exceptions: Exceptions): readonly string[] {
  const rules = new Set(findings.map(({ rule }) => rule));
  const objects = new Set(findings.map(({ object }) => object));
  return exceptions.flatMap((exception) => [
    ...exception.rules.filter((rule) => !rules.has(rule)),
    ...exception.objects.filter((object) => !objects.has(object)),
  ]);
}

/** The verdict on one judge's look at one rendering. */
export function verdict(name: string, findings: readonly Finding[], exceptions: Exceptions): Case {
  const left = [...new Set(unexcused(findings, exceptions).map(({ rule, object }) => `${object}: ${rule}`))];
  return left.length === 0
    ? { name, outcome: "passed" }
    : { name, outcome: "failed", detail: left.join("; ") };
}
