/** Layers and a configuration, as an image in a layout. The same inputs give the same digest. */
import { gzipSync } from "fflate";
import { MediaType, digestOf, jsonBytes, type Descriptor, type Digest, type Manifest } from "../oci/model.ts";
import type { Layout } from "../oci/layout.ts";
import { archive, type Entry } from "./tar.ts";

export interface Layer {
  /** What it holds, for the image's history. */
  readonly made: string;
  readonly entries: readonly Entry[];
}

export interface ImageSpec {
  readonly architecture: "amd64" | "arm64";
  readonly layers: readonly Layer[];
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Numeric, so that Kubernetes can see that it is not root. */
  readonly user: `${number}:${number}`;
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds since 1970; the time of the commit. */
  readonly epochSeconds: number;
  /** Of the layers; `gzip` unless the image stays on this machine. */
  readonly compression?: "gzip" | "none";
}

/**
 * Compresses in JavaScript: what zlib makes of the same bytes depends on the processor and on Node's release, and
 * an image's digest must not.
 */
export function compress(bytes: Uint8Array): Buffer {
  return Buffer.from(gzipSync(bytes, { level: 9, mtime: 0 }));
}

/** Compressed layers that were made already, by the digest of what is in them: images of one release share most. */
export type Compressed = Map<Digest, Buffer>;

function compressOnce(plain: Buffer, done: Compressed): Buffer {
  const digest = digestOf(plain);
  const compressed = done.get(digest) ?? compress(plain);
  done.set(digest, compressed);
  return compressed;
}

/** Writes the image and gives its descriptor, which no index of the layout names yet. */
export async function writeImage(
  layout: Layout,
  spec: ImageSpec,
  done: Compressed = new Map(),
): Promise<Descriptor> {
  const created = new Date(spec.epochSeconds * 1000).toISOString();
  const layers: Descriptor[] = [];
  const diffIds: string[] = [];
  for (const { entries } of spec.layers) {
    const plain = await archive(entries, spec.epochSeconds);
    diffIds.push(digestOf(plain));
    layers.push(
      spec.compression === "none"
        ? await layout.put(plain, MediaType.plainLayer)
        : await layout.put(compressOnce(plain, done), MediaType.layer),
    );
  }
  const config = {
    created,
    architecture: spec.architecture,
    os: "linux",
    config: {
      User: spec.user,
      Env: Object.entries(spec.environment ?? {}).map(([name, value]) => `${name}=${value}`),
      Entrypoint: spec.entrypoint,
      ...(spec.command === undefined ? {} : { Cmd: spec.command }),
      Labels: spec.labels,
    },
    rootfs: { type: "layers", diff_ids: diffIds },
    history: spec.layers.map(({ made }) => ({ created, created_by: made })),
  };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MediaType.manifest,
    config: await layout.put(jsonBytes(config), MediaType.config),
    layers,
    annotations: { ...spec.labels },
  };
  const stored = await layout.put(jsonBytes(manifest), MediaType.manifest);
  return { ...stored, platform: { architecture: spec.architecture, os: "linux" } };
}

/** An index over the images of several platforms. */
export async function writeIndex(
  layout: Layout,
  images: readonly Descriptor[],
  annotations: Readonly<Record<string, string>>,
): Promise<Descriptor> {
  const index = { schemaVersion: 2, mediaType: MediaType.index, manifests: images, annotations };
  return layout.put(jsonBytes(index), MediaType.index);
}
