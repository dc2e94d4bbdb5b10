/** How single values are written in the schema: each with its default and what it means. */
import { z } from "zod";

/** What is known of a value beside its form. */
interface About {
  readonly description: string;
  readonly fallback: unknown;
}

const ABOUT = z.registry<About>();

/** The default of a value and what it means; `undefined` of what is no single value. */
export function aboutOf(schema: z.core.$ZodType): About | undefined {
  return ABOUT.get(schema);
}

/** A value of a form of its own. Maps are merged with their default as Helm merges them, lists are replaced. */
export function json<S extends z.ZodType>(schema: S, fallback: z.output<S>, meaning: string): S {
  const described = schema.describe(meaning);
  ABOUT.add(described, { description: meaning, fallback });
  return described;
}

export function text(fallback: string, meaning: string) {
  return json(z.string(), fallback, meaning);
}

export function flag(fallback: boolean, meaning: string) {
  return json(z.boolean(), fallback, meaning);
}

/** A whole number, not below zero. */
export function count(fallback: number, meaning: string) {
  return json(z.number().int().min(0), fallback, meaning);
}

export function words<const W extends string>(of: readonly W[], fallback: W, meaning: string) {
  return json(z.enum(of), fallback, meaning);
}

export function labels(meaning: string) {
  return json(z.record(z.string(), z.string()), {}, meaning);
}

/** Values that belong together. */
export function record<S extends z.ZodRawShape>(meaning: string, shape: S) {
  return z.strictObject(shape).describe(meaning);
}

interface Amount {
  readonly request?: string;
  readonly limit?: string;
}

/** Requests and limits of a container, as Linkerd writes them. Empty: none. */
export function resources(
  meaning: string,
  { cpu = {}, memory = {} }: { readonly cpu?: Amount; readonly memory?: Amount } = {},
) {
  const amount = (of: string, { request = "", limit = "" }: Amount) =>
    record(`${of}.`, {
      request: json(Quantity, request, `${of} asked for.`),
      limit: json(Quantity, limit, `Most ${of.toLowerCase()}.`),
    });
  return record(meaning, {
    cpu: amount("CPU", cpu),
    memory: amount("Memory", memory),
    "ephemeral-storage": amount("Ephemeral storage", {}),
  });
}

/** An amount as Kubernetes writes it, or nothing. */
const Quantity = z
  .string()
  .regex(/^(|\d+(\.\d+)?([munpfkMGTPE]|[KMGTPE]i|e\d+)?)$/, "is no quantity such as 100m or 20Mi");

/** Networks in CIDR notation. */
export const CIDRS = z.array(z.union([z.cidrv4(), z.cidrv6()]));
