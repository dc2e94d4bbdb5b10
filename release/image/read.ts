/** A file of an image, out of its layers. */
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import { Manifest, MediaType, parseDocument, type Digest } from "../oci/model.ts";
import type { Store } from "../oci/store.ts";

/** Node itself is 120 MB; a layer that unpacks to more than this is none of ours. */
const LAYER_BYTES_MAX = 512 * 1024 * 1024;

/** A file of an archive; of several of one name, the last. */
export async function fileIn(layer: Uint8Array, path: string): Promise<Buffer | undefined> {
  const reader = extract();
  reader.end(layer);
  let found: Buffer | undefined;
  for await (const entry of reader) {
    const isWanted = entry.header.type === "file" && entry.header.name.replace(/^(\.?\/)+/, "") === path;
    if (isWanted) found = await buffer(entry);
    else entry.resume();
  }
  return found;
}

/** The content of a file; of several layers that have it, the last one's. @throws if a blob is gone or altered. */
export async function fileOf(store: Store, image: Digest, path: string): Promise<Buffer | undefined> {
  const stored = await store.document(image);
  if (stored === undefined) throw new Error(`${store.name} has no ${image}`);
  const { layers } = parseDocument(Manifest, stored.bytes, image);
  for (const { digest, mediaType } of layers.toReversed()) {
    const bytes = await store.blob(digest);
    const plain =
      mediaType === MediaType.layer ? gunzipSync(bytes, { maxOutputLength: LAYER_BYTES_MAX }) : bytes;
    const found = await fileIn(plain, path);
    if (found !== undefined) return found;
  }
  return undefined;
}
