/** A release's description, from its source and what was made of it. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { digest } from "@hauberk/crypto/digest.ts";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import type { Source } from "../source.ts";
import type { Release } from "./release.ts";

/** The oldest version that goes to this one in one step. Raised when something that it wrote is no longer read. */
const UPGRADE_FROM = "0.1.0";

const Definition = z.object({
  kind: z.literal("CustomResourceDefinition"),
  metadata: z.object({ name: z.string() }),
  spec: z.object({ versions: z.array(z.object({ name: z.string(), storage: z.boolean() })) }),
});

async function crdsOf(source: Source): Promise<Release["crds"]> {
  const dir = join(source.dir, "deploy", "crds");
  const files = (await readdir(dir)).filter((name) => name.endsWith(".yaml")).toSorted();
  const found = await Promise.all(
    files.map(async (file) => {
      const bytes = await readFile(join(dir, file));
      return parseAllDocuments(bytes.toString()).map((document) => {
        const { metadata, spec } = Definition.parse(document.toJS());
        const stored = spec.versions.find(({ storage }) => storage);
        if (stored === undefined) throw new Error(`deploy/crds/${file}: ${metadata.name} stores no version`);
        return { name: metadata.name, storageVersion: stored.name, digest: digest(bytes) };
      });
    }),
  );
  return found.flat();
}

/** What the channel says of the release. Its time is the commit's: a rebuild says the same. */
export async function describeRelease(
  source: Source,
  made: Pick<Release, "repository" | "images" | "fixes" | "conformance">,
): Promise<Release> {
  return {
    version: source.version,
    commit: source.commit,
    at: new Date(source.epochSeconds * 1000).toISOString(),
    upgradeFrom: UPGRADE_FROM,
    crds: await crdsOf(source),
    ...made,
  };
}
