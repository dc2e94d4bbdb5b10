/** Facts with what they were learnt from. */
import { digest } from "@hauberk/crypto/digest.ts";
import type { Learnt } from "@hauberk/compliance/evidence/evidence.ts";

/** What is asked, of what. */
export interface Question {
  readonly query: string;
  readonly object: string;
}

/** What was answered: the fact, and the answer that its digest is of, if that is more than the fact. */
export interface Answer<T> {
  readonly value: T;
  readonly raw?: unknown;
}

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Asks. A question that cannot be answered is a fact that is not known, never an error. */
export async function learn<T>(
  { query, object }: Question,
  ask: () => Promise<Answer<T>>,
): Promise<Learnt<T>> {
  try {
    const { value, raw = value } = await ask();
    const bytes = Buffer.from(typeof raw === "string" ? raw : JSON.stringify(raw));
    const source = { query, object, at: new Date().toISOString(), digest: digest(bytes) };
    return { known: true, source, value };
  } catch (error) {
    return { known: false, query, why: reasonOf(error) };
  }
}
