/** All images of a release, wherever it lies: in the folder that it was made in, or in a registry. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { digest } from "@hauberk/crypto/digest.ts";
import { contentsOf, readDescription, type Release } from "../channel/release.ts";
import { Layout } from "../oci/layout.ts";
import { Repository } from "../oci/registry.ts";
import { describeChecks } from "./report.ts";
import type { Expected, Party, Trust } from "./trust.ts";
import { verifyImage, type Check } from "./verify.ts";

/** Where a release lies. */
export interface Place {
  /** A folder that `npm run release` made, or `HOST[:PORT]/PATH`. */
  readonly where: string;
  /** Tag or digest of the images; a folder names its images itself. */
  readonly tag: string;
  readonly isPlainHttp: boolean;
}

/** The repository of one image. The password comes from REGISTRY_USERNAME and REGISTRY_PASSWORD. */
export function repositoryOf({ where, isPlainHttp }: Place, name: string): Repository {
  const { REGISTRY_USERNAME: username, REGISTRY_PASSWORD: password } = process.env;
  const credentials =
    username === undefined || password === undefined ? {} : { credentials: { username, password } };
  return new Repository(`${where}/${name}`, { dangerousPlainHttp: isPlainHttp, ...credentials });
}

/** Whether `where` is a folder with a release in it. */
export function isFolder(where: string): boolean {
  return existsSync(join(resolve(where), "images", "oci-layout"));
}

/** What a release's description says that its image `name` is. */
function describedAs(release: Release, name: string): Expected {
  const { version, commit } = release;
  return { artifact: name, version, commit, digest: contentsOf(release)[name] };
}

/** A tag that is a version promises it. */
function taggedAs(tag: string, name: string): Expected {
  const version = /^v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)$/.exec(tag)?.[1];
  return { artifact: name, version };
}

async function checksOf(place: Place, name: string, trust: Trust): Promise<readonly Check[]> {
  if (isFolder(place.where)) {
    const dir = resolve(place.where);
    const expected = describedAs(readDescription(await readFile(join(dir, "release.json"))), name);
    return verifyImage(await Layout.open(join(dir, "images")), name, trust, { expected });
  }
  const repository = repositoryOf(place, name);
  try {
    return await verifyImage(repository, place.tag, trust, { expected: taggedAs(place.tag, name) });
  } finally {
    await repository.close();
  }
}

/**
 * All parts that a channel's description names, or those that are asked for, in the registry at `place`: what an upgrade demands before it changes
 * anything. @throws as {@link verifyRelease}
 */
export async function verifyDescribed(
  release: Release,
  { where, isPlainHttp }: Pick<Place, "where" | "isPlainHttp">,
  trust: Trust,
  names: readonly string[] = Object.keys(contentsOf(release)),
): Promise<readonly ImageChecks[]> {
  if (trust.gate === undefined)
    throw new Error("trust: it names no gate, and a release that nobody let out is not accepted");
  const found: ImageChecks[] = [];
  for (const [name, digest] of Object.entries(contentsOf(release))) {
    if (!names.includes(name)) continue;
    const repository = repositoryOf({ where, tag: digest, isPlainHttp }, name);
    try {
      const expected = describedAs(release, name);
      found.push({ name, checks: await verifyImage(repository, digest, trust, { expected }) });
    } finally {
      await repository.close();
    }
  }
  return found;
}

/** One image with everything that was demanded of it. */
export interface ImageChecks {
  readonly name: string;
  readonly checks: readonly Check[];
}

/** Verifies the named images of a release. @throws if `trust` names no gate, or nothing is looked at. */
export async function verifyRelease(
  place: Place,
  trust: Trust,
  names: readonly string[],
): Promise<readonly ImageChecks[]> {
  if (trust.gate === undefined)
    throw new Error("trust: it names no gate, and a release that nobody let out is not accepted");
  if (names.length === 0) throw new Error("no image is named: nothing would be verified");
  const found: ImageChecks[] = [];
  for (const name of names) found.push({ name, checks: await checksOf(place, name, trust) });
  return found;
}

/** How many demands are not met. */
export function failures(images: readonly ImageChecks[]): number {
  return images.flatMap(({ checks }) => checks).filter(({ outcome }) => !outcome.ok).length;
}

/** What a verification cannot know; said with every one of them. */
const NOT_CLAIMED = [
  "SLSA Build L3: nothing shows that the builder's runs are isolated from each other",
  "other platforms than those that are listed",
] as const;

/** What a verification by `trust` does not say. */
export function notClaimed({ builder, gate }: Trust): readonly string[] {
  const isLogged = builder.certified !== undefined && gate?.certified !== undefined;
  const unlogged = "a transparency log: the keys are long-lived, and what they signed is logged nowhere";
  return isLogged ? NOT_CLAIMED : [...NOT_CLAIMED, unlogged];
}

/** Enough of a key's digest to compare by eye. */
const print = (spki: Uint8Array) => digest(Buffer.from(spki)).slice(0, "sha256:".length + 16);

function partyLine(title: string, { id, classical, postQuantum, certified }: Party): string {
  const name =
    certified === undefined
      ? ""
      : `\n${" ".repeat(9)}certificate of ${certified.identity}, known to ${certified.issuer}`;
  return `${title.padEnd(8)} ${id}\n${" ".repeat(9)}${classical.algorithm.name} ${print(classical.spki)}, ${postQuantum.algorithm.name} ${print(postQuantum.spki)}${name}`;
}

/** The whole verification as people read it: every demand, by which identity, and what is not claimed. */
export function describeRelease(images: readonly ImageChecks[], trust: Trust): string {
  const failed = failures(images);
  const parties = [
    partyLine("builder", trust.builder),
    ...(trust.gate === undefined ? [] : [partyLine("gate", trust.gate)]),
  ];
  return [
    ...images.map(({ name, checks }) => describeChecks(name, checks)),
    "believed",
    ...parties.map((line) => line.replaceAll(/^/gm, "  ")),
    "",
    "not claimed",
    ...notClaimed(trust).map((line) => `  ${line}`),
    "",
    failed === 0 ? "Verified." : `Refused: ${failed} demands are not met.`,
    "",
  ].join("\n");
}
