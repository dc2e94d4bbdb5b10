/** An object as an API server gives it → what the mesh keeps of it. Pure. */
import { z } from "zod";
import { keyOfObject, type Kind } from "../../model/objects.ts";
import type { Decoded, Decoder } from "../decode/kind.ts";
import { Sharer } from "./share.ts";
import { describeObject } from "../manifests/document.ts";
import { parseObject } from "../manifests/parse.ts";

/** One object of a kind that is followed. */
export interface ReadObject {
  /** Among the objects of its kind, as in the snapshot. */
  readonly key: string;
  /** `Kind namespace/name`. */
  readonly name: string;
  readonly decoded: Decoded;
  /** When it was last written, RFC 3339 in whole seconds, as far as its managers say. */
  readonly writtenAt: string | undefined;
}

/** Enough of an object to name it, however wrong the rest is. */
const Named = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().default(""),
    managedFields: z.array(z.object({ time: z.string().nullish() })).nullish(),
  }),
});

/** Nodes are few, and network plugins write addresses into their annotations. */
const WITH_ALL_ANNOTATIONS: ReadonlySet<Kind> = new Set<Kind>(["Node"]);

/** Annotations that mean something here. Others (an applied manifest, a rollout's history) can be longer than the object. */
const KEPT_ANNOTATION = /^([a-z0-9-]+\.)*(linkerd\.io|hauberk\.io|service\.kubernetes\.io)\//;

function keptAnnotations(all: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const kept = Object.entries(all).filter(([name]) => KEPT_ANNOTATION.test(name));
  return kept.length === 0 ? NO_ANNOTATIONS : Object.fromEntries(kept);
}

/** Shared by all objects without annotations of interest, which are most. */
const NO_ANNOTATIONS: Readonly<Record<string, string>> = Object.freeze({});

/** A reader of objects of one kind in one version. `apiVersion` and `kind` are what was asked for, not what came. */
export function reader(decoder: Decoder, apiVersion: string): (object: unknown) => ReadObject {
  const { kind, group } = decoder;
  const sharer = new Sharer();
  return (object) => {
    const { metadata } = Named.parse(object);
    const { name, namespace } = metadata;
    const key = keyOfObject(kind, { meta: { namespace, name }, group });
    const times = (metadata.managedFields ?? []).flatMap(({ time }) => time ?? []);
    const writtenAt = times.reduce<string | undefined>(
      (latest, time) => (latest === undefined || time > latest ? time : latest),
      undefined,
    );
    const parsed = parseObject({ ...Object(object), apiVersion, kind });
    if (!parsed.ok) return { key, name: `${kind} ${namespace}/${name}`, decoded: parsed, writtenAt };
    const { object: whole } = parsed;
    const { annotations } = whole.metadata;
    const kept = WITH_ALL_ANNOTATIONS.has(kind) ? annotations : keptAnnotations(annotations);
    const slim = { ...whole, metadata: { ...whole.metadata, annotations: kept } };
    const decoded = decoder.decode(slim);
    return {
      key,
      name: describeObject(slim),
      decoded: decoded.ok ? { ...decoded, tagged: sharer.share(decoded.tagged) } : decoded,
      writtenAt,
    };
  };
}
