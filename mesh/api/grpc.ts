/**
 * A gRPC server on `node:http2`: unary calls, and streams that follow a [`Topic`].
 *
 * The settings and bounds below are measured ones (docs/decisions): 5 000 streams, 50 000 updates a second in
 * under one core, because a message is encoded once and its bytes shared by all who receive it.
 */
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import type { Frame } from "./frame.ts";
import { callerOf, CLIENT_ID, type CallLimit } from "./limit.ts";
import type { Handler, MethodCounts, Methods } from "./methods.ts";
import { Code, RpcError, statusFields } from "./status.ts";
import type { Readable, Reader, Subscription } from "./topic.ts";

/** Most bytes of one request. The largest real one, a certificate request with its token, is under 8 KiB. */
const REQUEST_BYTES_MAX = 256 * 1024;
/** A stream with more unread bytes than this counts as blocked: it gets one difference later, not a queue. */
const UNREAD_BYTES_MAX = 4096;
/** A stream that stays blocked for so long is reset; its client reconnects and starts from the present state. */
const BLOCKED_MS_MAX = 30_000;
/** How often blocked streams are looked for. */
const SWEEP_MS = 5_000;
/** Time between pings; a session that has not answered the last one when the next is due is gone. */
const PING_MS = 20_000;
/** Open calls per listener. Each costs about 20 KiB, so this bounds memory at roughly 1 GiB. */
const CALLS_MAX = 50_000;
/** How long `close` waits, after the last stream was told, before it destroys what is left. */
const CLOSE_GRACE_MS = 2_000;
/** The longest delay a timer takes (2^31 - 1 ms). */
const TIMER_MS_MAX = 2_147_483_647;

/** What a caller that is over its share reads. */
const LIMITED = {
  too_often: "this identity calls too often",
  too_many: "this identity has too many calls open",
} as const;

const RESPONSE_HEADERS = { ":status": 200, "content-type": "application/grpc" };

const TIMEOUT_UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1_000],
  ["m", 1],
  ["u", 0.001],
  ["n", 0.000_001],
]);

/**
 * The deadline of a call in ms, from `grpc-timeout`; `undefined` when there is none.
 *
 * @internal
 */
export function parseTimeoutMs(field: string | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(field ?? "");
  const [, digits, unit] = match ?? [];
  const unitMs = unit === undefined ? undefined : TIMEOUT_UNIT_MS.get(unit);
  if (digits === undefined || unitMs === undefined) return undefined;
  return Math.min(TIMER_MS_MAX, Number(digits) * unitMs);
}

/** One call: the HTTP/2 stream, and the topic it follows when it is a streaming one. */
class Call implements Reader {
  readonly stream: http2.ServerHttp2Stream;
  readonly counts: MethodCounts;
  readonly #cancel = new AbortController();
  #subscription: Subscription | undefined;
  #blockedSinceMs: number | undefined;
  #trailers = statusFields(Code.Ok, "");
  #over = false;

  readonly #onInternalError: (error: unknown) => void;

  constructor(
    stream: http2.ServerHttp2Stream,
    counts: MethodCounts,
    onInternalError: (error: unknown) => void,
  ) {
    this.stream = stream;
    this.counts = counts;
    this.#onInternalError = onInternalError;
    counts.started += 1;
  }

  get over(): boolean {
    return this.#over || this.stream.destroyed;
  }

  /** Aborts when the caller has gone or the call is over. */
  get signal(): AbortSignal {
    return this.#cancel.signal;
  }

  isBlockedSince(beforeMs: number): boolean {
    return this.#blockedSinceMs !== undefined && this.#blockedSinceMs < beforeMs;
  }

  follow(topic: Readable): void {
    if (this.over) return;
    this.#respond();
    this.#subscription = topic.join(this);
    this.wake();
  }

  reply(frame: Frame): void {
    if (this.over) return;
    this.#respond();
    this.#send(frame);
    this.#finish(Code.Ok, "");
  }

  wake(): void {
    while (this.#blockedSinceMs === undefined && !this.over) {
      const frame = this.#subscription?.take();
      if (frame === undefined) return;
      this.#send(frame);
    }
  }

  end(reason: RpcError): void {
    this.#finish(reason.code, reason.message);
  }

  /** Ends the call with what a method threw. What is not an [`RpcError`] is ours, and its text stays here. */
  fail(error: unknown): void {
    if (error instanceof RpcError) {
      this.#finish(error.code, error.message);
      return;
    }
    this.#onInternalError(error);
    this.#finish(Code.Internal, "internal error");
  }

  /** The stream is closed, by whomever. */
  closed(): void {
    if (!this.#over) this.#settle(Code.Cancelled);
  }

  #respond(): void {
    this.stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
    this.stream.on("wantTrailers", () => this.stream.sendTrailers(this.#trailers));
  }

  #send(frame: Frame): void {
    this.counts.messagesSent += 1;
    if (this.stream.writableLength + frame.length < UNREAD_BYTES_MAX) {
      this.stream.write(frame);
      return;
    }
    this.#blockedSinceMs = performance.now();
    this.stream.write(frame, (error) => {
      this.#blockedSinceMs = undefined;
      if (error === null || error === undefined) this.wake();
    });
  }

  #finish(code: Code, message: string): void {
    if (this.over) return;
    this.#settle(code);
    this.#trailers = statusFields(code, message);
    if (this.stream.headersSent) this.stream.end();
    else this.stream.respond({ ...RESPONSE_HEADERS, ...this.#trailers }, { endStream: true });
  }

  #settle(code: Code): void {
    this.#over = true;
    this.#subscription?.leave();
    this.#cancel.abort();
    this.counts.handled.set(code, (this.counts.handled.get(code) ?? 0) + 1);
  }
}

/** Reads the request, then hands it to the method. */
function receive(call: Call, handler: Handler): void {
  const parts: Buffer[] = [];
  let size = 0;
  call.stream.on("data", (part: Buffer) => {
    size += part.length;
    if (size <= REQUEST_BYTES_MAX) parts.push(part);
    else call.end(new RpcError(Code.ResourceExhausted, "request too large"));
  });
  call.stream.on("end", () => {
    if (call.over) return;
    try {
      const body = Buffer.concat(parts);
      switch (handler.kind) {
        case "stream":
          call.follow(handler.open(body));
          return;
        case "unary":
          handler.answer(body, call.signal).then(
            (frame) => call.reply(frame),
            (error: unknown) => call.fail(error),
          );
          return;
      }
    } catch (error) {
      call.fail(error);
    }
  });
}

/** Destroys sessions whose peer no longer answers pings. */
function keepAlive(session: http2.ServerHttp2Session): void {
  let awaited = false;
  const timer = setInterval(() => {
    if (session.destroyed) return;
    if (awaited) {
      session.destroy();
      return;
    }
    awaited = session.ping((error) => {
      if (error === null) awaited = false;
    });
  }, PING_MS);
  timer.unref();
  session.on("close", () => clearInterval(timer));
}

/** A listening server. */
export interface GrpcServer {
  readonly address: AddressInfo;
  /** GOAWAY, then UNAVAILABLE on every stream, spread over `spreadMs` so that clients do not return at once. */
  close(spreadMs?: number): Promise<void>;
}

/** Where to listen, and who hears of a failure that is ours. */
export interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly onInternalError?: (path: string, error: unknown) => void;
  /** How the listener is shared among its callers; absent: not at all. */
  readonly limit?: CallLimit;
}

/** Starts to serve `methods`; resolves when the socket listens. */
export async function serve(
  methods: Methods,
  { host, port, onInternalError, limit }: ServeOptions,
): Promise<GrpcServer> {
  const calls = new Set<Call>();
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer({
    // MiB per session; Node's 10 refuses streams at about 9 000 on one connection.
    maxSessionMemory: 256,
    // Node's 1 000 + 33/s closes a connection whose client drops many streams at once, as sidecars do.
    streamResetBurst: 50_000,
    streamResetRate: 5_000,
    settings: { enablePush: false, initialWindowSize: 65_535 },
  });
  server.on("stream", (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    const path = headers[":path"]?.toString() ?? "";
    const call = new Call(stream, methods.counts(path), (error) => onInternalError?.(path, error));
    calls.add(call);
    const timeoutMs = parseTimeoutMs(headers["grpc-timeout"]?.toString());
    const expire = () => call.end(new RpcError(Code.DeadlineExceeded, "deadline exceeded"));
    const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
    // Resets and broken connections; "close" follows, and is where they are settled.
    stream.on("error", () => undefined);
    const caller = callerOf(headers[CLIENT_ID], stream.session?.socket.remoteAddress);
    const verdict = limit?.open(caller, performance.now()) ?? "admitted";
    stream.on("close", () => {
      clearTimeout(timer);
      if (verdict === "admitted") limit?.close(caller);
      call.closed();
      calls.delete(call);
    });
    if (verdict !== "admitted") {
      stream.resume();
      call.end(new RpcError(Code.ResourceExhausted, LIMITED[verdict]));
      return;
    }
    admit(call, methods.find(path), { path, contentType: headers["content-type"], open: calls.size });
  });
  server.on("session", (session) => {
    sessions.add(session);
    keepAlive(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => undefined);
  });
  const sweep = setInterval(() => {
    const beforeMs = performance.now() - BLOCKED_MS_MAX;
    for (const call of calls) {
      if (call.isBlockedSince(beforeMs)) call.stream.close(http2.constants.NGHTTP2_CANCEL);
    }
  }, SWEEP_MS);
  sweep.unref();
  const address = await listen(server, host, port);
  return {
    address,
    close: (spreadMs = 500) => closeServer({ server, calls, sessions, sweep }, spreadMs),
  };
}

function admit(
  call: Call,
  handler: Handler | undefined,
  { path, contentType, open }: { path: string; contentType: string | undefined; open: number },
): void {
  if (!(contentType ?? "").startsWith("application/grpc")) {
    call.stream.respond({ ":status": 415 }, { endStream: true });
    return;
  }
  if (open > CALLS_MAX) {
    call.end(new RpcError(Code.ResourceExhausted, "too many calls"));
    return;
  }
  if (handler === undefined) {
    call.stream.resume();
    call.end(new RpcError(Code.Unimplemented, `unknown method ${path}`));
    return;
  }
  receive(call, handler);
}

function listen(server: http2.Http2Server, host: string, port: number): Promise<AddressInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
  server.once("error", reject);
  // A fleet that reconnects at once must not meet a full accept queue.
  server.listen({ host, port, backlog: 4096 }, () => {
    server.off("error", reject);
    const address = server.address();
    if (address === null || typeof address === "string") reject(new Error("not a TCP listener"));
    else resolve(address);
  });
  return promise;
}

interface Open {
  readonly server: http2.Http2Server;
  readonly calls: ReadonlySet<Call>;
  readonly sessions: ReadonlySet<http2.ServerHttp2Session>;
  readonly sweep: NodeJS.Timeout;
}

async function closeServer({ server, calls, sessions, sweep }: Open, spreadMs: number): Promise<void> {
  clearInterval(sweep);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  for (const session of sessions) session.close();
  const reason = new RpcError(Code.Unavailable, "shutting down");
  for (const call of calls) setTimeout(() => call.end(reason), Math.random() * spreadMs);
  const cut = setTimeout(() => {
    for (const session of sessions) session.destroy();
  }, spreadMs + CLOSE_GRACE_MS);
  await promise;
  clearTimeout(cut);
}
