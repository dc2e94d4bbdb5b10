/**
 * A tree as YAML text: with its values, or as a Go template. One walk writes both, so they differ in nothing but who
 * evaluates the expressions.
 */
import { evaluate, holds, listOf, type Scope } from "./evaluate.ts";
import { goCondition, goExpression } from "./go.ts";
import {
  isEach,
  isEntries,
  isList,
  isTagged,
  isWhen,
  type Condition,
  type Expression,
  type Item,
  type Node,
  type TemplateMap,
} from "./node.ts";

/** Who evaluates. */
interface Language {
  /** A value as JSON, which is YAML. */
  readonly json: (expression: Expression) => string;
  /** What follows `|`: the trimmed text, each line on its own and indented. */
  readonly lines: (expression: Expression, indent: number) => string;
  readonly when: (condition: Condition, lines: () => readonly string[]) => readonly string[];
  readonly each: (expression: Expression, indent: string) => readonly string[];
  readonly entries: (expression: Expression, indent: string) => readonly string[];
}

/** Renders with values. */
export function renderNode(node: Node, scope: Scope): string {
  return print(node, {
    json: (expression) => canonicalJson(evaluate(expression, scope)),
    lines: (expression, indent) =>
      String(evaluate(expression, scope))
        .trim()
        .split("\n")
        .map((line) => `\n${" ".repeat(indent)}${line}`)
        .join(""),
    when: (condition, lines) => (holds(condition, scope) ? lines() : []),
    each: (expression, indent) =>
      listOf(evaluate(expression, scope)).map((item) => `${indent}- ${canonicalJson(item)}`),
    entries: (expression, indent) =>
      sortedEntries(evaluate(expression, scope)).map(
        ([key, one]) => `${indent}${canonicalJson(key)}: ${canonicalJson(one)}`,
      ),
  });
}

/** Renders as a template of a Helm chart. */
export function templateOf(node: Node): string {
  return print(node, {
    json: (expression) => `{{ toRawJson ${goExpression(expression)} }}`,
    lines: (expression, indent) => `{{ trim ${goExpression(expression)} | nindent ${indent} }}`,
    when: (condition, lines) => [`{{- if ${goCondition(condition)} }}`, ...lines(), "{{- end }}"],
    each: (expression, indent) => [
      `{{- range ${goExpression(expression)} }}`,
      `${indent}- {{ toRawJson . }}`,
      "{{- end }}",
    ],
    entries: (expression, indent) => [
      `{{- range $key, $one := ${goExpression(expression)} }}`,
      `${indent}{{ toRawJson $key }}: {{ toRawJson $one }}`,
      "{{- end }}",
    ],
  });
}

/** JSON with the keys of its maps sorted and escapes as Go writes them. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${sortedEntries(value)
      .map(([key, one]) => `${JSON.stringify(key)}:${canonicalJson(one)}`)
      .join(",")}}`;
  }
  return JSON.stringify(value ?? null)
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}

function sortedEntries(value: unknown): readonly (readonly [string, unknown])[] {
  return Object.entries(value ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./@-]*$/;
/** Words that YAML 1.1, which Kubernetes reads, takes for something else. */
const RESERVED = /^(?:true|false|yes|no|on|off|y|n|null)$/i;

function scalar(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  if (value.includes("{{")) throw new Error(`${JSON.stringify(value)} would be read as a template`);
  return PLAIN.test(value) && !RESERVED.test(value) ? value : canonicalJson(value);
}

function print(node: Node, language: Language): string {
  return `${linesOf(node, 0, language).join("\n")}\n`;
}

/** The lines of a map or list. */
function linesOf(node: Node, indent: number, language: Language): readonly string[] {
  if (isList(node)) return node.flatMap((item) => itemLines(item, indent, language));
  if (typeof node !== "object") throw new Error("a document is a map or a list");
  if (!isTagged(node)) return mapLines(node, indent, language);
  if (node.$ !== "merge") throw new Error(`${node.$} is no map`);
  return node.parts.flatMap((part) => {
    if (isEntries(part)) return language.entries(part.of, " ".repeat(indent));
    if (!isWhen(part)) return mapLines(part, indent, language);
    const { condition, shown } = part;
    return language.when(condition, () => linesOf(shown, indent, language));
  });
}

function mapLines(map: TemplateMap, indent: number, language: Language): readonly string[] {
  const pad = " ".repeat(indent);
  return Object.entries(map).flatMap(([key, child]) => {
    const head = `${pad}${scalar(key)}:`;
    const inline = inlineOf(child, indent + 2, language);
    if (inline !== undefined) return [`${head} ${inline}`];
    // As kubectl and Helm write lists: not indented below their key.
    const lines = linesOf(child, isList(child) ? indent : indent + 2, language);
    if (lines.length === 0) throw new Error(`${key} would be empty`);
    return [head, ...lines];
  });
}

function itemLines(item: Item, indent: number, language: Language): readonly string[] {
  const pad = " ".repeat(indent);
  if (isWhen(item)) return language.when(item.condition, () => itemLines(item.shown, indent, language));
  if (isEach(item)) return language.each(item.of, pad);
  const inline = inlineOf(item, indent + 2, language);
  if (inline !== undefined) return [`${pad}- ${inline}`];
  const [first, ...others] = linesOf(item, indent + 2, language);
  if (first === undefined || first.startsWith("{{")) throw new Error("an item needs a constant first entry");
  return [`${pad}- ${first.slice(indent + 2)}`, ...others];
}

/** What stands on the line of its key; `undefined` for maps and lists that have lines of their own. */
function inlineOf(node: Node, indent: number, language: Language): string | undefined {
  if (typeof node !== "object") return scalar(node);
  if (isList(node)) return node.length === 0 ? "[]" : undefined;
  if (!isTagged(node)) return Object.keys(node).length === 0 ? "{}" : undefined;
  switch (node.$) {
    case "merge":
      return undefined;
    case "block":
      return `|${language.lines(node.of, indent)}`;
    case "embedded":
      return ["|", ...linesOf(node.of, indent, language)].join("\n");
    default:
      return language.json(node);
  }
}
