import { parse } from "yaml";
import { ValuesError, isTree, type Tree } from "./values.ts";

/** Reads a file of values, YAML or JSON; `from` is what an error names. An empty file sets nothing. */
export function parseValuesFile(text: string, from: string): Tree {
  let read: unknown;
  try {
    read = parse(text);
  } catch (cause) {
    throw new ValuesError([`${from}: ${cause instanceof Error ? cause.message : "is not YAML"}`]);
  }
  if (read === null || read === undefined) return {};
  if (!isTree(read)) throw new ValuesError([`${from}: is no map of values`]);
  return read;
}
