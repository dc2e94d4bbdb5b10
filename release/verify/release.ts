/** All images of a release, wherever it lies: in the folder that it was made in, or in a registry. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { digest } from "@hauberk/crypto/digest.ts";
import { Layout } from "../oci/layout.ts";
import { Repository } from "../oci/registry.ts";
import { describeChecks } from "./report.ts";
import { verifyImage, type Check, type Party, type Trust } from "./verify.ts";

/** Names of the images of a whole release. */
export const IMAGES = ["proxy", "controller", "cli"] as const;
export type ImageName = (typeof IMAGES)[number];

export function isImageName(name: string): name is ImageName {
  return IMAGES.some((image) => image === name);
}

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

async function checksOf(place: Place, name: string, trust: Trust): Promise<readonly Check[]> {
  if (isFolder(place.where))
    return verifyImage(await Layout.open(join(resolve(place.where), "images")), name, trust);
  const repository = repositoryOf(place, name);
  try {
    return await verifyImage(repository, place.tag, trust);
  } finally {
    await repository.close();
  }
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
export const NOT_CLAIMED = [
  "SLSA Build L3: nothing shows that the builder's runs are isolated from each other",
  "a transparency log: the keys are long-lived, and what they signed is logged nowhere",
  "other platforms than those that are listed",
] as const;

/** Enough of a key's digest to compare by eye. */
const print = (spki: Uint8Array) => digest(Buffer.from(spki)).slice(0, "sha256:".length + 16);

function partyLine(title: string, { id, classical, postQuantum }: Party): string {
  return `${title.padEnd(8)} ${id}\n${" ".repeat(9)}${classical.algorithm.name} ${print(classical.spki)}, ${postQuantum.algorithm.name} ${print(postQuantum.spki)}`;
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
    ...NOT_CLAIMED.map((line) => `  ${line}`),
    "",
    failed === 0 ? "Verified." : `Refused: ${failed} demands are not met.`,
    "",
  ].join("\n");
}
