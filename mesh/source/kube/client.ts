/**
 * A client of the Kubernetes API: the verbs, their errors, and nothing of any type of object.
 *
 *     const client = await connect({ kubeconfig, context });
 *     const pod = await client.get({ type: RESOURCES.pods, namespace: "shop", name: "web-0" });
 *     await client.apply(ref, { data: { a: "b" } }, { fieldManager: "hauberk" });
 *     for await (const event of client.watch({ type: RESOURCES.secrets, namespace: "linkerd" }, { signal })) ...
 *     await client.close();
 *
 * Every refusal is a `KubeError` with the server's status, reason and message. A call that the server asks to repeat
 * later (429) is repeated; nothing else is.
 */
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { errors, request, type Dispatcher } from "undici";
import { credentialsFor, type ConnectOptions, type Credentials } from "./credentials.ts";
import { KUBE_REASON, KubeError } from "./error.ts";
import type { PodPort } from "./forward.ts";
import { lineBatches } from "./lines.ts";
import { KubeList, KubeObject, Status, WatchLine, type WatchEvent } from "./object.ts";
import { turns, type Rate } from "./rate.ts";
import {
  apiVersionOf,
  collectionPath,
  describeRef,
  objectPath,
  type CollectionRef,
  type ObjectRef,
  type ResourceType,
} from "./resource.ts";

/** How long an answer may take to begin; the server's own limit for calls is 60 s. */
const ANSWER_MS_MAX = 65_000;
/** Silence within an answer that is not a watch. */
const BODY_SILENCE_MS_MAX = 30_000;
/** Largest answer that is read whole: a page of 500 objects at their largest is far below. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;
/** Objects in a page of a list. */
const PAGE_OBJECTS = 500;
/** How often a call is repeated because the server was too busy, and the longest pause it may ask for. */
const BUSY_REPEATS_MAX = 5;
const BUSY_PAUSE_MS_MAX = 10_000;

/** The verbs of RBAC that a client uses. */
export type Verb = "get" | "list" | "watch" | "create" | "patch" | "update" | "delete";

/** One call, as RBAC sees it. */
export interface Access {
  readonly verb: Verb;
  readonly group: string;
  /** With the subresource, as in `pods/status`. */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

export interface ClientOptions extends ConnectOptions {
  /** Asked before each call about objects; throws to forbid it. */
  readonly guard?: ((access: Access) => void) | undefined;
  /** How hard the server may be asked; absent: without limit. */
  readonly rate?: Rate | undefined;
}

export interface ListOptions {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** Another representation than the objects themselves, such as `METADATA_ONLY`. */
  readonly accept?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Objects without their body: `metadata` alone. */
export const METADATA_ONLY = {
  list: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
  watch: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
} as const;

export interface WatchOptions extends ListOptions {
  readonly signal: AbortSignal;
  /** Absent: from now on. */
  readonly resourceVersion?: string | undefined;
  /** Begin with all objects that there are, ended by a bookmark (KEP-3157). */
  readonly sendInitialEvents?: boolean | undefined;
  /** The server ends the watch after this time. */
  readonly timeoutSeconds?: number | undefined;
  /** Silence after which the watch counts as broken. Servers send a bookmark about once a minute. */
  readonly silenceMsMax?: number | undefined;
}

export interface ListPage {
  readonly resourceVersion: string;
  /** As they came: those of built-in types have no `apiVersion` and `kind`. */
  readonly items: readonly unknown[];
}

export interface WriteOptions {
  /** Who owns the fields written. */
  readonly fieldManager?: string | undefined;
  /** Check and answer, but write nothing. */
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string;
  /** Take fields over from other managers; without it a conflict is refused with 409. */
  readonly force?: boolean | undefined;
}

/** `merge`: RFC 7386. `json`: RFC 6902. `strategic`: Kubernetes' own, for built-in types only. */
export type PatchType = "merge" | "json" | "strategic";

const PATCH_CONTENT: Readonly<Record<PatchType, string>> = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  strategic: "application/strategic-merge-patch+json",
};

export interface DeleteOptions {
  readonly propagation?: "Background" | "Foreground" | "Orphan" | undefined;
  /** Delete only this very object. */
  readonly uid?: string | undefined;
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface RawRequest {
  readonly method?: Method | undefined;
  readonly query?: Readonly<Record<string, string | undefined>> | undefined;
  readonly accept?: string | undefined;
  readonly contentType?: string | undefined;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RawAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

type Sent = RawRequest & { readonly silenceMsMax: number };

/** A way to one API server. Holds sockets: close it. */
export class KubeClient {
  /** Where the server is. */
  readonly server: string;
  /** Namespace of the context, or of the pod we run in. */
  readonly namespace: string;
  readonly #credentials: Credentials;
  readonly #guard: ((access: Access) => void) | undefined;
  readonly #turn: (signal: AbortSignal | undefined) => Promise<void>;

  constructor(credentials: Credentials, { guard, rate }: Pick<ClientOptions, "guard" | "rate"> = {}) {
    this.server = credentials.server;
    this.namespace = credentials.namespace;
    this.#credentials = credentials;
    this.#guard = guard;
    this.#turn = rate === undefined ? atOnce : turns(rate);
  }

  /** Reads one object; 404 if there is none. */
  async get(ref: ObjectRef, signal?: AbortSignal): Promise<KubeObject> {
    this.#check("get", ref);
    return this.#object(ref, { signal });
  }

  /** Reads one object that may not be there. */
  async find(ref: ObjectRef, signal?: AbortSignal): Promise<KubeObject | undefined> {
    try {
      return await this.get(ref, signal);
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Reads all objects of a collection, with `apiVersion` and `kind` filled in. */
  async list(ref: CollectionRef, options: ListOptions = {}): Promise<readonly KubeObject[]> {
    const objects: KubeObject[] = [];
    for await (const page of this.pages(ref, options))
      for (const item of page.items) objects.push(KubeObject.parse(item));
    return objects;
  }

  /** The pages of a list. All pages are of one state of the collection: the last page's resource version is that of all. */
  async *pages(ref: CollectionRef, options: ListOptions = {}): AsyncGenerator<ListPage, void> {
    this.#check("list", ref);
    const { labelSelector, fieldSelector, accept, signal } = options;
    let from: string | undefined;
    do {
      const query = { labelSelector, fieldSelector, limit: String(PAGE_OBJECTS), continue: from };
      const page = KubeList.parse(
        await this.#json(collectionPath(ref), describeRef(ref), { query, accept, signal }),
      );
      const kind = page.kind.replace(/List$/, "");
      const items = (page.items ?? []).map((item) =>
        typeof item === "object" && item !== null ? { apiVersion: page.apiVersion, kind, ...item } : item,
      );
      yield { resourceVersion: page.metadata.resourceVersion, items };
      from = page.metadata.continue === "" ? undefined : page.metadata.continue;
    } while (from !== undefined);
  }

  /** Follows a collection; ends when the server ends it. Errors within the stream are thrown (410: list anew). */
  async *watch(ref: CollectionRef, options: WatchOptions): AsyncGenerator<WatchEvent, void> {
    for await (const batch of this.watchBatches(ref, options)) yield* batch;
  }

  /** Like `watch`, with the events that arrived together together. */
  async *watchBatches(
    ref: CollectionRef,
    options: WatchOptions,
  ): AsyncGenerator<readonly WatchEvent[], void> {
    this.#check("watch", ref);
    const { labelSelector, fieldSelector, resourceVersion, timeoutSeconds, sendInitialEvents, signal } =
      options;
    const query = {
      watch: "true",
      allowWatchBookmarks: "true",
      labelSelector,
      fieldSelector,
      resourceVersion,
      timeoutSeconds: timeoutSeconds === undefined ? undefined : String(timeoutSeconds),
      ...(sendInitialEvents === true
        ? { sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" }
        : {}),
    };
    const what = describeRef(ref);
    const sent = { query, accept: options.accept, signal, silenceMsMax: options.silenceMsMax ?? 0 };
    const { statusCode, body } = await this.#send(collectionPath(ref), sent, what);
    if (statusCode !== 200) throw refusal(statusCode, await text(body, what), `watch ${what}`);
    try {
      for await (const lines of lineBatches(body)) {
        const events: WatchEvent[] = [];
        for (const line of lines) {
          const event = watchEvent(line, what);
          // What came before the error still happened.
          if (event instanceof KubeError && events.length > 0) yield events;
          if (event instanceof KubeError) throw event;
          events.push(event);
        }
        yield events;
      }
    } catch (error) {
      throw asKubeError(error, `watch ${what}`, KUBE_REASON.silent);
    }
  }

  /** Creates an object. Its name is in it; `generateName` works. */
  async create(ref: CollectionRef, object: unknown, options: WriteOptions = {}): Promise<KubeObject> {
    this.#check("create", ref);
    const body = JSON.stringify(withType(object, ref.type));
    return this.#write(collectionPath(ref), describeRef(ref), {
      method: "POST",
      query: writeQuery(options),
      body,
      signal: options.signal,
    });
  }

  /** Creates a subresource of an object, such as an eviction or a token; or posts a review. */
  async createAt(ref: ObjectRef, object: unknown, options: WriteOptions = {}): Promise<KubeObject> {
    this.#check("create", ref);
    return this.#write(objectPath(ref), describeRef(ref), {
      method: "POST",
      query: writeQuery(options),
      body: JSON.stringify(object),
      signal: options.signal,
    });
  }

  /** Replaces an object. With its `resourceVersion` in it, 409 if somebody else wrote in between. */
  async replace(ref: ObjectRef, object: unknown, options: WriteOptions = {}): Promise<KubeObject> {
    this.#check("update", ref);
    return this.#write(objectPath(ref), describeRef(ref), {
      method: "PUT",
      query: writeQuery(options),
      body: JSON.stringify(withType(object, ref.type)),
      signal: options.signal,
    });
  }

  /** Server-side apply: says which fields we want, creates what is missing. Needs the verbs `patch` and `create`. */
  async apply(ref: ObjectRef, object: unknown, options: ApplyOptions): Promise<KubeObject> {
    this.#check("patch", ref);
    // What does not exist is created, which is another verb; a subresource always exists.
    if (ref.subresource === undefined) this.#check("create", ref);
    const { name, namespace } = ref;
    const body = withType(object, ref.type);
    const metadata = body["metadata"];
    const scope = namespace === undefined ? { name } : { name, namespace };
    body["metadata"] = typeof metadata === "object" ? { ...metadata, ...scope } : scope;
    return this.#write(objectPath(ref), describeRef(ref), {
      method: "PATCH",
      query: { ...writeQuery(options), force: options.force === true ? "true" : undefined },
      contentType: "application/apply-patch+yaml",
      body: JSON.stringify(body),
      signal: options.signal,
    });
  }

  async patch(
    ref: ObjectRef,
    { type, body }: { readonly type: PatchType; readonly body: unknown },
    options: WriteOptions = {},
  ): Promise<KubeObject> {
    this.#check("patch", ref);
    return this.#write(objectPath(ref), describeRef(ref), {
      method: "PATCH",
      query: writeQuery(options),
      contentType: PATCH_CONTENT[type],
      body: JSON.stringify(body),
      signal: options.signal,
    });
  }

  /** Deletes an object; 404 if there is none. Finalizers and grace may keep it for a while. */
  async delete(ref: ObjectRef, { propagation, uid, dryRun, signal }: DeleteOptions = {}): Promise<void> {
    this.#check("delete", ref);
    const body = JSON.stringify({
      apiVersion: "v1",
      kind: "DeleteOptions",
      propagationPolicy: propagation,
      preconditions: uid === undefined ? undefined : { uid },
      dryRun: dryRun === true ? ["All"] : undefined,
    });
    await this.#json(objectPath(ref), describeRef(ref), { method: "DELETE", body, signal });
  }

  /** A connection to a port of a pod; in the pod it comes from the loopback address. The caller ends it. Not guarded. */
  async forward(pod: PodPort, signal?: AbortSignal): Promise<Duplex> {
    const { forward } = await import("./forward.ts");
    return forward(this.#credentials, pod, signal);
  }

  /** Any path, as in `/version`, `/readyz`, or a pod's port through `.../pods/NAME:PORT/proxy/metrics`. Not guarded. */
  async raw(path: string, sent: RawRequest = {}): Promise<RawAnswer> {
    const answer = await this.#answer(path, sent, path);
    if (answer.status >= 300) throw refusal(answer.status, answer.body, `${sent.method ?? "GET"} ${path}`);
    return answer;
  }

  /** Closes every socket; calls and watches that are open fail. */
  async close(): Promise<void> {
    await this.#credentials.close();
  }

  #check(verb: Verb, { type, namespace, ...rest }: CollectionRef & Partial<ObjectRef>): void {
    const resource = rest.subresource === undefined ? type.plural : `${type.plural}/${rest.subresource}`;
    this.#guard?.({ verb, group: type.group, resource, namespace, name: rest.name });
  }

  async #object(ref: ObjectRef, sent: RawRequest): Promise<KubeObject> {
    return this.#write(objectPath(ref), describeRef(ref), sent);
  }

  async #write(path: string, what: string, sent: RawRequest): Promise<KubeObject> {
    const parsed = KubeObject.safeParse(await this.#json(path, what, sent));
    if (parsed.success) return parsed.data;
    throw new KubeError({ status: 0, reason: KUBE_REASON.malformed }, `${what}: the answer is no object`, {
      cause: parsed.error,
    });
  }

  async #json(path: string, what: string, sent: RawRequest): Promise<unknown> {
    const { status, body } = await this.#answer(path, sent, what);
    if (status >= 300) throw refusal(status, body, `${(sent.method ?? "GET").toLowerCase()} ${what}`);
    try {
      return JSON.parse(body);
    } catch (cause) {
      throw new KubeError({ status: 0, reason: KUBE_REASON.malformed }, `${what}: the answer is not JSON`, {
        cause,
      });
    }
  }

  /** A whole answer; waits and asks again while the server is too busy. */
  async #answer(path: string, sent: RawRequest, what: string): Promise<RawAnswer> {
    for (let repeats = 0; ; repeats += 1) {
      const { statusCode, headers, body } = await this.#send(
        path,
        { ...sent, silenceMsMax: BODY_SILENCE_MS_MAX },
        what,
      );
      const whole = await text(body, what);
      const contentType = headers["content-type"];
      const retryAfter = Number(headers["retry-after"] ?? "1");
      if (statusCode !== 429 || repeats === BUSY_REPEATS_MAX) {
        return {
          status: statusCode,
          contentType: typeof contentType === "string" ? contentType : "",
          body: whole,
        };
      }
      const pauseMs = Math.min(BUSY_PAUSE_MS_MAX, (Number.isFinite(retryAfter) ? retryAfter : 1) * 1_000);
      await sleep(pauseMs * (0.5 + Math.random()), undefined, { signal: sent.signal });
    }
  }

  async #send(path: string, sent: Sent, what: string): Promise<Dispatcher.ResponseData> {
    const { method = "GET", query = {}, accept, body, signal, silenceMsMax } = sent;
    const url = new URL(this.server + path);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, value);
    await this.#turn(signal);
    const { dispatcher, headers } = await this.#credentials.authorize();
    try {
      return await request(url, {
        dispatcher,
        method,
        headers: {
          ...headers,
          "user-agent": "hauberk",
          accept: accept ?? "application/json",
          ...(body === undefined ? {} : { "content-type": sent.contentType ?? "application/json" }),
        },
        body: body ?? null,
        signal: signal ?? null,
        headersTimeout: ANSWER_MS_MAX,
        bodyTimeout: silenceMsMax,
      });
    } catch (error) {
      if (signal?.aborted === true) throw error;
      throw asKubeError(error, `${method.toLowerCase()} ${what}`);
    }
  }
}

async function atOnce(): Promise<void> {}

/** Finds the API server and the credentials for it, as kubectl does. Makes no call yet. */
export async function connect(options: ClientOptions = {}): Promise<KubeClient> {
  return new KubeClient(await credentialsFor(options), options);
}

function writeQuery({ fieldManager, dryRun }: WriteOptions): Record<string, string | undefined> {
  return { fieldManager, dryRun: dryRun === true ? "All" : undefined };
}

/** An object with the `apiVersion` of the type asked for; the kind is the caller's. */
function withType(object: unknown, type: ResourceType): Record<string, unknown> {
  return typeof object === "object" && object !== null
    ? { apiVersion: apiVersionOf(type), ...object }
    : { apiVersion: apiVersionOf(type) };
}

async function text(body: Dispatcher.ResponseData["body"], what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) continue;
      size += chunk.length;
      if (size > ANSWER_BYTES_MAX)
        throw new RangeError(`${what}: an answer of more than ${ANSWER_BYTES_MAX} bytes`);
      chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    }
  } catch (error) {
    throw asKubeError(error, what);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsedOr(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** The error for an answer that is no success. */
function refusal(status: number, body: string, doing: string): KubeError {
  const told = Status.safeParse(parsedOr(body));
  const { reason, message } = told.success
    ? told.data
    : { reason: "", message: body.split("\n", 1)[0]?.slice(0, 300) ?? "" };
  return new KubeError(
    { status, reason },
    `${doing}: ${message === "" ? `the server answers ${status}` : message}`,
  );
}

function watchEvent(line: string, what: string): WatchEvent | KubeError {
  const parsed = WatchLine.safeParse(parsedOr(line));
  if (!parsed.success)
    return new KubeError(
      { status: 0, reason: KUBE_REASON.malformed },
      `watch ${what}: a line that is no event`,
    );
  const { type, object } = parsed.data;
  if (type !== "ERROR") return { type, object };
  const told = Status.safeParse(object);
  const { code, reason, message } = told.success ? told.data : { code: 0, reason: "", message: "" };
  return new KubeError({ status: code, reason }, `watch ${what}: ${message}`);
}

function asKubeError(error: unknown, doing: string, silent: string = KUBE_REASON.timeout): KubeError | Error {
  if (error instanceof KubeError) return error;
  if (!(error instanceof Error)) return new Error(`${doing}: ${String(error)}`);
  if (error.name === "AbortError") return error;
  const isTimeout = error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError;
  const reason =
    error instanceof errors.BodyTimeoutError
      ? silent
      : isTimeout
        ? KUBE_REASON.timeout
        : KUBE_REASON.unreachable;
  return new KubeError({ status: 0, reason }, `${doing}: ${error.message}`, { cause: error });
}
