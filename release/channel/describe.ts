/** A release's description, from its source and what was made of it. Pure. */
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

/** The definitions in a stream of YAML. @throws if one is none, or stores no version. */
export function kindsIn(yaml: string): Release["crds"] {
  return parseAllDocuments(yaml).map((document) => {
    const { metadata, spec } = Definition.parse(document.toJS());
    const stored = spec.versions.find(({ storage }) => storage);
    if (stored === undefined) throw new Error(`${metadata.name} stores no version`);
    return {
      name: metadata.name,
      storageVersion: stored.name,
      digest: digest(Buffer.from(String(document))),
    };
  });
}

/** What the channel says of the release. Its time is the commit's: a rebuild says the same. */
export function describeRelease(
  source: Source,
  made: Pick<Release, "repository" | "images" | "artifacts" | "absent" | "fixes" | "conformance" | "crds">,
): Release {
  return {
    version: source.version,
    commit: source.commit,
    at: new Date(source.epochSeconds * 1000).toISOString(),
    upgradeFrom: UPGRADE_FROM,
    ...made,
  };
}
