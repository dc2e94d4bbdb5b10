/** Content that is no image, as an OCI artifact (image specification 1.1, "Guidelines for artifact usage"). */
import type { Layout } from "../oci/layout.ts";
import { EMPTY, MediaType, jsonBytes, type Descriptor, type Manifest } from "../oci/model.ts";

/** One file of an artifact. */
export interface Content {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  /** Its name where it is pulled to. */
  readonly title?: string;
}

export interface ArtifactSpec {
  /** What it is; charts say it by the type of their configuration. */
  readonly artifactType?: string;
  /** Empty unless given. */
  readonly config?: Pick<Content, "mediaType" | "bytes">;
  readonly content: Content;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Writes the artifact and gives its descriptor, which nothing names yet. */
export async function writeArtifact(layout: Layout, spec: ArtifactSpec): Promise<Descriptor> {
  const { artifactType, config = { mediaType: MediaType.empty, bytes: EMPTY }, content, annotations } = spec;
  const layer = await layout.put(content.bytes, content.mediaType);
  const titled =
    content.title === undefined
      ? layer
      : { ...layer, annotations: { "org.opencontainers.image.title": content.title } };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MediaType.manifest,
    ...(artifactType === undefined ? {} : { artifactType }),
    config: await layout.put(config.bytes, config.mediaType),
    layers: [titled],
    annotations: { ...annotations },
  };
  const stored = await layout.put(jsonBytes(manifest), MediaType.manifest);
  // In an index, an artifact type would make it a referrer.
  return stored;
}
