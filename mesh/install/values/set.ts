/** `--set` and `--set-string`, in Helm's notation: `a.b=1,list={x,y},items[0].name=z,annotations.a\.b/c=d`. */
import { ValuesError, isTree, type Tree } from "./values.ts";

/** How deep a list's index may be: a mistake must not make a list of millions. */
const INDEX_MAX = 1_000;

type Step = string | number;

/** The values that one option sets. `typed`: `true`, `null` and numbers are what they look like. */
export function parseSet(option: string, { typed }: { readonly typed: boolean }, onto: Tree = {}): Tree {
  let tree: unknown = onto;
  for (const assignment of split(option, ",")) {
    const at = indexOfBare(assignment, "=");
    if (at === -1) throw new ValuesError([`--set ${option}: ${assignment} is not NAME=VALUE`]);
    const path = stepsOf(assignment.slice(0, at), option);
    tree = put(tree, path, valueOf(assignment.slice(at + 1), typed));
  }
  if (!isTree(tree)) throw new ValuesError([`--set ${option}: a name is missing`]);
  return tree;
}

function stepsOf(name: string, option: string): readonly Step[] {
  return split(name, ".").flatMap((part) => {
    const [, key = "", indices = ""] = /^(.*?)((?:\[\d+\])*)$/s.exec(part) ?? [];
    if (key === "") throw new ValuesError([`--set ${option}: a name is missing`]);
    const numbers = [...indices.matchAll(/\d+/g)].map(([digits]) => Number(digits));
    if (numbers.some((index) => index > INDEX_MAX))
      throw new ValuesError([`--set ${option}: an index is above ${INDEX_MAX}`]);
    return [bare(key), ...numbers];
  });
}

function put(into: unknown, [step, ...others]: readonly Step[], value: unknown): unknown {
  if (step === undefined) return value;
  if (typeof step === "number") {
    const list: unknown[] = Array.isArray(into) ? [...into] : [];
    while (list.length < step) list.push(null);
    list[step] = put(list[step], others, value);
    return list;
  }
  const tree: Tree = isTree(into) ? into : {};
  return { ...tree, [step]: put(tree[step], others, value) };
}

function valueOf(written: string, typed: boolean): unknown {
  if (written.startsWith("{") && written.endsWith("}")) {
    const inner = written.slice(1, -1);
    return inner === "" ? [] : split(inner, ",").map((item) => valueOf(item, typed));
  }
  const value = bare(written);
  if (!typed || value !== written) return value;
  if (value === "true" || value === "false") return value === "true";
  if (value === "null") return null;
  // As Helm: a leading zero keeps a text a text.
  return /^(0|-?[1-9]\d*)$/.test(value) && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Splits at what is neither escaped nor inside of braces. */
function split(text: string, separator: string): readonly string[] {
  const parts: string[] = [];
  let rest = text;
  for (;;) {
    const at = indexOfBare(rest, separator);
    if (at === -1) return [...parts, rest];
    parts.push(rest.slice(0, at));
    rest = rest.slice(at + separator.length);
  }
}

function indexOfBare(text: string, separator: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === "\\") at += 1;
    else if (char === "{") depth += 1;
    else if (char === "}") depth -= 1;
    else if (char === separator && depth <= 0) return at;
  }
  return -1;
}

function bare(text: string): string {
  return text.replaceAll(/\\(.)/gs, "$1");
}
