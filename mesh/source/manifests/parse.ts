/** The text of one manifest file → objects with checked heads. Pure. */
import { isCollection, isNode, LineCounter, parseAllDocuments, type Document } from "yaml";
import { z } from "zod";
import { fieldPath, type ManifestDocument, type ManifestObject, type Problem } from "./document.ts";

/** Documents in one file. A rendered chart of a large platform has a few hundred. */
const DOCUMENTS_MAX = 5_000;
/** How often anchors may be expanded in one document, so that a few lines cannot become gigabytes. */
const ALIASES_MAX = 100;
/** How deep a document may nest; a Kubernetes object stays below 30. */
const DEPTH_MAX = 100;

const Strings = z.record(z.string(), z.string()).nullish();

/** A DNS-1123 subdomain, which is what every kind we know requires, with the dots and case RBAC names may have. */
const Name = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?$/, "is not a valid name");

const Head = z.looseObject({
  apiVersion: z.string().min(1).max(300),
  kind: z.string().min(1).max(100),
  metadata: z.object({
    name: Name,
    namespace: Name.nullish(),
    labels: Strings,
    annotations: Strings,
    uid: z.string().nullish(),
    creationTimestamp: z.string().nullish(),
    deletionTimestamp: z.string().nullish(),
    generation: z.number().int().nullish(),
    ownerReferences: z
      .array(z.object({ kind: z.string(), name: z.string(), controller: z.boolean().nullish() }))
      .nullish(),
  }),
});

const List = z.looseObject({
  apiVersion: z.string(),
  kind: z.string().regex(/List$/),
  items: z.array(z.unknown()),
});

/** What one file holds. `whole` says whether every document of it could at least be told apart. */
export interface ParsedFile {
  readonly documents: readonly ManifestDocument[];
  readonly problems: readonly Problem[];
  readonly whole: boolean;
}

/** One value of a file before its head is read. */
interface Raw {
  readonly index: number;
  readonly line: number;
  readonly value: unknown;
  readonly lineOf: (path: readonly PropertyKey[]) => number;
}

function withMeta(head: z.infer<typeof Head>): ManifestObject {
  const { apiVersion, kind, metadata, ...rest } = head;
  return {
    apiVersion,
    kind,
    metadata: {
      name: metadata.name,
      namespace: metadata.namespace ?? "default",
      labels: metadata.labels ?? {},
      annotations: metadata.annotations ?? {},
      uid: metadata.uid ?? undefined,
      creationTimestamp: metadata.creationTimestamp ?? undefined,
      deletionTimestamp: metadata.deletionTimestamp ?? undefined,
      generation: metadata.generation ?? undefined,
      ownerReferences: (metadata.ownerReferences ?? []).map((owner) => ({
        kind: owner.kind,
        name: owner.name,
        controller: owner.controller ?? false,
      })),
    },
    rest,
  };
}

/** An object as an API server sends it: its head checked, or what is wrong with it. */
export function parseObject(
  value: unknown,
):
  | { readonly ok: true; readonly object: ManifestObject }
  | { readonly ok: false; readonly issues: readonly { path: readonly PropertyKey[]; message: string }[] } {
  if (isTooDeep(value, DEPTH_MAX))
    return { ok: false, issues: [{ path: [], message: `nests deeper than ${DEPTH_MAX} levels` }] };
  const head = Head.safeParse(value);
  if (head.success) return { ok: true, object: withMeta(head.data) };
  return { ok: false, issues: head.error.issues.map(({ path, message }) => ({ path, message })) };
}

/** Whether `value` nests deeper than `left` levels. */
function isTooDeep(value: unknown, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (left === 0) return true;
  return Object.values(value).some((child) => isTooDeep(child, left - 1));
}

function expand(file: string, raw: Raw, prefix: readonly PropertyKey[]): ParsedFile {
  const list = List.safeParse(raw.value);
  if (list.success && prefix.length === 0) {
    const items = list.data.items.map((value, at) => {
      const path = [...prefix, "items", at];
      const lineOf = (field: readonly PropertyKey[]) => raw.lineOf([...path, ...field]);
      return expand(file, { index: raw.index, line: lineOf([]), value, lineOf }, path);
    });
    return join(items);
  }
  const head = Head.safeParse(raw.value);
  if (head.success) {
    const { index, line, lineOf } = raw;
    return {
      documents: [{ file, index, line, object: withMeta(head.data), lineOf }],
      problems: [],
      whole: true,
    };
  }
  const problems = head.error.issues.map((issue) => ({
    severity: "error" as const,
    file,
    line: raw.lineOf(issue.path),
    object: guessObject(raw.value),
    field: fieldPath([...prefix, ...issue.path]),
    message: issue.message,
  }));
  return { documents: [], problems, whole: false };
}

const Guess = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().nullish() }),
});

/** `Kind ns/name` of something that is not a valid object, as far as it can be told. */
function guessObject(value: unknown): string {
  const guess = Guess.safeParse(value);
  if (!guess.success) return "";
  return `${guess.data.kind} ${guess.data.metadata.namespace ?? "default"}/${guess.data.metadata.name}`;
}

function join(files: readonly ParsedFile[]): ParsedFile {
  return {
    documents: files.flatMap((one) => one.documents),
    problems: files.flatMap((one) => one.problems),
    whole: files.every((one) => one.whole),
  };
}

function broken(file: string, line: number, message: string): ParsedFile {
  return {
    documents: [],
    problems: [{ severity: "error", file, line, object: "", field: "", message }],
    whole: false,
  };
}

function lineFinder(document: Document, lines: LineCounter, fallback: number) {
  return (path: readonly PropertyKey[]): number => {
    let line = fallback;
    let node: unknown = document.contents;
    for (const key of path) {
      if (!isCollection(node)) return line;
      node = node.get(key, true);
      if (!isNode(node)) return line;
      if (node.range) line = lines.linePos(node.range[0]).line;
    }
    return line;
  };
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? text;
}

function parseDocument(file: string, index: number, document: Document, lines: LineCounter): ParsedFile {
  const line = lines.linePos(document.contents?.range?.[0] ?? document.range?.[0] ?? 0).line;
  const error = document.errors[0];
  if (error !== undefined) {
    return broken(file, error.linePos?.[0].line ?? line, `not YAML: ${firstLine(error.message)}`);
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (cause) {
    return broken(
      file,
      line,
      `not YAML: ${cause instanceof Error ? firstLine(cause.message) : "unknown error"}`,
    );
  }
  // An empty document: a leading or trailing `---`, or only comments.
  if (value === null || value === undefined) return join([]);
  if (isTooDeep(value, DEPTH_MAX)) return broken(file, line, `nests deeper than ${DEPTH_MAX} levels`);
  return expand(file, { index, line, value, lineOf: lineFinder(document, lines, line) }, []);
}

/**
 * Parses YAML (1.2, core schema), of which JSON is a part.
 *
 * @internal
 */
export function parseYaml(file: string, text: string): ParsedFile {
  const lines = new LineCounter();
  let documents: ReturnType<typeof parseAllDocuments>;
  try {
    documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: true, logLevel: "silent" });
  } catch (cause) {
    // The parser recurses; text that nests tens of thousands deep exhausts the stack, which is an answer too.
    return broken(
      file,
      1,
      `not YAML: ${cause instanceof Error ? firstLine(cause.message) : "unknown error"}`,
    );
  }
  if (documents.length > DOCUMENTS_MAX) return broken(file, 1, `holds more than ${DOCUMENTS_MAX} documents`);
  return join([...documents].map((document, index) => parseDocument(file, index, document, lines)));
}

/** Parses one JSON value. Lines are looked up, by the YAML parser, only when a message needs one. */
function parseJson(file: string, text: string): ParsedFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Says line and column, which V8's message does not.
    return parseYaml(file, text);
  }
  if (isTooDeep(value, DEPTH_MAX)) return broken(file, 1, `nests deeper than ${DEPTH_MAX} levels`);
  const lineOf = (path: readonly PropertyKey[]): number => {
    const lines = new LineCounter();
    const [document] = parseAllDocuments(text, { lineCounter: lines, logLevel: "silent" });
    return document === undefined ? 1 : lineFinder(document, lines, 1)(path);
  };
  return expand(file, { index: 0, line: 1, value, lineOf }, []);
}

/** Parses a manifest file by its name's ending. */
export function parseFile(file: string, text: string): ParsedFile {
  return file.endsWith(".json") ? parseJson(file, text) : parseYaml(file, text);
}
