/** A kind of the mesh's, and the CustomResourceDefinition it becomes. */
import { NAMESPACE, VERSION, text, type TemplateMap } from "../template/node.ts";
import type { Schema } from "./schema.ts";

/** A column of `kubectl get`. */
interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "date";
  readonly jsonPath: string;
}

/** One served version. */
interface Version {
  readonly name: string;
  readonly spec: Schema;
  /** Absent: it has no status. */
  readonly status?: Schema;
  readonly columns?: readonly Column[];
  /** Whether an object needs a `spec`. */
  readonly needsSpec?: boolean;
  /** Old versions still served, which clients are warned of. */
  readonly deprecation?: string;
}

export interface Definition {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames?: readonly string[];
  /** The last one is the version that is stored. */
  readonly versions: readonly Version[];
}

export function nameOf({ plural, group }: Definition): string {
  return `${plural}.${group}`;
}

/** The version that objects are stored in. */
export function storageVersionOf({ versions }: Definition): string {
  return versions.at(-1)?.name ?? "";
}

export function manifestOf(definition: Definition): TemplateMap {
  const { group, kind, plural, shortNames = [], versions } = definition;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: nameOf(definition),
      annotations: { "linkerd.io/created-by": text`hauberk/${VERSION}` },
      labels: { "linkerd.io/control-plane-ns": NAMESPACE },
    },
    spec: {
      group,
      scope: "Namespaced",
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        ...(shortNames.length > 0 ? { shortNames } : {}),
      },
      versions: versions.map((version) => versionManifest(version, storageVersionOf(definition))),
    },
  };
}

function versionManifest(version: Version, storage: string): TemplateMap {
  const { name, spec, status, columns = [], needsSpec = true, deprecation } = version;
  return {
    name,
    served: true,
    storage: name === storage,
    ...(deprecation === undefined ? {} : { deprecated: true, deprecationWarning: deprecation }),
    ...(status === undefined ? {} : { subresources: { status: {} } }),
    ...(columns.length > 0 ? { additionalPrinterColumns: columns.map((column) => ({ ...column })) } : {}),
    schema: {
      openAPIV3Schema: {
        type: "object",
        ...(needsSpec ? { required: ["spec"] } : {}),
        properties: {
          apiVersion: { type: "string" },
          kind: { type: "string" },
          metadata: { type: "object" },
          spec: schemaNode(spec),
          ...(status === undefined ? {} : { status: schemaNode(status) }),
        },
      },
    },
  };
}

/** A schema as a tree; keys without a value are left out. */
function schemaNode(schema: Schema): TemplateMap {
  const { properties, items, additionalProperties, oneOf, ...plain } = schema;
  const rules = plain["x-kubernetes-validations"];
  const node: Record<string, TemplateMap[string]> = {};
  for (const [key, value] of Object.entries(plain)) {
    if (key === "x-kubernetes-validations") continue;
    node[key] = Array.isArray(value) ? value.map(scalarOf) : scalarOf(value);
  }
  if (rules !== undefined) node["x-kubernetes-validations"] = rules.map((rule) => ({ ...rule }));
  if (oneOf !== undefined) node["oneOf"] = oneOf.map(({ required }) => ({ required }));
  if (properties !== undefined) {
    node["properties"] = Object.fromEntries(
      Object.entries(properties).map(([name, child]) => [name, schemaNode(child)]),
    );
  }
  if (additionalProperties !== undefined) node["additionalProperties"] = schemaNode(additionalProperties);
  if (items !== undefined) node["items"] = schemaNode(items);
  return node;
}

function scalarOf(value: unknown): string | number | boolean {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  throw new Error(`${JSON.stringify(value)} is no scalar`);
}
