/** An OCI image layout: a folder of blobs by digest, and an index (image specification, "Image Layout"). */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  EMPTY,
  Index,
  Manifest,
  MediaType,
  digestOf,
  jsonBytes,
  parseDocument,
  type Descriptor,
  type Digest,
} from "./model.ts";
import type { Artifact, Store, Stored } from "./store.ts";

/** Names an entry of the index, as `crane` and `skopeo` read it. */
const REF_NAME = "org.opencontainers.image.ref.name";

export class Layout implements Store {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** A new, empty layout in `dir`, which must not hold one. */
  static async create(dir: string): Promise<Layout> {
    await mkdir(join(dir, "blobs", "sha256"), { recursive: true });
    const layout = new Layout(dir);
    await writeFile(join(dir, "oci-layout"), jsonBytes({ imageLayoutVersion: "1.0.0" }), { flag: "wx" });
    await layout.#writeIndex([]);
    return layout;
  }

  /** An existing layout. */
  static async open(dir: string): Promise<Layout> {
    const layout = new Layout(dir);
    await layout.entries();
    return layout;
  }

  #path(digest: Digest): string {
    return join(this.#dir, "blobs", "sha256", digest.slice("sha256:".length));
  }

  get name(): string {
    return this.#dir;
  }

  /** Stores content; storing it again changes nothing. */
  async put(bytes: Uint8Array, mediaType: string): Promise<Descriptor> {
    const digest = digestOf(bytes);
    await writeFile(this.#path(digest), bytes);
    return { mediaType, digest, size: bytes.length };
  }

  /** The content of `digest`. @throws if it is not there or is not what its name says. */
  async blob(digest: Digest): Promise<Buffer> {
    const bytes = await readFile(this.#path(digest));
    if (digestOf(bytes) !== digest) throw new Error(`blob ${digest} is not what its name says`);
    return bytes;
  }

  /** What the index names. */
  async entries(): Promise<readonly Descriptor[]> {
    const bytes = await readFile(join(this.#dir, "index.json"));
    return parseDocument(Index, bytes, `index of ${this.#dir}`).manifests;
  }

  /** Puts `descriptor` into the index under `name`, in the place of what had that name. */
  async tag(name: string, descriptor: Descriptor): Promise<void> {
    const others = (await this.entries()).filter(({ annotations }) => annotations?.[REF_NAME] !== name);
    const entry = { ...descriptor, annotations: { ...descriptor.annotations, [REF_NAME]: name } };
    await this.#writeIndex([...others, entry]);
  }

  async document(reference: string): Promise<Stored | undefined> {
    const entries = await this.entries();
    const named = entries.find(({ annotations }) => annotations?.[REF_NAME] === reference);
    const descriptor = named ?? (await this.#find(reference, entries));
    return descriptor === undefined ? undefined : { descriptor, bytes: await this.blob(descriptor.digest) };
  }

  /** The manifest with a digest: in the index, or in an index that is in the index. */
  async #find(digest: string, entries: readonly Descriptor[]): Promise<Descriptor | undefined> {
    for (const entry of entries) {
      if (entry.digest === digest) return entry;
      if (entry.mediaType !== MediaType.index) continue;
      const index = parseDocument(Index, await this.blob(entry.digest), entry.digest);
      const found = index.manifests.find((child) => child.digest === digest);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async referrers(subject: Digest): Promise<readonly Descriptor[]> {
    const found: Descriptor[] = [];
    for (const entry of await this.entries()) {
      if (entry.artifactType === undefined) continue;
      const manifest = parseDocument(Manifest, await this.blob(entry.digest), entry.digest);
      if (manifest.subject?.digest === subject) found.push(entry);
    }
    return found;
  }

  async attach(subject: Descriptor, artifact: Artifact): Promise<Descriptor> {
    const { artifactType, bytes, annotations } = artifact;
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: MediaType.manifest,
      artifactType,
      config: await this.put(EMPTY, MediaType.empty),
      layers: [await this.put(bytes, artifactType)],
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
      annotations: { ...annotations },
    };
    const stored = await this.put(jsonBytes(manifest), MediaType.manifest);
    const entry = { ...stored, artifactType, annotations: { ...annotations } };
    const others = (await this.entries()).filter(({ digest }) => digest !== entry.digest);
    await this.#writeIndex([...others, entry]);
    return entry;
  }

  async #writeIndex(manifests: readonly Descriptor[]): Promise<void> {
    const path = join(this.#dir, "index.json");
    await writeFile(`${path}.new`, jsonBytes({ schemaVersion: 2, mediaType: MediaType.index, manifests }));
    await rename(`${path}.new`, path);
  }
}
