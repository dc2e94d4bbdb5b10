/** A release as its channel describes it. Pure. */
import { createHash } from "node:crypto";
import { z } from "zod";

const Sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const Version = z.string().regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, "not a semantic version");

/** A vulnerability that a release ends, as its VEX document says. */
const Fix = z.strictObject({ id: z.string(), component: z.string() });

/** What is to be installed, and what one should know before. */
export const Release = z.strictObject({
  version: Version,
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  /** When it was made, RFC 3339. */
  at: z.iso.datetime(),
  /** Where the images lie, as `HOST/PATH`; an operator's mirror replaces it. */
  repository: z.string(),
  /** Digest of each image's index. */
  images: z.record(z.string(), Sha256),
  /** Digest of what is no image: charts, definitions, archives of the command line. */
  artifacts: z.record(z.string(), Sha256).default({}),
  /** What it does not hold, and why. */
  absent: z.array(z.strictObject({ name: z.string(), platform: z.string(), reason: z.string() })).default([]),
  /** The oldest version that may go to this one directly. */
  upgradeFrom: Version,
  /** Custom resource definitions: their digests, and the version that each stores. */
  crds: z.array(z.strictObject({ name: z.string(), storageVersion: z.string(), digest: Sha256 })),
  fixes: z.array(Fix),
  /** Outcome of each conformance suite: how many cases came out as required, of how many. */
  conformance: z.record(
    z.string(),
    z.strictObject({ asRequired: z.int().nonnegative(), cases: z.int().nonnegative() }),
  ),
});
export type Release = z.infer<typeof Release>;

/** Everything that is verified, published and copied, by name. */
export function contentsOf({ images, artifacts }: Release): Readonly<Record<string, string>> {
  return { ...images, ...artifacts };
}

const List = z.strictObject({
  channel: z.enum(["stable", "edge"]),
  /** Oldest first. */
  releases: z.array(z.strictObject({ version: Version, digest: Sha256 })),
});
export type List = z.infer<typeof List>;

export const writeList = (list: List): Buffer => Buffer.from(`${JSON.stringify(list, undefined, 2)}\n`);
export const readList = (bytes: Uint8Array): List => List.parse(JSON.parse(Buffer.from(bytes).toString()));
export const writeDescription = (release: Release): Buffer =>
  Buffer.from(`${JSON.stringify(release, undefined, 2)}\n`);
/** @throws naming the field that is wrong. */
export function readDescription(bytes: Uint8Array): Release {
  const parsed = Release.safeParse(JSON.parse(Buffer.from(bytes).toString()));
  if (!parsed.success) throw new Error(`the release's description: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** The list with `release` at its end. A version is given once: the same again changes nothing, another is refused. */
export function addRelease(list: List, release: Release, bytes: Uint8Array): List {
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  const before = list.releases.find(({ version }) => version === release.version);
  if (before !== undefined && before.digest !== digest)
    throw new Error(`${release.version} is in the channel ${list.channel} already, with other content`);
  if (before !== undefined) return list;
  return { ...list, releases: [...list.releases, { version: release.version, digest }] };
}
