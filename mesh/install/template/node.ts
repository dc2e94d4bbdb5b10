/**
 * Manifests with values left open. One tree is evaluated by `hauberk install` and printed as a Go template for the Helm
 * chart, so that both say the same to the byte. Plain objects are YAML maps, arrays are lists; what depends on values is
 * an object with the key `$`.
 */

/** Something that has a value once the values are known. */
export type Expression =
  | { readonly $: "literal"; readonly text: string }
  /** A value, by its path. */
  | { readonly $: "value"; readonly path: readonly string[] }
  /** A whole number, as text. */
  | { readonly $: "decimal"; readonly of: Expression }
  /** The namespace that the control plane is installed in. */
  | { readonly $: "namespace" }
  /** The version of the chart and of the program. */
  | { readonly $: "version" }
  | { readonly $: "concat"; readonly parts: readonly Expression[] }
  /** `of` unless it is empty, in Helm's sense: `""`, 0, false, an empty list or map. */
  | { readonly $: "default"; readonly of: Expression; readonly or: Expression }
  | { readonly $: "join"; readonly of: Expression; readonly by: string }
  | { readonly $: "base64"; readonly of: Expression };

/** Whether something is rendered. */
export type Condition =
  /** The expression is not empty, in Helm's sense. */
  | { readonly type: "given"; readonly of: Expression }
  | { readonly type: "not"; readonly of: Condition }
  | { readonly type: "and" | "or"; readonly of: readonly Condition[] }
  | { readonly type: "equal"; readonly of: Expression; readonly to: string }
  | { readonly type: "atLeast"; readonly of: Expression; readonly least: number };

/** A part of a tree that is there only under a condition. */
export interface When<T> {
  readonly $: "when";
  readonly condition: Condition;
  readonly shown: T;
}

/** The entries of a map among the values, sorted by their keys. */
interface Entries {
  readonly $: "entries";
  readonly of: Expression;
}

export type Part = TemplateMap | When<TemplateMap | Merge> | Entries;

/** A YAML map whose entries come in parts, some of which depend on values. */
export interface Merge {
  readonly $: "merge";
  readonly parts: readonly Part[];
}

/** Text of several lines, ended by one line break. */
interface Block {
  readonly $: "block";
  readonly of: Expression;
}

/** A YAML document as text in a YAML document. */
interface Embedded {
  readonly $: "embedded";
  readonly of: Node;
}

/** The items of a list among the values. */
interface Each {
  readonly $: "each";
  readonly of: Expression;
}

export interface TemplateMap {
  readonly [key: string]: Node;
}

export type Item = Node | When<Node> | Each;

export type Node =
  | string
  | number
  | boolean
  | Expression
  | Merge
  | Block
  | Embedded
  | readonly Item[]
  | TemplateMap;

/** The value at a path such as `proxy.image.name`; a `/` in a path part is written as is. */
export function value(path: string): Expression {
  return { $: "value", path: path.split(".") };
}

/** The number at a path, as text. */
export function decimal(path: string): Expression {
  return { $: "decimal", of: value(path) };
}

export const NAMESPACE: Expression = { $: "namespace" };
export const VERSION: Expression = { $: "version" };

export function literal(constant: string): Expression {
  return { $: "literal", text: constant };
}

/** Text with expressions in it. */
export function text(constants: TemplateStringsArray, ...of: readonly Expression[]): Expression {
  const parts: Expression[] = [];
  for (const [at, constant] of constants.entries()) {
    if (constant !== "") parts.push({ $: "literal", text: constant });
    const next = of[at];
    if (next !== undefined) parts.push(next);
  }
  return { $: "concat", parts };
}

export function withDefault(of: Expression, or: Expression): Expression {
  return { $: "default", of, or };
}

export function base64(of: Expression): Expression {
  return { $: "base64", of };
}

export function joined(of: Expression, by: string): Expression {
  return { $: "join", of, by };
}

export function block(of: Expression): Block {
  return { $: "block", of };
}

export function embedded(of: Node): Embedded {
  return { $: "embedded", of };
}

export function each(path: string): Each {
  return { $: "each", of: value(path) };
}

export function when<T extends Node>(condition: Condition | string, shown: T): When<T> {
  return { $: "when", condition: conditionOf(condition), shown };
}

/** A map of parts, in order. */
export function merge(...parts: readonly Part[]): Merge {
  return { $: "merge", parts };
}

export function entries(path: string): Entries {
  return { $: "entries", of: value(path) };
}

/** A path stands for "this value is not empty". */
function conditionOf(condition: Condition | string): Condition {
  return typeof condition === "string" ? { type: "given", of: value(condition) } : condition;
}

export function not(of: Condition | string): Condition {
  return { type: "not", of: conditionOf(of) };
}

export function all(...of: readonly (Condition | string)[]): Condition {
  return { type: "and", of: of.map(conditionOf) };
}

export function any(...of: readonly (Condition | string)[]): Condition {
  return { type: "or", of: of.map(conditionOf) };
}

export function equal(path: string, to: string): Condition {
  return { type: "equal", of: value(path), to };
}

export function atLeast(path: string, least: number): Condition {
  return { type: "atLeast", of: value(path), least };
}

type Tagged = Exclude<Node, string | number | boolean | readonly Item[] | TemplateMap>;

/** Whether a node depends on values or is of a special form, rather than a plain map. */
export function isTagged(node: TemplateMap | Tagged): node is Tagged {
  return typeof node.$ === "string";
}

export function isList(node: Node): node is readonly Item[] {
  return Array.isArray(node);
}

export function isWhen<T extends Node>(item: Item | Part | When<T>): item is When<T> {
  return typeof item === "object" && !Array.isArray(item) && "$" in item && item.$ === "when";
}

export function isEntries(part: Part): part is Entries {
  return "$" in part && part.$ === "entries";
}

export function isEach(item: Item): item is Each {
  return typeof item === "object" && !Array.isArray(item) && "$" in item && item.$ === "each";
}
