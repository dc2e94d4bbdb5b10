/** Plain values as YAML and back, where they are no manifests to be read with lines and limits. Pure. */
import { parse, stringify } from "yaml";

/** Reads one document; throws what the parser says. */
export function readYaml(text: string): unknown {
  return parse(text, { maxAliasCount: 0, logLevel: "silent" });
}

/** Objects as a stream of documents, in the order of their keys. */
export function writeYaml(objects: readonly object[]): string {
  return objects.map((object) => stringify(object, { lineWidth: 0 })).join("---\n");
}
