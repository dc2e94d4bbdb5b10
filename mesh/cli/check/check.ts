/** What a check is, and the words that all checks use. */
import type { Learnt } from "./facts.ts";

/** What a check found. `fatal`: what comes after it would only repeat the same. */
export type Finding =
  | { readonly type: "success" }
  | { readonly type: "warning"; readonly message: string }
  | { readonly type: "error"; readonly message: string };

/** One check: a sentence that should be true, and how to tell. */
export interface Check<F> {
  readonly category: string;
  readonly description: string;
  /** Anchor in the documentation of hints, as Linkerd names it where it has the same check. */
  readonly hint: string;
  /** What is wrong ends the report: nothing after it can be judged. */
  readonly fatal: boolean;
  readonly find: (facts: F) => Finding;
  /** Whether an error may go away by itself, as pods become ready. */
  readonly passes?: boolean;
}

export const SUCCESS: Finding = { type: "success" };
export function error(message: string): Finding {
  return { type: "error", message };
}

export function warning(message: string): Finding {
  return { type: "warning", message };
}

/** Judges a fact, or says why it is not known. */
export function known<T>(fact: Learnt<T>, judge: (value: T) => Finding): Finding {
  return fact.ok ? judge(fact.value) : error(fact.why);
}

/** Success if the list of what is wrong is empty. */
export function none(wrong: readonly string[], as: (message: string) => Finding = error): Finding {
  return wrong.length === 0 ? SUCCESS : as(wrong.join("\n"));
}
