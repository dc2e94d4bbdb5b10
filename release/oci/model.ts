/** The documents of the OCI image specification 1.1 that a release is made of. */
import { digest, isDigest, type Digest } from "@hauberk/crypto/digest.ts";
import { z } from "zod";

export { digest as digestOf, isDigest, type Digest };

export const MediaType = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
  plainLayer: "application/vnd.oci.image.layer.v1.tar",
  empty: "application/vnd.oci.empty.v1+json",
} as const;

const DigestText = z.custom<Digest>(
  (value) => typeof value === "string" && isDigest(value),
  "no sha256 digest",
);

const Annotations = z.record(z.string(), z.string());

/** A pointer to content: type, digest and size in bytes. */
export const Descriptor = z.object({
  mediaType: z.string(),
  digest: DigestText,
  size: z.number().int().nonnegative(),
  artifactType: z.string().optional(),
  annotations: Annotations.optional(),
  platform: z.object({ architecture: z.string(), os: z.string(), variant: z.string().optional() }).optional(),
});
export type Descriptor = z.infer<typeof Descriptor>;

/** A platform as people write it: `linux/amd64`. */
export function platformName(platform: Descriptor["platform"]): string {
  const { os = "unknown", architecture = "unknown" } = platform ?? {};
  return `${os}/${architecture}`;
}

/** An image, or an artifact that is attached to one (`subject`). */
export const Manifest = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MediaType.manifest),
  artifactType: z.string().optional(),
  config: Descriptor,
  layers: z.array(Descriptor),
  subject: Descriptor.optional(),
  annotations: Annotations.optional(),
});
export type Manifest = z.infer<typeof Manifest>;

/** Manifests by platform, or the referrers of a subject. */
export const Index = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MediaType.index).optional(),
  manifests: z.array(Descriptor),
  annotations: Annotations.optional(),
});
export type Index = z.infer<typeof Index>;

/** The empty configuration of an artifact that is no image (image specification, "Guidance for an empty descriptor"). */
export const EMPTY = Buffer.from("{}");

/** JSON as it is stored. Key order is the writer's, so equal inputs give equal bytes. */
export function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** Reads a document whose bytes came from elsewhere; `what` names it in the error. */
export function parseDocument<S extends z.ZodType>(schema: S, bytes: Uint8Array, what: string): z.infer<S> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (cause) {
    throw new Error(`${what} is not JSON`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Error(`${what}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
