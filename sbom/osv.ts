/**
 * Advisories in the OSV format (schema 1.7), from a snapshot that an operator supplies: which of them speak of our parts.
 * Pure.
 */
import { PackageURL } from "packageurl-js";
import { compare, valid } from "semver";
import { z } from "zod";
import type { Component } from "./component.ts";
import { compareDebVersions } from "./deb-version.ts";

const Event = z.object({
  introduced: z.string().optional(),
  fixed: z.string().optional(),
  last_affected: z.string().optional(),
});

/** One advisory; fields that are not used are left. */
export const Advisory = z.object({
  id: z.string(),
  modified: z.iso.datetime({ offset: true }),
  withdrawn: z.string().optional(),
  aliases: z.array(z.string()).default([]),
  summary: z.string().default(""),
  affected: z
    .array(
      z.object({
        package: z.object({ ecosystem: z.string(), name: z.string() }).optional(),
        ranges: z
          .array(z.object({ type: z.enum(["SEMVER", "ECOSYSTEM", "GIT"]), events: z.array(Event) }))
          .default([]),
        versions: z.array(z.string()).default([]),
      }),
    )
    .default([]),
});
export type Advisory = z.infer<typeof Advisory>;

/** What an operator supplied: when it was taken is when its newest advisory was last changed. */
export interface Snapshot {
  readonly digest: string;
  readonly at: Date;
  readonly advisories: readonly Advisory[];
}

/** An advisory that speaks of a part of ours. */
export interface Match {
  readonly id: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly purl: string;
  /** The first version without it, where the advisory names one. */
  readonly fixed: string | undefined;
}

/** Older than this, a snapshot says too little of what is known today. */
export const SNAPSHOT_DAYS_MAX = 14;

/** How old a snapshot is on the day of `now`, and whether that is too old. */
export function ageOf(
  snapshot: Pick<Snapshot, "at">,
  now: Date,
): { readonly days: number; readonly isStale: boolean } {
  const days = (now.getTime() - snapshot.at.getTime()) / 86_400_000;
  return { days: Math.floor(days), isStale: days > SNAPSHOT_DAYS_MAX };
}

interface Part {
  readonly ecosystem: string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly order: (a: string, b: string) => number;
}

function semverOrder(a: string, b: string): number {
  const [left, right] = [valid(a), valid(b)];
  return left === null || right === null ? 0 : compare(left, right);
}

/** A part as advisories name it; `undefined` for what no ecosystem has. */
function partOf({ purl }: Component): Part | undefined {
  const { type, namespace, name, version, qualifiers } = PackageURL.fromString(purl);
  if (name === undefined || version === undefined || version === null) return undefined;
  const scoped = namespace === undefined || namespace === null ? name : `${namespace}/${name}`;
  switch (type) {
    case "npm":
      return { ecosystem: "npm", name: scoped, version, purl, order: semverOrder };
    case "cargo":
      return { ecosystem: "crates.io", name, version, purl, order: semverOrder };
    case "deb": {
      // Advisories are of source packages; `upstream` may carry a version too.
      const source = qualifiers?.["upstream"]?.split("@")[0] ?? name;
      const release = qualifiers?.["distro"]?.replace("debian-", "Debian:") ?? "Debian";
      return { ecosystem: release, name: source, version, purl, order: compareDebVersions };
    }
    default:
      return undefined;
  }
}

type Affected = Advisory["affected"][number];

/** Walks the events in the order of versions: the last one that is not after `version` decides. */
function isInRange(part: Part, events: Affected["ranges"][number]["events"]): boolean {
  let isAffected = false;
  const sorted = events
    .flatMap(({ introduced, fixed, last_affected: last }) => [
      ...(introduced === undefined ? [] : [{ at: introduced, affects: true, isAfter: false }]),
      ...(fixed === undefined ? [] : [{ at: fixed, affects: false, isAfter: false }]),
      ...(last === undefined ? [] : [{ at: last, affects: false, isAfter: true }]),
    ])
    .toSorted((a, b) => (a.at === "0" ? -1 : b.at === "0" ? 1 : part.order(a.at, b.at)));
  for (const { at, affects, isAfter } of sorted) {
    const order = at === "0" ? 1 : part.order(part.version, at);
    if (order > 0 || (order === 0 && !isAfter)) isAffected = affects;
  }
  return isAffected;
}

function speaksOf(part: Part, affected: Affected): boolean {
  const { package: named, ranges, versions } = affected;
  if (named === undefined || named.name !== part.name || named.ecosystem !== part.ecosystem) return false;
  if (versions.includes(part.version)) return true;
  return ranges.some(({ type, events }) => type !== "GIT" && isInRange(part, events));
}

/** Every advisory that speaks of one of the parts, by part and id. Withdrawn ones are left out. */
export function matches(components: readonly Component[], advisories: readonly Advisory[]): readonly Match[] {
  const byName = new Map<string, { readonly advisory: Advisory; readonly affected: Affected }[]>();
  for (const advisory of advisories) {
    if (advisory.withdrawn !== undefined) continue;
    for (const affected of advisory.affected) {
      const key = `${affected.package?.ecosystem ?? ""} ${affected.package?.name ?? ""}`;
      byName.set(key, [...(byName.get(key) ?? []), { advisory, affected }]);
    }
  }
  const found = components.flatMap((component): readonly Match[] => {
    const part = partOf(component);
    if (part === undefined) return [];
    return (byName.get(`${part.ecosystem} ${part.name}`) ?? [])
      .filter(({ affected }) => speaksOf(part, affected))
      .map(({ advisory: { id, aliases, summary }, affected }) => ({
        id,
        aliases,
        summary,
        purl: part.purl,
        fixed: affected.ranges.flatMap(({ events }) => events.flatMap(({ fixed }) => fixed ?? [])).at(-1),
      }));
  });
  const unique = new Map(found.map((match) => [`${match.purl} ${match.id}`, match]));
  return [...unique.values()].toSorted((a, b) => (`${a.purl} ${a.id}` < `${b.purl} ${b.id}` ? -1 : 1));
}
