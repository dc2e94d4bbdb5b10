/** A repository in a registry, by the OCI distribution specification 1.1. */
import { Agent, request, type Dispatcher } from "undici";
import { z } from "zod";
import {
  EMPTY,
  Index,
  type Manifest,
  MediaType,
  digestOf,
  jsonBytes,
  parseDocument,
  type Descriptor,
  type Digest,
} from "./model.ts";
import type { Artifact, Store, Stored } from "./store.ts";

/** One exchange; layers of an image are at most some tens of MB. */
const EXCHANGE_MS_MAX = 120_000;
/** Largest document (manifest, index) that is read; the specification asks registries for 4 MiB at least. */
const DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;
/** Largest blob that is read. */
const BLOB_BYTES_MAX = 1024 * 1024 * 1024;

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface RegistryOptions {
  /** `https://` unless `http` is asked for; plain HTTP is for registries on loopback. */
  readonly dangerousPlainHttp?: boolean;
  readonly credentials?: Credentials;
}

/** A `Bearer` challenge of the token protocol. */
function challengeOf(header: string | string[] | undefined): ReadonlyMap<string, string> | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined || !/^bearer /i.test(text)) return undefined;
  return new Map([...text.matchAll(/(\w+)="([^"]*)"/g)].map((match) => [match[1] ?? "", match[2] ?? ""]));
}

const Token = z.object({ token: z.string().optional(), access_token: z.string().optional() });

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

async function readBody(body: Dispatcher.ResponseData["body"], bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > bytesMax) throw new Error(`the registry sent more than ${bytesMax} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

interface Exchange {
  readonly method: "GET" | "HEAD" | "POST" | "PUT";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Most bytes of the answer. */
  readonly bytesMax?: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export class Repository implements Store {
  /** `HOST[:PORT]/NAME`, for messages. */
  readonly name: string;
  readonly #base: URL;
  readonly #agent = new Agent({ connect: { timeout: 10_000 } });
  readonly #credentials: Credentials | undefined;
  #authorization: string | undefined;

  /** @throws if `name` is not `HOST[:PORT]/PATH`. */
  constructor(name: string, options: RegistryOptions = {}) {
    const parts = /^([a-z0-9.-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?)\/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)$/i.exec(
      name,
    );
    if (parts === null) throw new Error(`${name} is no repository: HOST[:PORT]/NAME is`);
    this.name = name;
    const scheme = options.dangerousPlainHttp === true ? "http" : "https";
    this.#base = new URL(`${scheme}://${parts[1] ?? ""}/v2/${parts[2] ?? ""}/`);
    this.#credentials = options.credentials;
  }

  /** Ends its connections. */
  async close(): Promise<void> {
    await this.#agent.close();
  }

  #url(path: string): URL {
    return new URL(path, this.#base);
  }

  async #once({ method, url, headers, body, bytesMax = DOCUMENT_BYTES_MAX }: Exchange): Promise<Answer> {
    const authorization = this.#authorization === undefined ? {} : { authorization: this.#authorization };
    const answer = await request(url, {
      method,
      dispatcher: this.#agent,
      headers: { ...headers, ...authorization },
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.timeout(EXCHANGE_MS_MAX),
    });
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: await readBody(answer.body, bytesMax),
    };
  }

  /** Asks, and asks again with a token or a password where the registry wants one. */
  async #exchange(exchange: Exchange): Promise<Answer> {
    const first = await this.#once(exchange);
    if (first.status !== 401) return first;
    const challenge = challengeOf(first.headers["www-authenticate"]);
    if (challenge === undefined) {
      if (this.#credentials === undefined) return first;
      this.#authorization = basic(this.#credentials);
      return this.#once(exchange);
    }
    this.#authorization = `Bearer ${await this.#token(challenge)}`;
    return this.#once(exchange);
  }

  async #token(challenge: ReadonlyMap<string, string>): Promise<string> {
    const realm = new URL(challenge.get("realm") ?? "");
    for (const name of ["service", "scope"]) {
      const value = challenge.get(name);
      if (value !== undefined) realm.searchParams.set(name, value);
    }
    const answer = await request(realm, {
      dispatcher: this.#agent,
      headers: this.#credentials === undefined ? {} : { authorization: basic(this.#credentials) },
      signal: AbortSignal.timeout(EXCHANGE_MS_MAX),
    });
    const body = await readBody(answer.body, DOCUMENT_BYTES_MAX);
    if (answer.statusCode !== 200)
      throw new Error(`${this.name}: no token, the token service said ${answer.statusCode}`);
    const { token, access_token: other } = parseDocument(Token, body, `token for ${this.name}`);
    const found = token ?? other;
    if (found === undefined) throw new Error(`${this.name}: the token service sent no token`);
    return found;
  }

  #fail(doing: string, { status, body }: Answer): never {
    throw new Error(`${this.name}: ${doing}: ${status} ${body.subarray(0, 500).toString("utf8")}`.trim());
  }

  async #hasBlob(digest: Digest): Promise<boolean> {
    const answer = await this.#exchange({ method: "HEAD", url: this.#url(`blobs/${digest}`) });
    return answer.status === 200;
  }

  /** Uploads content unless it is there. */
  async pushBlob(bytes: Uint8Array): Promise<Digest> {
    const digest = digestOf(bytes);
    if (await this.#hasBlob(digest)) return digest;
    const begun = await this.#exchange({ method: "POST", url: this.#url("blobs/uploads/") });
    if (begun.status !== 202) this.#fail("beginning an upload", begun);
    const location = begun.headers["location"];
    if (typeof location !== "string") this.#fail("beginning an upload without a location", begun);
    const url = new URL(location, this.#base);
    url.searchParams.set("digest", digest);
    const headers = { "content-type": "application/octet-stream" };
    const done = await this.#exchange({ method: "PUT", url, headers, body: bytes });
    if (done.status !== 201) this.#fail(`uploading ${digest}`, done);
    return digest;
  }

  /** The content of `digest`. @throws if it is not there or is something else. */
  async blob(digest: Digest): Promise<Buffer> {
    const url = this.#url(`blobs/${digest}`);
    const answer = await this.#exchange({ method: "GET", url, bytesMax: BLOB_BYTES_MAX });
    if (answer.status !== 200) this.#fail(`reading ${digest}`, answer);
    if (digestOf(answer.body) !== digest)
      throw new Error(`${this.name}: ${digest} is not what its name says`);
    return answer.body;
  }

  /** Stores a manifest or index; says whether the registry understood its `subject`. */
  async pushDocument(
    bytes: Uint8Array,
    { mediaType, reference }: { readonly mediaType: string; readonly reference?: string },
  ): Promise<{ readonly descriptor: Descriptor; readonly isSubjectKnown: boolean }> {
    const digest = digestOf(bytes);
    const answer = await this.#exchange({
      method: "PUT",
      url: this.#url(`manifests/${reference ?? digest}`),
      headers: { "content-type": mediaType },
      body: bytes,
    });
    if (answer.status !== 201) this.#fail(`storing ${reference ?? digest}`, answer);
    const isSubjectKnown = answer.headers["oci-subject"] !== undefined;
    return { descriptor: { mediaType, digest, size: bytes.length }, isSubjectKnown };
  }

  /** The manifest or index of a tag or digest; `undefined` if there is none. */
  async document(reference: string): Promise<Stored | undefined> {
    const answer = await this.#exchange({
      method: "GET",
      url: this.#url(`manifests/${reference}`),
      headers: { accept: `${MediaType.manifest}, ${MediaType.index}` },
    });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) this.#fail(`reading ${reference}`, answer);
    const digest = digestOf(answer.body);
    if (reference.startsWith("sha256:") && reference !== digest)
      throw new Error(`${this.name}: ${reference} is not what its name says`);
    const { mediaType } = parseDocument(
      z.object({ mediaType: z.string() }),
      answer.body,
      `${this.name}@${digest}`,
    );
    return { descriptor: { mediaType, digest, size: answer.body.length }, bytes: answer.body };
  }

  /**
   * Attaches `bytes` to `subject` as a referrer. Where the registry has no referrers API, the index that the
   * specification keeps at the tag `sha256-<digest>` is brought up to date.
   */
  async attach(subject: Descriptor, artifact: Artifact): Promise<Descriptor> {
    const { artifactType, bytes, annotations } = artifact;
    const manifest: Manifest = {
      schemaVersion: 2,
      mediaType: MediaType.manifest,
      artifactType,
      config: { mediaType: MediaType.empty, digest: await this.pushBlob(EMPTY), size: EMPTY.length },
      layers: [{ mediaType: artifactType, digest: await this.pushBlob(bytes), size: bytes.length }],
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
      annotations: { ...annotations },
    };
    const stored = await this.pushDocument(jsonBytes(manifest), { mediaType: MediaType.manifest });
    const entry = { ...stored.descriptor, artifactType, annotations: { ...annotations } };
    if (!stored.isSubjectKnown) await this.#addToFallback(subject.digest, entry);
    return entry;
  }

  async #addToFallback(subject: Digest, entry: Descriptor): Promise<void> {
    const tag = subject.replace(":", "-");
    const known = (await this.#fallback(subject)).filter(({ digest }) => digest !== entry.digest);
    const index = { schemaVersion: 2, mediaType: MediaType.index, manifests: [...known, entry] };
    await this.pushDocument(jsonBytes(index), { mediaType: MediaType.index, reference: tag });
  }

  async #fallback(subject: Digest): Promise<readonly Descriptor[]> {
    const stored = await this.document(subject.replace(":", "-"));
    if (stored === undefined) return [];
    return parseDocument(Index, stored.bytes, `referrers of ${subject}`).manifests;
  }

  /** What is attached to `subject`: by the referrers API, or by the tag where there is none. */
  async referrers(subject: Digest): Promise<readonly Descriptor[]> {
    const answer = await this.#exchange({ method: "GET", url: this.#url(`referrers/${subject}`) });
    if (answer.status !== 200) return this.#fallback(subject);
    return parseDocument(Index, answer.body, `referrers of ${subject}`).manifests;
  }
}
