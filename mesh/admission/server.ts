/**
 * The HTTPS edge of every admission webhook: handlers by path, bounded bodies, deadlines, and a certificate that is
 * replaced while it serves. Anybody in the cluster may connect; nothing is believed but what a review says of itself.
 */
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Counter, type CounterFamily } from "./counter.ts";
import { ReviewError, readReview, writeReview, type AdmissionRequest, type Verdict } from "./review.ts";

/**
 * Most bytes of one review. The API server takes objects of up to 3 MiB, and an update carries the old one as well.
 */
export const REVIEW_BYTES_MAX = 7 * 1024 * 1024;

/** Most bytes of all bodies that are being read or judged at once. */
export const BODIES_BYTES_MAX = 32 * 1024 * 1024;

/** Longest that a review may take: what a webhook configuration asks for by default. */
export const DEADLINE_MS = 10_000;

/** The API server keeps few connections; the rest is for probes and people. */
const CONNECTIONS_MAX = 512;

/** Judges one kind of object. A thrown error is the webhook's failure, which its failurePolicy is for. */
export type Handler = (request: AdmissionRequest, signal: AbortSignal) => Promise<Verdict> | Verdict;

/** What is served with. */
export interface ServingCertificate {
  /** The leaf and what stands between it and its authority, in PEM. */
  readonly certificates: string;
  readonly privateKey: string;
}

/** A webhook server. */
export interface AdmissionServer {
  readonly address: AddressInfo;
  /** Serves new connections with another certificate; those that stand are left alone. */
  renew(certificate: ServingCertificate): void;
  metrics(): readonly CounterFamily[];
  /** Stops listening, lets what runs finish for `graceMs`, then ends it. */
  close(graceMs?: number): Promise<void>;
}

export interface AdmissionServerOptions {
  readonly host: string;
  readonly port: number;
  readonly certificate: ServingCertificate;
  /** By path, as `/`. */
  readonly handlers: ReadonlyMap<string, Handler>;
  /** Is told of errors that are ours. */
  readonly onError: (path: string, error: unknown) => void;
}

/** How a request ended, as its series is labelled. */
type Outcome =
  | "allowed"
  | "patched"
  | "denied"
  | "malformed"
  | "too_large"
  | "overloaded"
  | "late"
  | "failed";

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly outcome: Outcome;
}

const refusal = (status: number, outcome: Outcome, text: string): Answer => ({
  status,
  outcome,
  body: `${text}\n`,
});

/** Serves until it is closed. */
export async function serveAdmission(options: AdmissionServerOptions): Promise<AdmissionServer> {
  const edge = new Edge(options);
  // The API server is a Go program that has spoken TLS 1.3 since Kubernetes 1.14.
  const server = createServer(
    {
      ...secure(options.certificate),
      minVersion: "TLSv1.3",
      headersTimeout: 5_000,
      requestTimeout: DEADLINE_MS,
    },
    (request, response) => void edge.answer(request, response),
  );
  server.maxConnections = CONNECTIONS_MAX;
  // Scans and probes of the port are nobody's error.
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  const address = await listening(server, options);
  return {
    address,
    renew: (certificate) => server.setSecureContext({ ...secure(certificate), minVersion: "TLSv1.3" }),
    metrics: () => edge.metrics(),
    close: async (graceMs = 0) => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeIdleConnections();
      const timer = setTimeout(() => edge.stop.abort(new Error("the server stops")), graceMs);
      edge.stop.signal.addEventListener("abort", () => server.closeAllConnections());
      await closed.promise;
      clearTimeout(timer);
      edge.stop.abort();
    },
  };
}

function secure({ certificates, privateKey }: ServingCertificate): { cert: string; key: string } {
  return { cert: certificates, key: privateKey };
}

async function listening(server: Server, { host, port }: AdmissionServerOptions): Promise<AddressInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
  server.once("error", reject);
  server.listen({ host, port }, () => {
    const address = server.address();
    if (address === null || typeof address === "string") reject(new Error("not a TCP listener"));
    else resolve(address);
  });
  return promise;
}

class Edge {
  readonly stop = new AbortController();
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #onError: AdmissionServerOptions["onError"];
  readonly #responses = new Counter("admission_responses_total", "Reviews answered, by path and outcome.");
  readonly #seconds = new Counter("admission_seconds_total", "Time spent on reviews, by path.");
  #bodiesBytes = 0;

  constructor({ handlers, onError }: AdmissionServerOptions) {
    this.#handlers = handlers;
    this.#onError = onError;
  }

  metrics(): readonly CounterFamily[] {
    return [this.#responses.family(), this.#seconds.family()];
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "https://webhook");
    const handler = this.#handlers.get(url.pathname);
    if (handler === undefined || request.method !== "POST") {
      response.writeHead(handler === undefined ? 404 : 405, { connection: "close" }).end();
      return;
    }
    const begun = performance.now();
    const { status, body, outcome } = await this.#judge(request, { handler, url });
    this.#responses.add({ path: url.pathname, outcome });
    this.#seconds.add({ path: url.pathname }, (performance.now() - begun) / 1_000);
    const isReview = status === 200;
    response.writeHead(status, {
      "content-type": isReview ? "application/json" : "text/plain",
      // What is left of a refused body is not read.
      ...(isReview ? {} : { connection: "close" }),
    });
    response.end(body);
  }

  async #judge(
    request: IncomingMessage,
    { handler, url }: { readonly handler: Handler; readonly url: URL },
  ): Promise<Answer> {
    const deadline = AbortSignal.any([this.stop.signal, AbortSignal.timeout(deadlineMs(url))]);
    const taken = { bytes: 0 };
    try {
      const body = await this.#read(request, taken, deadline);
      if (typeof body !== "string") return body;
      const review = readReview(body);
      const verdict = await before(deadline, Promise.resolve(handler(review, deadline)));
      const isPatch = verdict.type === "allow" && (verdict.patch ?? []).length > 0;
      const outcome = verdict.type === "deny" ? "denied" : isPatch ? "patched" : "allowed";
      return { status: 200, body: writeReview(review.uid, verdict), outcome };
    } catch (error) {
      if (error instanceof ReviewError) return refusal(400, "malformed", error.message);
      if (deadline.aborted) return refusal(504, "late", "no answer in time");
      this.#onError(url.pathname, error);
      return refusal(500, "failed", "the webhook failed; its log says why");
    } finally {
      this.#bodiesBytes -= taken.bytes;
    }
  }

  async #read(
    request: IncomingMessage,
    taken: { bytes: number },
    deadline: AbortSignal,
  ): Promise<string | Answer> {
    const chunks: Uint8Array[] = [];
    const stalled = (): void => void request.destroy(new Error("the body came too slowly"));
    deadline.addEventListener("abort", stalled, { once: true });
    try {
      // A refused body leaves the connection open for the answer.
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        if (!(chunk instanceof Uint8Array)) throw new TypeError("a body that is no bytes");
        taken.bytes += chunk.length;
        this.#bodiesBytes += chunk.length;
        if (taken.bytes > REVIEW_BYTES_MAX) return refusal(413, "too_large", "the review is too large");
        if (this.#bodiesBytes > BODIES_BYTES_MAX)
          return refusal(503, "overloaded", "too many reviews at once");
        chunks.push(chunk);
      }
    } finally {
      deadline.removeEventListener("abort", stalled);
    }
    return Buffer.concat(chunks).toString("utf8");
  }
}

/** The API server says how long it waits, as `?timeout=10s`. */
function deadlineMs(url: URL): number {
  const seconds = /^(\d{1,2})s$/.exec(url.searchParams.get("timeout") ?? "")?.[1];
  return seconds === undefined || seconds === "0" ? DEADLINE_MS : Math.min(Number(seconds) * 1_000, 30_000);
}

async function before<T>(deadline: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = (): void => reject(deadline.reason);
  deadline.addEventListener("abort", late, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    deadline.removeEventListener("abort", late);
  }
}
