/**
 * Which objects of one kind are in effect. A wrong edit must not take away what worked: an object that cannot be
 * understood keeps the version that was accepted before it, and is named; only its deletion takes it away.
 */
import type { Tagged } from "../../model/objects.ts";
import { fieldPath, type Problem } from "../manifests/document.ts";
import type { Change, Heard } from "./follow.ts";
import type { ReadObject } from "./read.ts";

/** What became different: everything may have, or these objects. */
export type Outcome =
  | { readonly type: "nothing" }
  | { readonly type: "list" }
  | { readonly type: "changes"; readonly changes: readonly AcceptedChange[] };

type AcceptedChange =
  | { readonly type: "upsert"; readonly tagged: Tagged }
  | { readonly type: "remove"; readonly key: string };

/** The objects of one kind and what is wrong with others. */
export class Accepted {
  #present: State = { objects: new Map(), problems: new Map() };
  /** What a list that has not ended says. */
  #coming: State | undefined;

  get size(): number {
    return this.#present.objects.size;
  }

  get hasProblems(): boolean {
    return this.#present.problems.size > 0;
  }

  objects(): Iterable<Tagged> {
    return this.#present.objects.values();
  }

  problems(): readonly Problem[] {
    return [...this.#present.problems.values()].flat();
  }

  hear(heard: Heard<ReadObject>): Outcome {
    switch (heard.type) {
      case "begin":
        this.#coming = { objects: new Map(), problems: new Map() };
        return { type: "nothing" };
      case "part":
        for (const item of heard.items) this.#take(this.#coming ?? this.#present, item);
        return { type: "nothing" };
      case "end":
        this.#present = this.#coming ?? this.#present;
        this.#coming = undefined;
        return { type: "list" };
      case "changes":
        return { type: "changes", changes: this.#change(heard.changes) };
    }
  }

  #change(all: readonly Change<ReadObject>[]): readonly AcceptedChange[] {
    return all.flatMap(({ type, item }): readonly AcceptedChange[] => {
      if (type === "remove") {
        this.#present.problems.delete(item.key);
        return this.#present.objects.delete(item.key) ? [{ type, key: item.key }] : [];
      }
      const tagged = this.#take(this.#present, item);
      return tagged === undefined ? [] : [{ type, tagged }];
    });
  }

  /** Takes an object into a state; returns it if it is as it should be. */
  #take(into: State, { key, name, decoded }: ReadObject): Tagged | undefined {
    const previous = this.#present.objects.get(key);
    const problems = problemsOf(name, decoded, previous !== undefined);
    if (problems.length > 0) into.problems.set(key, problems);
    else into.problems.delete(key);
    if (decoded.ok) into.objects.set(key, decoded.tagged);
    else if (previous !== undefined) into.objects.set(key, previous);
    return decoded.ok ? decoded.tagged : undefined;
  }
}

interface State {
  readonly objects: Map<string, Tagged>;
  readonly problems: Map<string, readonly Problem[]>;
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
