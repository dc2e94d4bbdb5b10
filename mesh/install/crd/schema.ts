/** Structural schemas of CustomResourceDefinitions, as far as ours need them, and short ways to write them. */

/** An OpenAPI v3 schema in the form that an API server takes (apiextensions.k8s.io/v1, JSONSchemaProps). */
export interface Schema {
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly description?: string;
  readonly format?: string;
  readonly enum?: readonly (string | number)[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: { readonly [name: string]: Schema };
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly default?: string | number | boolean;
  readonly oneOf?: readonly { readonly required: readonly string[] }[];
  readonly "x-kubernetes-int-or-string"?: true;
  readonly "x-kubernetes-preserve-unknown-fields"?: true;
  readonly "x-kubernetes-validations"?: readonly { readonly rule: string; readonly message: string }[];
}

/** What only the whole of a schema says, beside its kind. */
type More = Omit<Schema, "type" | "properties" | "items" | "description">;

interface Properties {
  readonly [name: string]: Schema;
}

export function object(properties: Properties, required: readonly string[] = [], more: More = {}): Schema {
  return { type: "object", ...(required.length > 0 ? { required } : {}), ...more, properties };
}

export function list(items: Schema, more: More = {}): Schema {
  return { type: "array", ...more, items };
}

export function mapOf(values: Schema, more: More = {}): Schema {
  return { type: "object", ...more, additionalProperties: values };
}

export function string(more: More = {}): Schema {
  return { type: "string", ...more };
}

export function oneOf(...values: readonly string[]): Schema {
  return { type: "string", enum: values };
}

export function integer(minimum: number, maximum?: number): Schema {
  return { type: "integer", minimum, ...(maximum === undefined ? {} : { maximum }) };
}

export const BOOLEAN: Schema = { type: "boolean" };
export const PORT: Schema = integer(1, 65_535);
export const PORT_OR_NAME: Schema = { "x-kubernetes-int-or-string": true };
/** A name of another object. */
export const NAME: Schema = string({ minLength: 1, maxLength: 253 });
/** A duration as the Gateway API writes it (GEP-2257). */
export const DURATION: Schema = string({ pattern: "^([0-9]{1,5}(h|m|s|ms)){1,4}$" });
/** Whatever is below is kept as it is. */
export const ANYTHING: Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

/** Adds what a person reads in `kubectl explain`. */
export function described(description: string, schema: Schema): Schema {
  return { description, ...schema };
}

/** Adds rules in CEL. */
export function ruled(
  schema: Schema,
  ...rules: readonly (readonly [rule: string, message: string])[]
): Schema {
  return { ...schema, "x-kubernetes-validations": rules.map(([rule, message]) => ({ rule, message })) };
}

/** A `LabelSelector`. */
export const LABEL_SELECTOR: Schema = object({
  matchLabels: mapOf(string()),
  matchExpressions: list(
    object(
      {
        key: string({ minLength: 1 }),
        operator: oneOf("In", "NotIn", "Exists", "DoesNotExist"),
        values: list(string()),
      },
      ["key", "operator"],
    ),
  ),
});

/** `{cidr, except}`. */
export const NETWORK: Schema = object(
  { cidr: string({ minLength: 1 }), except: list(string({ minLength: 1 })) },
  ["cidr"],
);

/** Conditions as every kind has them (metav1.Condition). */
export const CONDITIONS: Schema = list(
  object(
    {
      type: string({ minLength: 1, maxLength: 316 }),
      status: oneOf("True", "False", "Unknown"),
      observedGeneration: { type: "integer", format: "int64", minimum: 0 },
      lastTransitionTime: string({ format: "date-time" }),
      reason: string({ maxLength: 1024 }),
      message: string({ maxLength: 32_768 }),
    },
    ["type", "status"],
  ),
);

/** The status of a kind that says no more than its conditions. */
export const CONDITIONS_STATUS: Schema = object({ conditions: CONDITIONS });
