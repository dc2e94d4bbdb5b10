/** A release's images, from its layout into a registry: everything, with what is attached to it. */
import type { Layout } from "./oci/layout.ts";
import { Index, Manifest, MediaType, parseDocument, type Descriptor } from "./oci/model.ts";
import type { Repository } from "./oci/registry.ts";
import { pushTags } from "./sign/tags.ts";

async function pushImage(layout: Layout, to: Repository, image: Descriptor): Promise<void> {
  const bytes = await layout.blob(image.digest);
  const { config, layers } = parseDocument(Manifest, bytes, image.digest);
  for (const { digest } of [config, ...layers]) await to.pushBlob(await layout.blob(digest));
  await to.pushDocument(bytes, { mediaType: image.mediaType });
}

/** Attaches in the registry what is attached in the layout, and once more in the shape before referrers. */
async function pushReferrers(layout: Layout, to: Repository, subject: Descriptor): Promise<number> {
  const referrers = await layout.referrers(subject.digest);
  for (const referrer of referrers) {
    const { layers } = parseDocument(Manifest, await layout.blob(referrer.digest), referrer.digest);
    const [content] = layers;
    if (content === undefined) throw new Error(`${referrer.digest} has no content`);
    await to.attach(subject, {
      artifactType: referrer.artifactType ?? content.mediaType,
      bytes: await layout.blob(content.digest),
      annotations: referrer.annotations ?? {},
    });
  }
  await pushTags(layout, to, subject.digest);
  return referrers.length;
}

/** What was pushed. */
export interface Published {
  readonly index: Descriptor;
  readonly attached: number;
}

/** Pushes what is called `name`, an index or a single manifest, and gives it the tag. The tag comes last: what it names is complete. */
export async function publishImage(
  layout: Layout,
  { name, to, tag }: { readonly name: string; readonly to: Repository; readonly tag: string },
): Promise<Published> {
  const stored = await layout.document(name);
  if (stored === undefined) throw new Error(`${layout.name} has no ${name}`);
  const { mediaType } = stored.descriptor;
  let attached = 0;
  // What is of no platform, as a chart, is a manifest and no index.
  if (mediaType !== MediaType.index) await pushImage(layout, to, stored.descriptor);
  const images = mediaType === MediaType.index ? parseDocument(Index, stored.bytes, name).manifests : [];
  for (const image of images) {
    await pushImage(layout, to, image);
    attached += await pushReferrers(layout, to, image);
  }
  const { descriptor } = await to.pushDocument(stored.bytes, { mediaType });
  attached += await pushReferrers(layout, to, descriptor);
  await to.pushDocument(stored.bytes, { mediaType, reference: tag });
  return { index: descriptor, attached };
}
