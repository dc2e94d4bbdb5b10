/** What an attacker does to a release that lies somewhere, without a key of builder or gate. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { BUNDLE } from "../attest/bundle.ts";
import { Index, Manifest, digestOf, jsonBytes, type Descriptor } from "../oci/model.ts";

const blobPath = (layout: string, digest: string) => join(layout, "blobs", "sha256", digest.slice(7));

async function put(layout: string, bytes: Uint8Array) {
  const digest = digestOf(bytes);
  await writeFile(blobPath(layout, digest), bytes);
  return { digest, size: bytes.length };
}

async function indexOf(layout: string): Promise<Index> {
  return Index.parse(JSON.parse(await readFile(join(layout, "index.json"), "utf8")));
}

async function saveIndex(layout: string, manifests: readonly Descriptor[]): Promise<void> {
  await writeFile(join(layout, "index.json"), jsonBytes({ ...(await indexOf(layout)), manifests }));
}

/** Leaves out what is attached, where `isKept` says no of its content. */
export async function dropReferrers(
  layout: string,
  isKept: (artifactType: string, content: string) => boolean,
): Promise<void> {
  const kept: Descriptor[] = [];
  const { manifests } = await indexOf(layout);
  for (const entry of manifests) {
    const { artifactType } = entry;
    if (artifactType !== undefined) {
      const [layer] = Manifest.parse(
        JSON.parse((await readFile(blobPath(layout, entry.digest))).toString()),
      ).layers;
      const content = await readFile(blobPath(layout, layer?.digest ?? ""), "utf8");
      if (!isKept(artifactType, content)) continue;
    }
    kept.push(entry);
  }
  if (kept.length === manifests.length) throw new Error("nothing was spoiled");
  await saveIndex(layout, kept);
}

/** A bundle as anybody may rewrite it. */
export const LooseBundle = z.looseObject({
  verificationMaterial: z.looseObject({
    certificate: z.unknown().optional(),
    tlogEntries: z
      .array(
        z.looseObject({
          inclusionProof: z
            .looseObject({
              rootHash: z.string(),
              checkpoint: z.looseObject({ envelope: z.string() }).optional(),
            })
            .optional(),
        }),
      )
      .optional(),
    timestampVerificationData: z.unknown().optional(),
  }),
  dsseEnvelope: z.looseObject({ payload: z.string() }),
});
export type LooseBundle = z.infer<typeof LooseBundle>;

/** Rewrites bundles under new digests; `before` is the one that was rewritten last. */
export async function rewriteBundles(
  layout: string,
  way: "key" | "certificate",
  change: (bundle: LooseBundle, before: LooseBundle) => LooseBundle,
): Promise<void> {
  let before: LooseBundle | undefined;
  let rewritten = 0;
  const manifests: Descriptor[] = [];
  for (const entry of (await indexOf(layout)).manifests) {
    manifests.push(entry);
    if (entry.artifactType !== BUNDLE) continue;
    const manifest = Manifest.parse(JSON.parse((await readFile(blobPath(layout, entry.digest))).toString()));
    const [layer] = manifest.layers;
    if (layer === undefined) throw new Error("a bundle without content");
    const bundle = LooseBundle.parse(JSON.parse(await readFile(blobPath(layout, layer.digest), "utf8")));
    const isCertificate = bundle.verificationMaterial.certificate !== undefined;
    if (isCertificate !== (way === "certificate")) continue;
    const content = await put(layout, jsonBytes(change(bundle, before ?? bundle)));
    before = bundle;
    const moved = await put(layout, jsonBytes({ ...manifest, layers: [{ ...layer, ...content }] }));
    manifests.splice(-1, 1, { ...entry, ...moved });
    rewritten += 1;
  }
  if (rewritten === 0) throw new Error("nothing was spoiled");
  await saveIndex(layout, manifests);
}

/** Changes a blob in its place: what lies there is no longer what its name says. */
export async function corrupt(layout: string, digest: string): Promise<void> {
  const bytes = await readFile(blobPath(layout, digest));
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  await writeFile(blobPath(layout, digest), bytes);
}

/** Puts another index under the image's name. */
export async function replaceIndex(layout: string, change: (index: Index) => Index): Promise<void> {
  const { manifests } = await indexOf(layout);
  const named = manifests.find(({ artifactType }) => artifactType === undefined);
  if (named === undefined) throw new Error("no image");
  const index = Index.parse(JSON.parse((await readFile(blobPath(layout, named.digest))).toString()));
  const moved = await put(layout, jsonBytes(change(index)));
  await saveIndex(
    layout,
    manifests.map((entry) => (entry === named ? { ...entry, ...moved } : entry)),
  );
}

/** Digests of the image's index, and of the manifest, configuration and layer of its first platform. */
export async function partsIn(layout: string) {
  const named = (await indexOf(layout)).manifests.find(({ artifactType }) => artifactType === undefined);
  const index = Index.parse(JSON.parse((await readFile(blobPath(layout, named?.digest ?? ""))).toString()));
  const image = index.manifests[0]?.digest ?? "";
  const manifest = Manifest.parse(JSON.parse((await readFile(blobPath(layout, image))).toString()));
  return {
    index: named?.digest ?? "",
    image,
    config: manifest.config.digest,
    layer: manifest.layers[0]?.digest ?? "",
  };
}
