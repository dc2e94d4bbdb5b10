/** Where images and what is said of them lie: a registry's repository, or a folder. */
import type { Descriptor, Digest } from "./model.ts";

/** What a stored document is: its bytes and their descriptor. */
export interface Stored {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

/** What is attached to a subject. */
export interface Artifact {
  /** Also the media type of its only layer. */
  readonly artifactType: string;
  readonly bytes: Uint8Array;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Store {
  /** For messages. */
  readonly name: string;
  /** The content of `digest`. @throws if it is not there or is not what its name says. */
  blob(digest: Digest): Promise<Buffer>;
  /** The manifest or index of a name or digest; `undefined` if there is none. */
  document(reference: string): Promise<Stored | undefined>;
  /** What is attached to `subject`. */
  referrers(subject: Digest): Promise<readonly Descriptor[]>;
  /** Attaches an artifact; attaching the same again changes nothing. */
  attach(subject: Descriptor, artifact: Artifact): Promise<Descriptor>;
}
