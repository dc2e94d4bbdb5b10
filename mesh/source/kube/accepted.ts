/**
 * Which objects of one kind are in effect. A wrong edit must not take away what worked: an object that cannot be
 * understood keeps the version that was accepted before it, and is named; only its deletion takes it away.
 */
import type { Tagged } from "../../model/objects.ts";
import { fieldPath, type Problem } from "../manifests/document.ts";
import type { Heard } from "./follow.ts";
import type { ReadObject } from "./read.ts";

/** What became different: everything may have, or these objects. */
export type Outcome =
  | { readonly type: "list" }
  | { readonly type: "changes"; readonly changes: readonly AcceptedChange[] };

type AcceptedChange =
  | { readonly type: "upsert"; readonly tagged: Tagged }
  | { readonly type: "remove"; readonly key: string };

/** The objects of one kind and what is wrong with others. */
export class Accepted {
  #objects = new Map<string, Tagged>();
  #problems = new Map<string, readonly Problem[]>();

  get size(): number {
    return this.#objects.size;
  }

  get hasProblems(): boolean {
    return this.#problems.size > 0;
  }

  objects(): Iterable<Tagged> {
    return this.#objects.values();
  }

  problems(): readonly Problem[] {
    return [...this.#problems.values()].flat();
  }

  hear(heard: Heard<ReadObject>): Outcome {
    if (heard.type === "list") {
      const before = this.#objects;
      this.#objects = new Map();
      this.#problems = new Map();
      for (const item of heard.items) this.#take(item, before.get(item.key));
      return { type: "list" };
    }
    const changes = heard.changes.flatMap(({ type, item }): readonly AcceptedChange[] => {
      if (type === "remove") {
        this.#problems.delete(item.key);
        return this.#objects.delete(item.key) ? [{ type, key: item.key }] : [];
      }
      const tagged = this.#take(item, this.#objects.get(item.key));
      return tagged === undefined ? [] : [{ type, tagged }];
    });
    return { type: "changes", changes };
  }

  /** The object if it is as it should be. */
  #take({ key, name, decoded }: ReadObject, previous: Tagged | undefined): Tagged | undefined {
    const problems = problemsOf(name, decoded, previous !== undefined);
    if (problems.length > 0) this.#problems.set(key, problems);
    else this.#problems.delete(key);
    if (decoded.ok) this.#objects.set(key, decoded.tagged);
    else if (previous !== undefined) this.#objects.set(key, previous);
    return decoded.ok ? decoded.tagged : undefined;
  }
}

function problemsOf(
  object: string,
  decoded: ReadObject["decoded"],
  hasPrevious: boolean,
): readonly Problem[] {
  const issues = decoded.ok ? decoded.notes : decoded.issues;
  return issues.map(({ path, message }) => ({
    severity: decoded.ok ? "warning" : "error",
    file: "",
    line: 0,
    object,
    field: fieldPath(path),
    message:
      !decoded.ok && hasPrevious ? `${message} (the version accepted before stays in effect)` : message,
  }));
}
