/** The few requests that bringing up a cluster needs, as its administrator. */
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { z } from "zod";
import type { Credential } from "./certificates.ts";

const ANSWER_MS_MAX = 10_000;

const Named = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({ name: z.string(), namespace: z.string().optional() }),
});

/** An answer of the API server. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

export class Api {
  readonly #origin: string;
  readonly #authority: string;
  readonly #credential: Credential;

  constructor(origin: string, authority: string, credential: Credential) {
    this.#origin = origin;
    this.#authority = authority;
    this.#credential = credential;
  }

  /** Asks; a server that is not there is status 0. */
  async ask(method: string, path: string, body?: unknown): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const sent = request(
      new URL(path, this.#origin),
      {
        method,
        ca: this.#authority,
        cert: this.#credential.certificate,
        key: this.#credential.key,
        agent: false,
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
        headers: body === undefined ? {} : { "content-type": "application/apply-patch+yaml" },
      },
      (response) => {
        text(response).then(
          (answered) => resolve({ status: response.statusCode ?? 0, body: answered }),
          (error: unknown) => resolve({ status: 0, body: String(error) }),
        );
      },
    );
    sent.once("error", (error) => resolve({ status: 0, body: error.message }));
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    return promise;
  }

  /** Applies an object on the server's side. @throws with the server's words. */
  async apply(object: unknown): Promise<void> {
    const { apiVersion, kind, metadata } = Named.parse(object);
    const { status, body } = await this.ask(
      "PATCH",
      `${pathOf(apiVersion, kind, metadata.namespace)}/${metadata.name}?fieldManager=hauberk-cluster&force=true`,
      object,
    );
    if (status !== 200 && status !== 201) throw new Error(`${kind} ${metadata.name}: ${status} ${body}`);
  }
}

/** The path of a kind's objects. Pure; for kinds whose plural is regular. */
export function pathOf(apiVersion: string, kind: string, namespace: string | undefined): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
  return `${root}${within}/${kind.toLowerCase()}s`;
}
