/** What HTTPRoute and GRPCRoute have in common: hosts, parents, backends, header matches and header filters. */
import { z } from "zod";
import type { HeaderModifier, HostMatch, ParentRef, ValueMatch } from "../../model/route.ts";
import { coreGroup, Port } from "./kind.ts";

/** A field name (RFC 9110 §5.1). */
export const FieldName = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/, "is not a header name");

/** A field value: no control characters, which could start a header of their own. */
const FieldValue = z
  .string()
  .max(4096)
  .regex(/^[\P{Cc}\t]*$/u, "is not a header value");

export const Hostname = z
  .string()
  .max(253)
  .regex(/^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/, "is not a host name")
  .transform((text): HostMatch => {
    const host = text.toLowerCase();
    return host.startsWith("*.") ? { type: "suffix", suffix: host.slice(2) } : { type: "exact", host };
  });

const Parent = z.object({
  group: z.string().nullish(),
  kind: z.string().nullish(),
  namespace: z.string().nullish(),
  name: z.string().min(1),
  port: Port.nullish(),
  sectionName: z.string().nullish(),
});

export const Parents = z.array(Parent).nullish();

/** Fills in what a parent leaves out: the route's own group, kind Gateway, the route's namespace. */
export function parentsOf(
  parents: z.infer<typeof Parents>,
  { group, namespace }: { readonly group: string; readonly namespace: string },
): readonly ParentRef[] {
  return (parents ?? []).map((parent) => ({
    group: coreGroup(parent.group ?? group),
    kind: parent.kind ?? "Gateway",
    namespace: parent.namespace ?? namespace,
    name: parent.name,
    port: parent.port ?? undefined,
    sectionName: parent.sectionName ?? undefined,
  }));
}

/** The reference part of a backend; the filters are the route kind's own. */
export const Backend = z.object({
  group: z.string().nullish(),
  kind: z.string().nullish(),
  namespace: z.string().nullish(),
  name: z.string().min(1),
  port: Port.nullish(),
  weight: z.number().int().min(0).max(1_000_000).nullish(),
});

export function backendOf(backend: z.infer<typeof Backend>, namespace: string) {
  return {
    group: coreGroup(backend.group ?? ""),
    kind: backend.kind ?? "Service",
    namespace: backend.namespace ?? namespace,
    name: backend.name,
    port: backend.port ?? undefined,
    weight: backend.weight ?? 1,
  };
}

/** A match, and what in it has a meaning that we do not know; without that part it matches more, and must only be refused. */
export interface Understood<M> {
  readonly match: M | undefined;
  readonly unsupported: readonly string[];
}

/** What is understood of several matches, and what is not. */
export function understood<M>(parts: readonly Understood<M>[]) {
  return {
    matches: parts.flatMap(({ match }) => (match === undefined ? [] : [match])),
    unsupported: parts.flatMap(({ unsupported }) => unsupported),
  };
}

const Match = z.object({
  type: z.string().nullish(),
  name: z.string().min(1).max(256),
  value: z.string().max(4096),
});

function valueMatch(what: string) {
  return ({ type, name, value }: z.infer<typeof Match>): Understood<ValueMatch> => {
    switch (type) {
      case null:
      case undefined:
      case "Exact":
      case "RegularExpression":
        return { match: { type: type ?? "Exact", name, value }, unsupported: [] };
      default:
        return { match: undefined, unsupported: [`${what} match of type ${type}`] };
    }
  };
}

export const QueryParamMatch = Match.transform(valueMatch("query parameter"));

/** Header names have no case; they are kept in lower case, as HTTP/2 writes them. */
export const HeaderMatch = Match.extend({ name: FieldName.toLowerCase() }).transform(valueMatch("header"));

const Header = z.object({ name: FieldName, value: FieldValue });

export const Modifier = z
  .object({
    set: z.array(Header).nullish(),
    add: z.array(Header).nullish(),
    remove: z.array(FieldName).nullish(),
  })
  .transform(({ set, add, remove }): HeaderModifier => ({
    set: set ?? [],
    add: add ?? [],
    remove: remove ?? [],
  }));
