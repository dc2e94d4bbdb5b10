/**
 * Which objects are in effect. A wrong edit must not take away what worked: an object that cannot be decoded, and
 * every object of a file that cannot be read, keep their last accepted version until the manifest is right again or
 * the object is really gone. Pure.
 */
import { dirname } from "node:path";
import type { Tagged } from "../../model/objects.ts";
import { decode } from "../decode/decode.ts";
import type { Decoded } from "../decode/kind.ts";
import {
  describeObject,
  fieldPath,
  objectKey,
  type ManifestDocument,
  type ManifestObject,
  type Problem,
} from "./document.ts";
import type { Loaded } from "./load.ts";

/** An object in effect, and where it was read. */
export interface AcceptedObject {
  readonly file: string;
  readonly line: number;
  readonly tagged: Tagged;
}

export interface Accepted {
  /** By `objectKey`. */
  readonly objects: ReadonlyMap<string, AcceptedObject>;
  readonly problems: readonly Problem[];
}

/** Nothing accepted yet. */
export const NOTHING_ACCEPTED: Accepted = { objects: new Map(), problems: [] };

/** Files that did not change hold the same objects, which need not be decoded again. */
const decoded = new WeakMap<ManifestObject, { readonly result: Decoded | undefined }>();

function decodeOnce(object: ManifestObject): Decoded | undefined {
  const known = decoded.get(object);
  if (known !== undefined) return known.result;
  const result = decode(object);
  decoded.set(object, { result });
  return result;
}

function problemsOf(document: ManifestDocument, result: Decoded, keepsPrevious: boolean): Problem[] {
  const issues = result.ok ? result.notes : result.issues;
  return issues.map(({ path, message }) => ({
    severity: result.ok ? "warning" : "error",
    file: document.file,
    line: document.lineOf(path),
    object: describeObject(document.object),
    field: fieldPath(path),
    message: keepsPrevious ? `${message} (the version accepted before stays in effect)` : message,
  }));
}

/** The objects in effect after `loaded`, given those in effect before. */
export function accept(before: Accepted, loaded: Loaded): Accepted {
  const objects = new Map<string, AcceptedObject>();
  const problems: Problem[] = [...loaded.problems];
  for (const document of loaded.documents) {
    const result = decodeOnce(document.object);
    if (result === undefined) continue;
    const key = objectKey(document.object);
    const previous = before.objects.get(key);
    problems.push(...problemsOf(document, result, !result.ok && previous !== undefined));
    if (result.ok) objects.set(key, { file: document.file, line: document.line, tagged: result.tagged });
    else if (previous !== undefined) objects.set(key, previous);
  }
  for (const [key, previous] of before.objects) {
    const isUnknown = loaded.broken.has(previous.file) || loaded.broken.has(dirname(previous.file));
    if (isUnknown && !objects.has(key)) objects.set(key, previous);
  }
  return { objects, problems };
}
