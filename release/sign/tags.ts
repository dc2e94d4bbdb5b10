/** The shapes before bundles, `sha256-….sig` and `.att`: what podman and older admission controllers look for. */
import { signWith, type KeyPair } from "@hauberk/crypto/algorithms.ts";
import { z } from "zod";
import { BUNDLE, readBundle } from "../attest/bundle.ts";
import { jsonBytes, Manifest, MediaType, parseDocument, type Descriptor, type Digest } from "../oci/model.ts";
import type { Repository } from "../oci/registry.ts";
import type { Store } from "../oci/store.ts";

/** Media type of a simple signing document (containers/image, "containers-signature"). */
export const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
const ENVELOPE = "application/vnd.dsse.envelope.v1+json";
const SIGNATURE = "dev.cosignproject.cosign/signature";

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/**
 * Attaches a signature that says of `subject` that it is `reference`. It is a referrer here, so that it goes wherever the image goes;
 * {@link pushTags} makes a tag of it.
 */
export async function signSimply(
  store: Store,
  subject: Descriptor,
  { reference, key, at }: { readonly reference: string; readonly key: KeyPair; readonly at: string },
): Promise<void> {
  const payload = jsonBytes({
    critical: {
      identity: { "docker-reference": reference },
      image: { "docker-manifest-digest": subject.digest },
      type: "cosign container image signature",
    },
    optional: null,
  });
  const annotations = {
    [SIGNATURE]: base64(signWith(key, payload)),
    "org.opencontainers.image.created": at,
  };
  await store.attach(subject, { artifactType: SIMPLE_SIGNING, bytes: payload, annotations });
}

interface Layer {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly annotations: Readonly<Record<string, string>>;
}

const PredicateType = z.object({ predicateType: z.string() });

/** A bundle's envelope alone; `undefined` if a certificate signed it: its log is younger than this shape. */
function attestation(bytes: Buffer): Layer | undefined {
  const { envelope, way } = readBundle(bytes);
  if (way === "certificate") return undefined;
  const { payloadType, payload, signatures } = envelope;
  const sealed = {
    payloadType,
    payload: base64(payload),
    signatures: signatures.map(({ signature }) => ({ keyid: "", sig: base64(signature) })),
  };
  const { predicateType } = PredicateType.parse(JSON.parse(Buffer.from(payload).toString("utf8")));
  return { mediaType: ENVELOPE, bytes: jsonBytes(sealed), annotations: { [SIGNATURE]: "", predicateType } };
}

async function layersOf(store: Store, subject: Digest) {
  const signatures: Layer[] = [];
  const attestations: Layer[] = [];
  for (const { artifactType, digest, annotations = {} } of await store.referrers(subject)) {
    if (artifactType !== SIMPLE_SIGNING && artifactType !== BUNDLE) continue;
    const stored = await store.document(digest);
    const [content] = stored === undefined ? [] : parseDocument(Manifest, stored.bytes, digest).layers;
    if (content === undefined) throw new Error(`${digest} has no content`);
    const bytes = await store.blob(content.digest);
    if (artifactType === SIMPLE_SIGNING) signatures.push({ mediaType: SIMPLE_SIGNING, bytes, annotations });
    else attestations.push(...[attestation(bytes)].filter((layer) => layer !== undefined));
  }
  return { sig: signatures, att: attestations };
}

/** What a registry must take. */
type Taking = Pick<Repository, "pushBlob" | "pushDocument">;

/** Writes both tags of `subject` into a registry, from what is attached to it in `from`. */
export async function pushTags(from: Store, to: Taking, subject: Digest): Promise<void> {
  for (const [suffix, layers] of Object.entries(await layersOf(from, subject))) {
    if (layers.length === 0) continue;
    const listed: Descriptor[] = [];
    for (const { mediaType, bytes, annotations } of layers) {
      const digest = await to.pushBlob(bytes);
      listed.push({ mediaType, digest, size: bytes.length, annotations: { ...annotations } });
    }
    const config = jsonBytes({
      architecture: "",
      os: "",
      config: {},
      rootfs: { type: "layers", diff_ids: listed.map(({ digest }) => digest) },
    });
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: MediaType.manifest,
      config: { mediaType: MediaType.config, digest: await to.pushBlob(config), size: config.length },
      layers: listed,
    };
    const reference = `${subject.replace(":", "-")}.${suffix}`;
    await to.pushDocument(jsonBytes(manifest), { mediaType: MediaType.manifest, reference });
  }
}
