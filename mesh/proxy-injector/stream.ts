/**
 * Streams of manifests, changed in place: documents that nothing is done to keep every byte, the others keep their comments
 * and their order. Pure.
 */
import { type Document, isMap, isSeq, parseDocument } from "yaml";
import type { PatchStep } from "../admission/review.ts";

/** Where in an object a change belongs, as `["spec", "template"]`. */
export type Path = readonly (string | number)[];

/** A step of a patch, or the taking away of something, below `at`. */
export interface Change {
  readonly at: Path;
  readonly steps: readonly PatchStep[];
}

/** One object of a stream: of a document, or of a List in one. */
export interface Visited {
  readonly value: unknown;
  readonly at: Path;
}

/** A document that is neither YAML nor JSON. */
export class StreamError extends Error {
  override readonly name = "StreamError";
}

/** Rewrites `text`, which `name` stands for in errors. `change` is asked once about each object. */
export function rewrite(text: string, name: string, change: (visited: Visited) => readonly Change[]): string {
  return documents(text)
    .map((part) =>
      isBlank(part.body) ? part.mark + part.body : part.mark + rewritten(part.body, name, change),
    )
    .join("");
}

interface Part {
  /** The line that begins the document, with all that is on it; empty before the first. */
  readonly mark: string;
  readonly body: string;
}

/** Splits a stream at its marks. A mark stands at the beginning of a line, where no scalar in a mapping reaches. */
function documents(text: string): readonly Part[] {
  const parts: Part[] = [];
  let mark = "";
  let body = "";
  for (const line of text.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
    if (/^---(\s|$)/.test(line)) {
      parts.push({ mark, body });
      mark = line;
      body = "";
    } else body += line;
  }
  parts.push({ mark, body });
  return parts;
}

function isBlank(text: string): boolean {
  return text.split("\n").every((line) => /^\s*(#.*)?\r?$/.test(line));
}

function rewritten(body: string, name: string, change: (visited: Visited) => readonly Change[]): string {
  const document = parseDocument(body, { keepSourceTokens: false });
  const [error] = document.errors;
  if (error !== undefined) throw new StreamError(`${name}: ${error.message}`);
  const changes = visit(document.toJS()).flatMap((visited) => change(visited));
  if (changes.length === 0) return body;
  for (const { at, steps } of changes) for (const step of steps) apply(document, at, step);
  return /^\s*[{[]/.test(body)
    ? `${JSON.stringify(document.toJS(), undefined, 2)}\n`
    : document.toString({ lineWidth: 0, ...styleOf(body) });
}

/** How a document is written: `{a: b}` or `{ a: b }`, and whether the items of a list stand below its key. */
function styleOf(body: string): { readonly flowCollectionPadding: boolean; readonly indentSeq: boolean } {
  return {
    flowCollectionPadding: !/[{[]\S/.test(body) || /[{[] \S/.test(body),
    indentSeq: !/^( *)(- )?[^\s#-][^\n]*:[ \t]*(#[^\n]*)?\n\1- /m.test(body),
  };
}

/** The objects of a document: itself, or the items of a List. */
function visit(value: unknown): readonly Visited[] {
  const isList =
    typeof value === "object" &&
    value !== null &&
    "kind" in value &&
    value.kind === "List" &&
    "items" in value;
  if (!isList || !Array.isArray(value.items)) return [{ value, at: [] }];
  const items: readonly unknown[] = value.items;
  return items.map((item, index) => ({ value: item, at: ["items", index] }));
}

function apply(document: Document, at: Path, step: PatchStep): void {
  const tokens = step.path.split("/").slice(1).map(unescaped);
  const path = [...at, ...tokens];
  if (step.op === "remove") {
    document.deleteIn(path.map(indexed));
    return;
  }
  const parent = document.getIn(path.slice(0, -1).map(indexed));
  const last = tokens.at(-1) ?? "";
  const node = document.createNode(step.value);
  if (isSeq(parent) && step.op === "add")
    parent.items.splice(last === "-" ? parent.items.length : Number(last), 0, node);
  else if (isMap(parent)) parent.set(last, node);
  else document.setIn(path.map(indexed), node);
}

function indexed(token: string | number): string | number {
  return typeof token === "string" && /^\d+$/.test(token) ? Number(token) : token;
}

function unescaped(token: string): string {
  return token.replaceAll("~1", "/").replaceAll("~0", "~");
}
