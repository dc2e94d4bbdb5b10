/** What expressions and conditions are, for given values. Emptiness and formats are those of Helm's functions. */
import type { Condition, Expression } from "./node.ts";

/** What a template is evaluated with. */
export interface Scope {
  readonly namespace: string;
  readonly version: string;
  readonly values: unknown;
}

/** A path that leads to no value: the template asks for what the schema does not have. */
export class UnknownValueError extends Error {
  constructor(path: readonly string[]) {
    super(`there is no value ${path.join(".")}`);
    this.name = "UnknownValueError";
  }
}

export function evaluate(expression: Expression, scope: Scope): unknown {
  switch (expression.$) {
    case "literal":
      return expression.text;
    case "value":
      return valueAt(expression.path, scope.values);
    case "decimal":
      return String(evaluate(expression.of, scope));
    case "namespace":
      return scope.namespace;
    case "version":
      return scope.version;
    case "concat":
      return expression.parts.map((part) => String(evaluate(part, scope))).join("");
    case "default": {
      const value = evaluate(expression.of, scope);
      return isEmpty(value) ? evaluate(expression.or, scope) : value;
    }
    case "join":
      return listOf(evaluate(expression.of, scope)).join(expression.by);
    case "base64":
      return Buffer.from(String(evaluate(expression.of, scope)), "utf8").toString("base64");
  }
}

export function holds(condition: Condition, scope: Scope): boolean {
  switch (condition.type) {
    case "given":
      return !isEmpty(evaluate(condition.of, scope));
    case "not":
      return !holds(condition.of, scope);
    case "and":
      return condition.of.every((one) => holds(one, scope));
    case "or":
      return condition.of.some((one) => holds(one, scope));
    case "equal":
      return evaluate(condition.of, scope) === condition.to;
    case "atLeast":
      return Number(evaluate(condition.of, scope)) >= condition.least;
  }
}

/** A list's items; nothing else has any. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function valueAt(path: readonly string[], values: unknown): unknown {
  let at: unknown = values;
  for (const key of path) {
    const found: unknown =
      typeof at === "object" && at !== null && Object.hasOwn(at, key) ? Reflect.get(at, key) : undefined;
    if (found === undefined) throw new UnknownValueError(path);
    at = found;
  }
  return at;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === 0 || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
