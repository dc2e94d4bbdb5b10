/** Expressions and conditions in the language of Go templates with the functions that Helm has. */
import type { Condition, Expression } from "./node.ts";

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** As an operand: in parentheses where it has to be. */
export function goExpression(expression: Expression): string {
  switch (expression.$) {
    case "literal":
      return JSON.stringify(expression.text);
    case "value":
      return expression.path.every((part) => IDENTIFIER.test(part))
        ? `.Values.${expression.path.join(".")}`
        : `(index .Values ${expression.path.map((part) => JSON.stringify(part)).join(" ")})`;
    case "decimal":
      return `(printf "%d" (int64 ${goExpression(expression.of)}))`;
    case "namespace":
      return ".Release.Namespace";
    case "version":
      return ".Chart.AppVersion";
    case "concat": {
      const verbs = expression.parts.map((part) =>
        part.$ === "literal" ? part.text.replaceAll("%", "%%") : "%v",
      );
      const operands = expression.parts.filter((part) => part.$ !== "literal").map(goExpression);
      return `(printf ${JSON.stringify(verbs.join(""))}${operands.map((one) => ` ${one}`).join("")})`;
    }
    case "default":
      return `(default ${goExpression(expression.or)} ${goExpression(expression.of)})`;
    case "join":
      return `(join ${JSON.stringify(expression.by)} ${goExpression(expression.of)})`;
    case "base64":
      return `(b64enc ${goExpression(expression.of)})`;
  }
}

export function goCondition(condition: Condition): string {
  switch (condition.type) {
    case "given":
      return goExpression(condition.of);
    case "not":
      return `(not ${goCondition(condition.of)})`;
    case "and":
    case "or":
      return `(${[condition.type, ...condition.of.map(goCondition)].join(" ")})`;
    case "equal":
      return `(eq ${goExpression(condition.of)} ${JSON.stringify(condition.to)})`;
    case "atLeast":
      return `(ge (int ${goExpression(condition.of)}) ${condition.least})`;
  }
}
