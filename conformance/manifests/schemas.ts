/** JSON schemas of Kubernetes' own kinds, made of the OpenAPI documents that Kubernetes' module has: what its API server serves. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

const Definition = z.looseObject({
  "x-kubernetes-group-version-kind": z
    .array(z.object({ group: z.string(), version: z.string(), kind: z.string() }))
    .optional(),
});
const Document = z.looseObject({
  components: z.looseObject({ schemas: z.record(z.string(), Definition).optional() }).optional(),
});

const Json = z.json();
type Json = z.infer<typeof Json>;

function isMap(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The same schema, which refuses fields that it does not name, and knows that an absent value may be written `null`, as
 * API servers have it.
 *
 * @internal
 */
export function strict(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(strict);
  if (!isMap(schema)) return schema;
  const mended = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]));
  const isOpen = "additionalProperties" in schema || schema["x-kubernetes-preserve-unknown-fields"] === true;
  return isMap(schema["properties"]) && schema["type"] === "object" && !isOpen
    ? { ...mended, additionalProperties: false }
    : mended;
}

/** Where the schema of a kind lies, as kubeconform is told. */
export const SCHEMA_LOCATION = "{{ .Group }}-{{ .ResourceAPIVersion }}-{{ .ResourceKind }}.json";

/** Writes one file for each kind that a document describes; gives how many. */
export async function writeSchemas(documents: string, into: string): Promise<number> {
  await mkdir(into, { recursive: true });
  const written = new Set<string>();
  const files = (await readdir(documents)).filter((file) => /__v[0-9a-z]+_openapi\.json$/.test(file));
  for (const file of files) {
    const text = await readFile(join(documents, file), "utf8");
    const { components } = Document.parse(JSON.parse(text));
    const schemas = strict(Json.parse(components?.schemas ?? {}));
    for (const [name, definition] of Object.entries(components?.schemas ?? {})) {
      for (const { group, version, kind } of definition["x-kubernetes-group-version-kind"] ?? []) {
        // kubeconform takes the version for the group of the core group.
        const target = `${group === "" ? version : group}-${version}-${kind.toLowerCase()}.json`;
        if (written.has(target)) continue;
        written.add(target);
        const schema = { $ref: `#/components/schemas/${name}`, components: { schemas } };
        await writeFile(join(into, target), JSON.stringify(schema));
      }
    }
  }
  return written.size;
}
